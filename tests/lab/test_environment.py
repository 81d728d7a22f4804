"""The environment of a user's own: made once, chained to the image's, kept when that changes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from kpl_lab.lab import environment
from kpl_lab.lab.environment import IMAGE_VARIABLE, adopt

LOG = logging.getLogger(__name__)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def adopted(image: str = "my image") -> tuple[Path, dict[str, str], KernelSpecManager]:
    variables = {IMAGE_VARIABLE: image, "PATH": "/usr/bin"}
    kernels = KernelSpecManager()
    folder = adopt(variables, kernels, LOG)
    assert folder is not None
    return folder, variables, kernels


def said(*command: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def install(folder: Path, name: str) -> Path:
    """Put a module where pip would."""
    (site,) = folder.glob("lib/python*/site-packages")
    (site / f"{name}.py").write_text("value = 'own'\n")
    return site


def test_what_is_in_the_image_is_there_and_what_is_installed_comes_first(home: Path) -> None:
    folder, variables, _ = adopted()
    assert folder.is_relative_to(home)
    assert variables["PATH"] == f"{folder / 'bin'}:/usr/bin"
    assert variables["VIRTUAL_ENV"] == str(folder)
    python = folder / "bin" / "python"
    assert said(python, "-c", "import jupyter_server, sys; print(sys.prefix)") == str(folder)
    install(folder, "colorsys_of_mine")
    assert said(python, "-c", "import colorsys_of_mine as m; print(m.value)") == "own"


def test_pip_and_the_commands_of_the_image_work_on_it(home: Path) -> None:
    folder, _, _ = adopted()
    shown = said(folder / "bin" / "pip", "--version")
    assert "python" in shown
    assert said(folder / "bin" / "pip", "config", "debug")
    where = said(folder / "bin" / "pip", "inspect", "--local")
    assert json.loads(where)["environment"]
    assert said(folder / "bin" / "kpl", "version", "--help").startswith("Usage")


def test_kernels_run_in_it(home: Path) -> None:
    folder, _, kernels = adopted()
    spec = kernels.get_kernel_spec("python3")
    assert spec.argv[0] == str(folder / "bin" / "python")
    assert "ipykernel_launcher" in spec.argv


def test_it_is_made_once_and_one_for_each_image(home: Path) -> None:
    folder, _, _ = adopted()
    site = install(folder, "mine")
    again, _, _ = adopted()
    assert again == folder
    assert (site / "mine.py").exists()
    assert adopted("another")[0] != folder


def test_what_was_installed_stays_when_the_image_lies_elsewhere(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, _ = adopted()
    site = install(folder, "mine")
    script = folder / "bin" / "mine"
    script.write_text("x")
    marker = folder / "kpl-lab.json"
    marker.write_text(json.dumps({"base": "/gone"}))
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/gone/bin/python")
    adopted()
    assert said(folder / "bin" / "python", "-c", "import mine; print(mine.value)") == "own"
    assert script.exists()
    assert json.loads(marker.read_text()) == {"base": sys.prefix}
    assert site.is_dir()


def test_one_that_was_not_made_whole_is_made_again(home: Path) -> None:
    folder, _, _ = adopted()
    (folder / "kpl-lab.json").unlink()
    (folder / "pyvenv.cfg").unlink()
    adopted()
    assert said(folder / "bin" / "python", "-c", "import jupyter_server; print(1)") == "1"


def test_a_home_without_room_starts_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(environment, "make", full)
    variables = {IMAGE_VARIABLE: "x", "PATH": "/usr/bin"}
    assert adopt(variables, KernelSpecManager(), LOG) is None
    assert variables["PATH"] == "/usr/bin"
    assert "No space left" in caplog.text


def test_a_jupyter_that_is_not_ours_is_left_as_it_is(home: Path) -> None:
    variables = {"PATH": "/usr/bin"}
    assert adopt(variables, KernelSpecManager(), LOG) is None
    assert variables == {"PATH": "/usr/bin"}
    assert list(home.iterdir()) == []
