"""What ``/proc`` says of a few processes, cheaply. Formats: proc(5)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# From 0 to 1000: what the kernel adds to a process's share of the memory, in thousandths of the
# limit, when it looks for one to kill. Half of the limit: a kernel dies before the server that
# started it, and the larger of two kernels before the smaller.
EXPENDABLE = 500


def expend(pid: int, proc: Path = PROC) -> bool:
    """Have a process, and what it starts, killed for memory before others; False where refused.

    Everybody may raise the value of a process of his own.
    """
    try:
        (proc / str(pid) / "oom_score_adj").write_text(str(EXPENDABLE))
    except OSError:
        return False
    return True


def is_expendable(pid: int, proc: Path = PROC) -> bool:
    """Say whether a process is to die for memory before others."""
    try:
        return int((proc / str(pid) / "oom_score_adj").read_text()) >= EXPENDABLE
    except (OSError, ValueError):
        return False


def parent_of(pid: int, proc: Path = PROC) -> int | None:
    """Return the pid of a process's parent; None when it is gone."""
    try:
        line = (proc / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything, parentheses too.
    return int(line[line.rindex(b")") + 2 :].split()[1])


def private_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the resident memory of a process that is not shared with files or others; 0 if gone.

    One small read, where the exact share of shared pages takes a walk over all of them.
    """
    try:
        words = (proc / str(pid) / "statm").read_bytes().split()
    except OSError:
        return 0
    return max(0, int(words[1]) - int(words[2])) * _PAGE


def families(roots: Collection[int], pids: Iterable[int], proc: Path = PROC) -> dict[int, int]:
    """Return which of ``roots`` each of ``pids`` descends from; those of none are left out."""
    parents = {pid: parent_of(pid, proc) for pid in pids}
    found = {}
    for pid in parents:
        here: int | None = pid
        for _ in range(len(parents) + 1):
            if here is None or here in roots:
                break
            here = parents.get(here)
        if here is not None and here in roots:
            found[pid] = here
    return found
