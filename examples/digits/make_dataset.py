"""Writes scikit-learn's 1,797 real handwritten digits as pictures, one folder for each digit.

python make_dataset.py                    # writes the folder pictures/
kpl dataset create digits --from pictures
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def main(folder: Path) -> None:
    digits = load_digits()
    for number, (ink, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(digit)
        place.mkdir(parents=True, exist_ok=True)
        grey = np.round(ink * 255 / 16).astype(np.uint8)
        Image.fromarray(grey).save(place / f"{number:04d}.png")
    print(f"{len(digits.target)} pictures written to {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"))
