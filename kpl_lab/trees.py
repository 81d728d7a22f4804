"""Trees of files that strangers have made: of any depth, with names and paths of any length.

Everything goes by descriptor, one at a time, so that neither the depth of Python's calls, nor the
number of open files, nor PATH_MAX is a limit, and no link is followed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Entry:
    """Something in a folder.

    Attributes
    ----------
    folder
        Descriptor of the folder that it is in; valid until the next entry is asked for.
    facts
        What ``lstat`` says of it.
    """

    folder: int
    name: str
    facts: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder; a link to one is none."""
        return stat.S_ISDIR(self.facts.st_mode)


@dataclass(frozen=True)
class _Level:
    """A folder on the way down: its own name, and what of it is still to be looked at."""

    name: str
    facts: os.stat_result
    waiting: list[str]


def below(root: Path, *, open_up: bool = False) -> Iterator[Entry]:
    """Yield everything below the folder ``root``, what is in a folder before the folder.

    Parameters
    ----------
    open_up
        Give ourselves, as the owner, the right to read and change each folder.

    Raises
    ------
    OSError
        A folder cannot be read, or was moved away meanwhile.
    """
    here = _enter(root, None, open_up)
    try:
        levels = [_Level("", os.fstat(here), _names(here))]
        while levels:
            level = levels[-1]
            if level.waiting:
                name = level.waiting.pop()
                facts = _look(name, here)
                if facts is None:
                    continue
                if not stat.S_ISDIR(facts.st_mode):
                    yield Entry(here, name, facts)
                    continue
                here = _moved(here, _enter(name, here, open_up))
                levels.append(_Level(name, os.fstat(here), _names(here)))
            else:
                levels.pop()
                if levels:
                    here = _moved(here, _leave(here, levels[-1]))
                    yield Entry(here, level.name, level.facts)
    finally:
        os.close(here)


def _names(folder: int) -> list[str]:
    return os.listdir(folder)


def _look(name: str, folder: int) -> os.stat_result | None:
    with contextlib.suppress(FileNotFoundError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    return None


def _moved(before: int, now: int) -> int:
    os.close(before)
    return now


def _enter(name: str | Path, folder: int | None, open_up: bool) -> int:
    try:
        opened = os.open(name, _FOLDER, dir_fd=folder)
    except PermissionError:
        if not open_up:
            raise
        os.chmod(name, stat.S_IRWXU, dir_fd=folder)
        opened = os.open(name, _FOLDER, dir_fd=folder)
    mode = stat.S_IMODE(os.fstat(opened).st_mode)
    if open_up and mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(opened, mode | stat.S_IRWXU)
    return opened


def _leave(folder: int, level: _Level) -> int:
    """Return the folder above, which must be the one that we came from."""
    above = os.open("..", _FOLDER, dir_fd=folder)
    found = os.fstat(above)
    if (found.st_dev, found.st_ino) != (level.facts.st_dev, level.facts.st_ino):
        os.close(above)
        raise OSError(errno.ESTALE, "The folder was moved while it was looked through", level.name)
    return above


def remove_tree(path: Path) -> None:
    """Remove a tree or a file, also one whose folders were made read-only; no-op without one.

    Raises
    ------
    OSError
        Something cannot be removed; as much as possible is.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
            return
        first: OSError | None = None
        for entry in below(path, open_up=True):
            try:
                _remove(entry)
            except OSError as error:
                first = first or error
        if first is not None:
            raise first
        path.rmdir()


def _remove(entry: Entry) -> None:
    with contextlib.suppress(FileNotFoundError):
        if entry.is_folder:
            os.rmdir(entry.name, dir_fd=entry.folder)
        else:
            os.unlink(entry.name, dir_fd=entry.folder)
