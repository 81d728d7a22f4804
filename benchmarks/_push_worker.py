"""Time one call of a client in a loop; run by the client's own Python. Prints microseconds per call."""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    what, calls = sys.argv[1], int(sys.argv[2])
    from kpl_helper import metric, progress

    figure = metric.MetricFigure("Loss", y1_name="train")
    push, send = figure.push_metric, progress.send_progress
    start = time.perf_counter()
    if what == "push_metric":
        for step in range(calls):
            push(step, 1.0 / (step + 1))
    else:
        for step in range(calls):
            send(step / calls)
    print(json.dumps((time.perf_counter() - start) / calls * 1e6))


if __name__ == "__main__":
    main()
