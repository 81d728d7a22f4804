# ruff: noqa
# mypy: ignore-errors
# Left as its authors would have written it: that is what is tested.
"""An algorithm for the oldest clients: inputs and outputs by number, curves by uploadTaskMetrics."""

import os
import time

import kpl_helper as helper
from kpl_dataset.dataset import ReadOnlyDataset

helper.ready()
parameter = helper.get_parameter()
print("client:", helper.__file__)
records = 0
reader = ReadOnlyDataset(helper.io.get_input_path("data"), "root")
for _ in reader:
    records += 1
print("records:", records)
figure = helper.metric.MetricFigure(
    "训练", "loss", helper.metric.PLOT_LINE, "top1", helper.metric.PLOT_LINE
)
steps = int(parameter["steps"])
for step in range(1, steps + 1):
    figure.push_metric(step, 1.0 / step, step / steps)
    helper.progress.send_progress(step / steps)
    time.sleep(float(parameter["seconds"]))
helper.result.send_scalar_result(top1=0.92, top5=0.98)
helper.result.send_curve_result("ROC", "fpr", [0.0, 0.5, 1.0], "tpr", [0.0, 0.9, 1.0])
with open(os.path.join(helper.io.get_output_path("save"), "model.txt"), "w") as file:
    file.write("weights")
with open(os.path.join(helper.io.get_output_path("other"), "more.txt"), "w") as file:
    file.write("more")
helper.done()
