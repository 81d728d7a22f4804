"""Files of datasets, models, code and logs in one folder; published whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kpl_lab import trees
from kpl_lab.errors import Invalid, StorageFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
MayCommit = Callable[[], None]
# How long somebody waits for what has to be fetched first; a large version takes several such calls.
PATIENCE_SECONDS = 20.0


def free_to_commit() -> None:
    """Let a publication go on: nobody else is at work."""


@contextmanager
def explain_full_disk() -> Iterator[None]:
    """Turn a full disk into a sentence.

    Raises
    ------
    StorageFull
        The disk has no room.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(
            "The disk that holds the platform's files has no room left. "
            "Delete datasets, models or tasks that are no longer needed, then try again."
        ) from error


class FileStore:
    """A folder with one folder per kind; see docs/explanation/architecture.md.

    Parameters
    ----------
    root
        ``$KPL_HOME/storage``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, *parts: str | int) -> Path:
        """Return a path below the root.

        Raises
        ------
        Invalid
            The parts lead out of the root.
        """
        target = self.root.joinpath(*(str(p) for p in parts))
        if not target.resolve().is_relative_to(self.root.resolve()):
            raise Invalid("The path leads out of the store.", code="bad_path")
        return target

    def dataset(self, id: int, number: int) -> Path:
        """Return the folder of a dataset version."""
        return self.path("datasets", id, number)

    def model(self, id: int, number: int) -> Path:
        """Return the folder of a model version."""
        return self.path("models", id, number)

    def code(self, digest: str) -> Path:
        """Return the folder of a code snapshot."""
        return self.path("code", digest)

    def upload(self, id: int) -> Path:
        """Return the file that an upload's bytes go to."""
        return self.path("uploads", id)

    def task_log(self, id: int, node: int = 0) -> Path:
        """Return the file in which the log of a task's node is kept after its end."""
        return self.path("logs", "tasks", f"{id}-{node}.log" if node else f"{id}.log")

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """Give a fresh folder to fill; what is not published from it vanishes afterwards."""
        with explain_full_disk():
            folder = self.path("incoming", secrets.token_hex(8))
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                remove_tree(folder)

    def publish(self, filled: Path, target: Path, check: MayCommit = free_to_commit) -> None:
        """Move a filled folder to its place in one step; an earlier try's is replaced.

        Parameters
        ----------
        check
            Is called right before that; what it raises leaves things as they were.
        """
        check()
        with explain_full_disk():
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                remove_tree(target)
            filled.rename(target)

    def publish_same(self, filled: Path, target: Path) -> None:
        """Move a folder to a place that is named by its content: whoever was first has put the same."""
        with explain_full_disk():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                filled.rename(target)
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            target.chmod(0o555)

    def keep(self, path: Path) -> None:
        """Have a file that was written to its place kept for good; here it is already."""

    def is_at_hand(self, path: Path) -> bool:
        """Say whether something can be read at once; here it always can."""
        del path
        return True

    def is_here(self, path: Path) -> bool:
        """Say whether something is kept at ``path`` and can be read at once; never waits."""
        return path.exists()

    def may_be_far(self, path: Path) -> bool:
        """Say whether something may be kept that does not lie here; here nothing can."""
        del path
        return False

    def at_hand(self, path: Path, seconds: float | None = PATIENCE_SECONDS) -> Path:
        """Return ``path`` once what is kept there can be read.

        Parameters
        ----------
        seconds
            How long to wait; None: as long as it takes.
        """
        del seconds
        return path

    def progress(self, path: Path) -> str:
        """Return how far something is on its way, as words in brackets; here nothing is."""
        del path
        return ""

    def has(self, path: Path, seconds: float | None = PATIENCE_SECONDS) -> bool:
        """Say whether something is kept at ``path``; it can then be read. As :meth:`at_hand`."""
        del seconds
        return path.exists()

    def remove(self, path: Path) -> None:
        """Remove a folder or a file for good; no-op when it is not there."""
        remove_tree(path)

    def close(self) -> None:
        """Give up what is on its way."""

    def free_bytes(self) -> int:
        """Return the room that is left."""
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free


def make_read_only(folder: Path) -> None:
    """Take the right to write from all files and folders below and with ``folder``."""
    for entry in trees.below(folder):
        if not stat.S_ISLNK(entry.facts.st_mode):
            os.chmod(entry.name, 0o555 if entry.is_folder else 0o444, dir_fd=entry.folder)
    folder.chmod(0o555)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also a read-only one; no-op when it is not there."""
    with contextlib.suppress(OSError):  # what is in use stays, for the next cleaning
        trees.remove_tree(folder)


def size_of(folder: Path) -> int:
    """Return the bytes of all plain files below ``folder``."""
    return sum(
        entry.facts.st_size for entry in trees.below(folder) if stat.S_ISREG(entry.facts.st_mode)
    )
