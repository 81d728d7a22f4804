from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import kpl_lab

ROOT = Path(kpl_lab.__file__).parents[1]


@dataclass
class Example:
    """A copy of the example project, and how its files are run."""

    folder: Path
    environment: dict[str, str]

    def command(self, script: str, *arguments: str) -> list[str]:
        """Return the command of a script."""
        return [sys.executable, str(self.folder / script), *arguments]

    def run(self, script: str, *arguments: str, **variables: str) -> str:
        """Run a script to its end and return what it printed."""
        done = subprocess.run(
            self.command(script, *arguments),
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def digits(tmp_path: Path) -> Example:
    folder = tmp_path / "digits"
    shutil.copytree(ROOT / "examples" / "digits", folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KPL_", "JUPYTER"))}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path),
        # Small matrices: more threads only wait for one another.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    (folder / "parameter.yml").write_text(
        (folder / "parameter.yml").read_text().replace("epochs: 30", "epochs: 4")
    )
    return Example(folder, environment)


Write = Callable[[Path], Path]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Thirty real digits as a dataset in the KPL format."""
    import io

    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    from kpl_dataset import WriteOnlyDataset
    from kpl_dataset.common import ClassificationDatasetDefine

    folder = tmp_path / "dataset"
    folder.mkdir()
    bundled = load_digits()
    with WriteOnlyDataset(str(folder), "root", ClassificationDatasetDefine) as records:
        for number in range(200):
            buffer = io.BytesIO()
            grey = np.round(bundled.images[number] * 255 / 16).astype(np.uint8)
            Image.fromarray(grey).save(buffer, "PNG")
            digit = int(bundled.target[number])
            records.write(
                {
                    "path": f"{digit}/{number}.png",
                    "content": buffer.getvalue(),
                    "contentType": "image/png",
                    "class_name": str(digit),
                    "class_id": digit,
                }
            )
    return folder
