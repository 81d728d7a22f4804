"""The files of a dataset: finding them, replacing them whole, and keeping one writer at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_dataset.errors import DatasetIncompleteError, DatasetLockedError, DatasetNotFoundError

if sys.platform != "win32":  # Windows has no advisory locks; nothing here relies on them alone.
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock

if TYPE_CHECKING:
    from collections.abc import Iterator

    PathLike = str | os.PathLike[str]

DEFAULT_NAME = "root"
FILES_FOLDER = "files"


def part(folder: Path, data_name: str, suffix: str) -> Path:
    """Return the path of one of a dataset's files, such as ``root.index``."""
    return folder / f"{data_name}.{suffix}"


def find_data_name(folder: Path, data_name: str | None) -> str:
    """Return the name of the dataset in a folder.

    It is `data_name` (``root`` by default) where that is there, else the only one in the folder.

    Raises
    ------
    DatasetNotFoundError
        The folder is missing, or holds no dataset or several.
    """
    wanted = data_name or DEFAULT_NAME
    if part(folder, wanted, "meta").is_file() or part(folder, wanted, "data").is_file():
        return wanted
    if not folder.is_dir():
        raise DatasetNotFoundError(
            f"There is no folder '{folder.absolute()}'; check the path of the dataset.",
            folder=str(folder),
        )
    names = sorted(path.stem for path in folder.iterdir() if path.suffix == ".data")
    if len(names) == 1:
        return names[0]
    found = f"only {', '.join(names)}: name one of them" if names else "nor any other `*.data`"
    raise DatasetNotFoundError(
        f"There is no dataset {wanted!r} in '{folder.absolute()}', {found}.",
        folder=str(folder),
        data_name=wanted,
        found=names,
    )


def read_part(folder: Path, data_name: str, suffix: str) -> bytes:
    """Return the content of one of the files that a dataset must have.

    Raises
    ------
    DatasetNotFoundError
        The file is missing.
    DatasetIncompleteError
        It is the index that is missing.
    """
    path = part(folder, data_name, suffix)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if suffix == "index":
            raise DatasetIncompleteError(
                f"'{path}' is missing: the dataset's writer has not been closed, or it ended "
                "before its first flush. Close the writer, or write the dataset again.",
                file=str(path),
            ) from None
        raise DatasetNotFoundError(
            f"'{path}' is missing; copy the dataset's folder again, with all its files.",
            file=str(path),
        ) from None


def replace_file(path: Path, content: bytes) -> None:
    """Put a file in place whole: at any moment there is the old content or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def lock(descriptor: int, path: Path) -> None:
    """Take a file for this process alone, where the file system can.

    Raises
    ------
    DatasetLockedError
        Another process has it.
    """
    try:
        if sys.platform != "win32":
            flock(descriptor, LOCK_EX | LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise DatasetLockedError(
                f"Another process is writing '{path}'; wait for it, or write to another folder.",
                file=str(path),
            ) from None
        # Some network file systems have no locks: go on without, as the original always does.


def unlock(descriptor: int) -> None:
    """Give a file free for all copies of the descriptor, those in forked processes included."""
    with contextlib.suppress(OSError):
        if sys.platform != "win32":
            flock(descriptor, LOCK_UN)


@contextlib.contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold a folder while one of its small files is read, changed and replaced."""
    if sys.platform == "win32":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)
