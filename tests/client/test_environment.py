"""What was installed beyond an image, asked of a real interpreter."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from kpl_lab.client.environment import installed_since, refuse_stuck
from kpl_lab.errors import Conflict, EngineError
from kpl_lab.naming import distribution_name


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An environment with two packages of its own."""
    root = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    for name, version in (("Some_Thing", "1.2"), ("other", "3")):
        add(root, name, version)
    return str(root / "bin" / "python")


def add(root: Path, name: str, version: str, url: str | None = None) -> None:
    (site,) = root.glob("lib/python*/site-packages")
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if url:
        (folder / "direct_url.json").write_text(f'{{"url": "{url}"}}')


def test_what_is_new_or_another_version_is_pinned(python: str) -> None:
    assert installed_since({}, python) == ["Some_Thing==1.2", "other==3"]
    assert installed_since({"some-thing": "1.2", "other": "2"}, python) == ["other==3"]
    assert installed_since({"some-thing": "1.2", "other": "3"}, python) == []


def test_what_came_from_an_address_is_named_by_it(python: str) -> None:
    add(Path(python).parents[1], "far", "1", "https://example.org/far.zip")
    known = {"some-thing": "1.2", "other": "3"}
    assert installed_since(known, python) == ["far @ https://example.org/far.zip"]


def test_what_came_from_a_folder_is_refused_by_name(python: str) -> None:
    add(Path(python).parents[1], "mine", "1", "file:///home/ada/mine")
    with pytest.raises(Conflict, match=r"mine \(file:///home/ada/mine\)"):
        installed_since({}, python)


def test_an_interpreter_that_does_not_work_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(EngineError, match="broken"):
        installed_since({}, str(broken))


def state(folder: Path, pid: int, letter: str) -> None:
    (folder / str(pid)).mkdir(exist_ok=True)
    (folder / str(pid) / "stat").write_text(f"{pid} (a) b) {letter} 1 1\n")


def test_processes_that_hang_are_refused_as_modelarts_does(tmp_path: Path) -> None:
    for pid, letter in ((7, "S"), (8, "D")):
        state(tmp_path, pid, letter)
    with pytest.raises(Conflict, match="state D: 8"):
        refuse_stuck(tmp_path, sleep=lambda _: None)


def test_who_waits_for_a_disk_for_a_moment_does_not_hang(tmp_path: Path) -> None:
    state(tmp_path, 8, "D")
    refuse_stuck(tmp_path, sleep=lambda _: state(tmp_path, 8, "S"))


def test_this_environment_adds_nothing_to_itself() -> None:
    known = {
        distribution_name(one.metadata["Name"]): one.version
        for one in reversed(list(importlib.metadata.distributions()))
    }
    assert installed_since(known, sys.executable) == []
