"""Trees of files: handed to an account, removed whatever their modes are."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A uid and the gid of the same number."""

    uid: int
    gid: int


def give(root: Path, uid: int, gid: int, *, writable: bool) -> None:
    """Hand a tree to an account; links themselves, never what they lead to."""
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            _give_one(os.path.join(folder, name), uid, gid, writable)  # noqa: PTH118 (a hot loop)
    _give_one(os.fspath(root), uid, gid, writable)


def _give_one(path: str, uid: int, gid: int, writable: bool) -> None:
    os.chown(path, uid, gid, follow_symlinks=False)
    found = os.lstat(path)
    if writable and not stat.S_ISLNK(found.st_mode):
        wanted = stat.S_IMODE(found.st_mode) | stat.S_IRUSR | stat.S_IWUSR
        os.chmod(path, wanted | (stat.S_IXUSR if stat.S_ISDIR(found.st_mode) else 0))  # noqa: PTH101


def remove_tree(path: Path) -> None:
    """Remove a tree, also one whose folders were made read-only; no-op when it is not there."""

    def open_up(
        function: Callable[[str], object], name: str, error: tuple[type, BaseException, object]
    ) -> None:
        del error
        parent = Path(name).parent
        parent.chmod(0o700)
        if not os.path.islink(name) and os.path.isdir(name):  # noqa: PTH112,PTH114 (plain text)
            Path(name).chmod(0o700)
            if function is not os.rmdir and function is not os.unlink:
                shutil.rmtree(name, ignore_errors=True)
                return
        function(name)

    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path, onerror=open_up)
