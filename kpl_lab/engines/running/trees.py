"""Trees of files, handed to an account."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kpl_lab import trees


@dataclass(frozen=True)
class Account:
    """A uid and the gid of the same number."""

    uid: int
    gid: int


def give(root: Path, uid: int, gid: int, *, writable: bool) -> None:
    """Hand a tree to an account; links themselves, never what they lead to."""
    for entry in trees.below(root, open_up=writable):
        os.chown(entry.name, uid, gid, dir_fd=entry.folder, follow_symlinks=False)
        if writable and not stat.S_ISLNK(entry.facts.st_mode):
            # Never setuid or setgid, which the change of the owner has taken away.
            wanted = entry.facts.st_mode & 0o777 | (0o700 if entry.is_folder else 0o600)
            os.chmod(entry.name, wanted, dir_fd=entry.folder)
    os.chown(root, uid, gid, follow_symlinks=False)
