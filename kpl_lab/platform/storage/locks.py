"""Locks by name between the processes of one machine, or of one shared volume: files that are locked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of a name; False where somebody else has it and ``wait`` is not asked for.

    The file goes with the lock: who waited for one that was removed asks for its successor.
    """
    with locked_word(folder, lock_word(name), wait=wait) as is_mine:
        yield is_mine


def lock_word(name: str) -> str:
    """Return what the lock of a name is called."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@contextmanager
def locked_word(folder: Path, word: str, *, wait: bool = True) -> Iterator[bool]:
    """Do the same for a lock by what it is called."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / word
    while True:
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            if not _is_at(path, opened):
                continue
            try:
                yield True
            finally:
                with contextlib.suppress(OSError):
                    path.unlink()
            return
        finally:
            os.close(opened)


def _is_at(path: Path, opened: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(opened)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
