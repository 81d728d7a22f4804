"""Recognises every picture of a dataset, and writes a dataset that says what was recognised."""

from __future__ import annotations

import shutil
from pathlib import Path

import digits_data
import joblib
import numpy as np
from train import MODEL_FILE

import kpl_helper
from kpl_dataset import BasicType, ReadOnlyDataset, WriteOnlyDataset

LOCAL_OUTPUT = Path("output/result")
RECORD_TYPE = {
    "path": BasicType.String,
    "recognised": BasicType.String,
    "certainty": BasicType.Float,
    "class_name": BasicType.String,
}


def paths_of(folder: str, count: int) -> list[str]:
    """Return the path of each picture in the dataset; without one, its number."""
    if not folder:
        return [f"digit {number}" for number in range(count)]
    with ReadOnlyDataset(folder) as records:
        return [record["path"] for record in records]


def main() -> None:
    kpl_helper.ready()
    data = kpl_helper.io.get_input_path("data", default=digits_data.mounted())
    model = joblib.load(
        Path(kpl_helper.io.get_input_path("model", default="output/save")) / MODEL_FILE
    )
    pictures, classes, names = digits_data.load(data)
    certainty = model["network"].predict_proba(pictures)
    best = np.argmax(certainty, axis=1)

    output = Path(kpl_helper.io.get_output_path("result", default=str(LOCAL_OUTPUT)))
    if output == LOCAL_OUTPUT:
        # A second run in a notebook starts afresh; a task's folder is always new.
        shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    paths = paths_of(data, len(pictures))
    with WriteOnlyDataset(str(output), "root", RECORD_TYPE) as results:
        for number, path in enumerate(paths):
            results.write(
                {
                    "path": path,
                    "recognised": model["labels"][best[number]],
                    "certainty": float(certainty[number, best[number]]),
                    "class_name": names[classes[number]],
                }
            )
            if number % 100 == 0:
                kpl_helper.send_progress(number / len(paths))
    right = float(np.mean(best == classes))
    kpl_helper.send_progress(1)
    kpl_helper.result.send_scalar_result(accuracy=right, pictures=len(paths))
    print(f"{len(paths)} pictures, {right:.1%} as their dataset says; written to {output}")
    kpl_helper.done()


if __name__ == "__main__":
    main()
