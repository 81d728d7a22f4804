"""What is read of processes, from tables as the kernel writes them and from real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kpl_lab.measures import processes


def process(proc: Path, pid: int, parent: int, name: str = "python", statm: str = "9 5 2") -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} 0 -1 4194560 0 0")
    (folder / "statm").write_text(f"{statm} 5 0 123 0\n")


def test_every_process_belongs_to_the_kernel_that_started_it(tmp_path: Path) -> None:
    for pid, parent, name in [
        (10, 1, "jupyterhub-sing"), (20, 10, "python"), (21, 20, "worker) S 10"),
        (22, 21, "sh"), (30, 10, "python"), (40, 10, "bash"), (41, 40, "vim"),
    ]:  # fmt: skip
        process(tmp_path, pid, parent, name)
    found = processes.families({20, 30}, [10, 20, 21, 22, 30, 40, 41, 99], tmp_path)
    assert found == {20: 20, 21: 20, 22: 20, 30: 30}


def test_shared_pages_are_not_a_process_s_own(tmp_path: Path) -> None:
    process(tmp_path, 7, 1, statm="25600 6000 1000")
    assert processes.private_bytes(7, tmp_path) == 5000 * os.sysconf("SC_PAGE_SIZE")
    assert processes.private_bytes(8, tmp_path) == 0


def test_private_memory_follows_what_a_real_process_takes() -> None:
    code = "x = bytearray(64 << 20); x[::4096] = x[::4096]; print(); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 64 << 20 <= processes.private_bytes(child.pid) < 96 << 20
        child.communicate(b"\n")


def test_a_process_can_be_made_expendable_and_its_children_are() -> None:
    code = "import subprocess; input(); subprocess.run(['cat', '/proc/self/oom_score_adj'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert not processes.is_expendable(child.pid)
        assert processes.expend(child.pid)
        assert processes.is_expendable(child.pid)
        assert child.communicate(b"\n")[0].split() == [b"500"]
    assert not processes.expend(child.pid)
