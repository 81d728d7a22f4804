"""What an engine does differently where a server's home has no room."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_lab.engines.docker.plan import command_config
from kpl_lab.engines.running import fullhome
from tests.engines.test_docker_parts import PLACE, PLAN


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of 16 MiB."""
    folder = tmp_path / "home"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk of one's own cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def environment_of(home: Path, kind: str = "server") -> dict[str, str]:
    plan = dataclasses.replace(
        PLAN, kind=kind, home=str(home), inner_home="/home/a", mounts="/m", port=8888
    )
    lines = command_config(plan, PLACE, "i1")["Env"]
    return dict(line.split("=", 1) for line in lines)


def targets_of(home: Path) -> set[str]:
    plan = dataclasses.replace(
        PLAN, kind="server", home=str(home), inner_home="/home/a", mounts="/m", port=8888
    )
    return {m["Target"] for m in command_config(plan, PLACE, "i1")["HostConfig"]["Mounts"]}


def test_with_room_nothing_is_different(home: Path) -> None:
    (home / "datasets").mkdir()
    assert fullhome.CLEAN_UP_VARIABLE not in environment_of(home)
    assert "/home/a/datasets" in targets_of(home)


def test_without_room_what_a_server_writes_goes_elsewhere(home: Path) -> None:
    (home / "large").write_bytes(b"x" * (12 << 20))
    found = environment_of(home)
    assert found[fullhome.CLEAN_UP_VARIABLE] == "1"
    assert found["JUPYTER_RUNTIME_DIR"].startswith("/tmp/")
    assert found["IPYTHONDIR"].startswith("/tmp/")
    # Only servers have owners who must get in.
    assert fullhome.CLEAN_UP_VARIABLE not in environment_of(home, "task")


def test_where_there_was_no_room_for_the_folder_of_mounts_nothing_is_mounted(home: Path) -> None:
    assert "/home/a/datasets" not in targets_of(home)


def test_a_home_that_is_not_there_yet_has_room(tmp_path: Path) -> None:
    assert fullhome.variables(tmp_path / "absent", "/tmp") == {}
