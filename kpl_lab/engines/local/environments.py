"""Built environments: ``local/environments/<digest>/``, usable when its marker is there.

A virtual environment cannot be renamed (its scripts name their interpreter), so it is made in its
final place by an account of its own, and becomes usable by the atomic appearance of a marker that
only the supervisor can write, after everything was handed to root and made read-only.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from kpl_lab.trees import below, remove_tree

MARKER = ".kpl-environment.json"
LOCK = "lock.txt"


def is_usable(folder: Path) -> bool:
    """Say whether a finished environment lies in ``folder``.

    Who built it could write a marker too, but not one of ours.
    """
    try:
        marker = (folder / MARKER).lstat()
    except OSError:
        return False
    return stat.S_ISREG(marker.st_mode) and marker.st_uid == os.geteuid()


def base_of(folder: Path) -> Path | None:
    """Return the environment that a built one stands on; None for one that is not ours."""
    try:
        return Path(json.loads((folder / MARKER).read_text())["base"])
    except (OSError, ValueError, KeyError):
        return None


def chain_of(prefix: Path) -> list[Path]:
    """Return ``prefix`` and the environments below it, down to one that we did not build."""
    found = [prefix]
    while (base := base_of(found[-1])) is not None and base not in found:
        found.append(base)
    return found


def seal(folder: Path, base: str) -> None:
    """Make an environment nobody's but root's, read-only, and usable on top of ``base``.

    Raises
    ------
    OSError
        No room for the marker.
    """
    is_root = os.geteuid() == 0
    for entry in below(folder, open_up=True):
        _seal_one(entry.name, entry.facts.st_mode, is_root, entry.folder)
    fresh = folder / (MARKER + ".new")
    # The build could write here: a link of this name would be followed with all our rights.
    for name in (fresh, folder / MARKER):
        remove_tree(name)
    with fresh.open("x") as file:
        file.write(json.dumps({"version": 1, "base": base}) + "\n")
    fresh.chmod(0o444)
    fresh.replace(folder / MARKER)
    _seal_one(folder, folder.lstat().st_mode, is_root)


def _seal_one(path: Path | str, mode: int, is_root: bool, folder: int | None = None) -> None:
    if is_root:
        os.chown(path, 0, 0, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(mode):
        return
    # Also no setuid, and readable by every account: workloads run under many.
    executable = 0o111 if mode & 0o100 or stat.S_ISDIR(mode) else 0
    os.chmod(path, 0o444 | executable, dir_fd=folder)


def retire(folder: Path) -> None:
    """Let nothing begin in an environment any more, nor stand on it. Repeatable."""
    if not is_usable(folder):
        return
    folder.chmod(0o755)  # sealed: nobody but root may change it, and not everybody is root
    (folder / MARKER).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove an environment that was not finished; a finished one stays."""
    if not is_usable(folder):
        remove_tree(folder)
