"""Pictures of digits as numbers: read from a KPL dataset, or the ones that come with scikit-learn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from kpl_dataset import ReadOnlyDataset

SIDE = 8


def vector(picture: Image.Image) -> np.ndarray:
    """Return a picture as 64 numbers from 0 (paper) to 1 (ink).

    Pictures of any size and colour are taken. The training pictures are bright ink on black; one
    that is dark on bright, as most are that people draw, is turned around.
    """
    grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = 255 - grey if edge.mean() > 127 else grey
    return ink.astype(np.float32).ravel() / 255


def load(folder: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return pictures (one a row), their classes as numbers, and the names of the classes.

    Parameters
    ----------
    folder
        A dataset in the KPL format; "" for the 1,797 digits that come with scikit-learn.
    """
    if not folder:
        digits = load_digits()
        return (digits.data / 16).astype(np.float32), digits.target, [str(n) for n in range(10)]
    names: dict[int, str] = {}
    rows, classes = [], []
    with ReadOnlyDataset(folder) as records:
        for record in records:
            rows.append(vector(Image.open(io.BytesIO(record["content"]))))
            classes.append(record["class_id"])
            names[record["class_id"]] = record["class_name"]
    if not rows:
        raise SystemExit(f"{folder} has no records; give the task a dataset with pictures.")
    labels = [names.get(number, str(number)) for number in range(max(names) + 1)]
    return np.array(rows), np.array(classes), labels


def mounted() -> str:
    """Return where a dataset named "digits" is when it is mounted into a notebook, else ""."""
    folder = Path.home() / "datasets" / "digits"
    return str(folder) if folder.is_dir() else ""
