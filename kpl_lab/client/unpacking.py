"""Downloads: a tar stream becomes a folder, all of it or nothing, and never outside of it."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kpl_lab.errors import Conflict, Invalid, StorageFull, Unavailable

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and, where known, the bytes in all."""


class _Reader(io.RawIOBase):
    """A file-like view of an iterator of bytes; tells how much was read."""

    def __init__(self, chunks: Iterator[bytes], on_read: Callable[[int], None]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._on_read = on_read
        self._done = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._rest += chunk
            self._done += len(chunk)
            self._on_read(self._done)
        size = len(self._rest) if size < 0 else size
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


def unpack(
    chunks: Iterator[bytes],
    target: Path,
    *,
    total: int | None = None,
    on_progress: Progress | None = None,
) -> int:
    """Write the archive into the new folder ``target`` and return how many files it held.

    Parameters
    ----------
    chunks
        The bytes of a tar.
    target
        A folder that does not exist, or is empty.
    total
        Bytes in all, where known; only passed on to ``on_progress``.

    Raises
    ------
    Conflict
        ``target`` is there already.
    Invalid
        The archive holds something else than files and folders below itself.
    Unavailable
        It ended early.
    StorageFull
        No room.
    """
    _require_room(target)
    reader = _Reader(chunks, lambda done: on_progress(done, total) if on_progress else None)
    with _told(target), _work_folder(target) as work:
        count = _extract(reader, work)
        work.chmod(0o755)
        if target.exists():
            target.rmdir()
        work.replace(target)
    return count


def _require_room(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(
            f"{target} is there already and nothing is overwritten; remove it, or name another "
            "folder with --to.",
            code="target_exists",
        )


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Say in words what stops an archive from becoming ``target``."""
    try:
        yield
    except tarfile.TarError as error:
        raise Unavailable(
            "The download ended early or is not an archive; try again.", code="broken_download"
        ) from error
    except OSError as error:
        raise StorageFull(
            f"{target} cannot be written: {error.strerror}. Make room, or name another folder.",
            code="cannot_write",
        ) from error


@contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside ``target``; what is still there afterwards is removed."""
    parent = target.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _extract(reader: _Reader, folder: Path) -> int:
    count = 0
    with tarfile.open(fileobj=reader, mode="r|") as archive:
        for member in archive:
            path = folder / _checked(member.name)
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                raise Invalid(
                    f"The archive holds {member.name!r}, which is neither a file nor a folder; "
                    "nothing was unpacked.",
                    code="unsafe_archive",
                )
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                shutil.copyfileobj(content, file, 1024 * 1024)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)
            count += 1
    return count


def _checked(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise Invalid(
            f"The archive holds the path {name!r}, which leads outside of it; nothing was "
            "unpacked.",
            code="unsafe_archive",
        )
    return path
