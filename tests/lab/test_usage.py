"""Use of the server: by its group where that is its own, and what its home holds."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.lab.cleaning import Home
from kpl_lab.lab.given import CLEAN_UP_VARIABLE
from kpl_lab.lab.kernels import Kernel
from kpl_lab.lab.usage import Usage

Fetch = Callable[..., Any]
GIB = 1 << 30


def group(tmp_path: Path, limit: str) -> Path:
    """Return a ``/proc/self`` of a server in a group of version 2 with this limit."""
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    proc.mkdir()
    root.mkdir()
    (proc / "cgroup").write_text("0::/\n")
    (proc / "mountinfo").write_text(f"30 23 0:26 / {root} rw - cgroup2 cgroup2 rw\n")
    for name, text in {
        "memory.current": str(700 << 20),
        "memory.stat": f"anon 1\ninactive_file {100 << 20}\n",
        "memory.max": limit,
        "memory.events": "oom_kill 2\n",
        "cpu.stat": "usage_usec 1000000\n",
        "cgroup.procs": f"{os.getpid()}\n",
    }.items():
        (root / name).write_text(text)
    return proc


def test_the_server_s_own_group_tells_memory_and_cores(tmp_path: Path) -> None:
    proc = group(tmp_path, str(2 * GIB))
    environment = {"MEM_LIMIT": str(2 * GIB), "CPU_LIMIT": "2"}
    usage = Usage(os.getpid(), str(tmp_path), environment, proc)
    kernels = [Kernel("an-id", os.getpid(), "digits.ipynb")]
    first = usage.measure(kernels)
    assert (first.memory, first.memory_limit, first.processes) == (600, 2048, 1)
    assert [one.path for one in first.kernels] == ["digits.ipynb"]
    assert first.kernels[0].memory > 10
    (tmp_path / "cgroup/cpu.stat").write_text("usage_usec 900000000\n")
    assert usage.measure().cpu > 2


@pytest.mark.parametrize("limit", ["max", str(GIB)])
def test_a_group_with_another_limit_is_not_the_server_s(tmp_path: Path, limit: str) -> None:
    proc = group(tmp_path, limit)
    usage = Usage(os.getpid(), str(tmp_path), {"MEM_LIMIT": str(2 * GIB)}, proc)
    assert usage.group is None
    assert usage.measure().memory not in (0, 600)


def test_without_the_hub_the_group_s_limit_is_the_server_s(tmp_path: Path) -> None:
    usage = Usage(os.getpid(), str(tmp_path), {}, group(tmp_path, str(2 * GIB)))
    assert usage.measure().memory_limit == 2048


def write(path: Path, kibibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * (kibibytes << 10))


def test_trifles_are_not_offered_for_deletion(tmp_path: Path) -> None:
    write(tmp_path / "data/large.bin", 4096)
    write(tmp_path / ".jupyter/lab/user-settings/themes", 4)
    found = Home(tmp_path, {}).filling()
    assert [one.path for one in found.files] == ["data/large.bin"]
    assert [one.path for one in found.folders] == ["data"]
    assert found.is_whole


async def test_the_home_is_counted_in_the_background(tmp_path: Path) -> None:
    write(tmp_path / "data/large.bin", 4096)
    home = Home(tmp_path, {})
    assert home.mebibytes() is None
    async with asyncio.timeout(10):
        while home.mebibytes() is None:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0.01)
    assert home.mebibytes() == 4
    # Not again at every look.
    write(tmp_path / "more.bin", 4096)
    for _ in range(10):
        assert home.mebibytes() == 4
        await asyncio.sleep(0.01)


class TestCleaningUp:
    """A server that was started in a home without room."""

    @pytest.fixture
    def jp_server_config(
        self, jp_server_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, Any]:
        monkeypatch.setenv(CLEAN_UP_VARIABLE, "1")
        return jp_server_config

    async def test_deletes_for_good(self, jp_fetch: Fetch, jp_root_dir: Path) -> None:
        usage = json.loads((await jp_fetch("kpl-lab", "local", "usage")).body)
        assert usage["is_cleaning_up"]
        write(jp_root_dir / "large.bin", 64)
        await jp_fetch("api", "contents", "large.bin", method="DELETE")
        assert not (jp_root_dir / "large.bin").exists()
        assert not list(jp_root_dir.parent.rglob("Trash"))


async def test_other_servers_keep_what_is_deleted_in_the_trash(jp_serverapp: Any) -> None:
    assert jp_serverapp.contents_manager.delete_to_trash
