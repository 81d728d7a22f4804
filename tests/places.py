"""Temporary folders: in which whole installations can live, and as strangers leave them."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

ORDINARY_UID = 61234


def passable(folder: Path) -> Path:
    """Let every account pass ``folder`` and what lies above it; return it.

    pytest's folders are closed to others, and workloads have accounts of their own. With mount
    namespaces they would find their way nonetheless; in most containers there are none.
    """
    top = Path(tempfile.gettempdir()).resolve()
    for one in (folder, *folder.parents):
        if top in one.resolve().parents:
            one.chmod(one.stat().st_mode | 0o011)
    return folder


def nest(root: Path, depth: int, name: str = "d") -> None:
    """Make so many folders, each in the one before, and a file ``leaf`` in the innermost."""
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("leaf", os.O_WRONLY | os.O_CREAT, dir_fd=here))
    os.close(here)


def as_ordinary(folder: Path, act: Callable[[], None]) -> None:
    """Do something in ``folder`` without the rights of root, which no mode stops."""
    if os.geteuid() != 0:
        act()
        return
    passable(folder)
    os.chown(folder, ORDINARY_UID, ORDINARY_UID)
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID)
            os.setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID)
            act()
        except BaseException:  # noqa: BLE001 (this process is nobody else's, and must end here)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
