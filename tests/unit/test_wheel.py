"""Whoever installs the wheel needs no Node: panels, settings and the example come with it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = "kpl_lab-0.1.0.data/data/"


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    if not (ROOT / "kpl_lab" / "labextension" / "package.json").exists():
        pytest.skip("the JupyterLab extension is not built here")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(ROOT)], check=True, timeout=110)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "share/jupyter/labextensions/kpl-lab/package.json",
        "share/jupyter/labextensions/kpl-lab/install.json",
        "share/kpl-lab/examples/digits/train.py",
        "etc/jupyter/jupyter_server_config.d/kpl_lab.json",
        "etc/jupyter/labconfig/page_config.json",
    ],
)
def test_what_jupyter_looks_for_lies_where_it_looks(names: set[str], name: str) -> None:
    assert DATA + name in names


def test_the_three_packages_and_their_data_are_in_it(names: set[str]) -> None:
    assert {"kpl_lab/py.typed", "kpl_helper/py.typed", "kpl_dataset/py.typed"} <= names
    assert "kpl_lab/locale/zh_CN/LC_MESSAGES/kpl_lab.json" in names
    assert not [name for name in names if name.startswith(("tests/", "src/", "benchmarks/"))]
