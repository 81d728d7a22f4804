"""Tar archives that are written straight into a request: no temporary file, size known beforehand."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from kpl_helper._ignore import IgnoreRules
from kpl_helper.base import logger
from kpl_helper.errors import SaveError

BLOCK = 256 * 1024


class TarStream:
    """A file or folder as a tar archive with one top entry.

    Symbolic links are stored as what they point to, since their targets do not exist elsewhere; one
    that leads nowhere, or back into a folder above it, is left out with a warning. Sockets, pipes and
    devices are left out too.

    Parameters
    ----------
    path
        What is packed; its name becomes the top entry.
    rules
        What is left out of a folder.

    Attributes
    ----------
    size
        Bytes of the archive.
    """

    def __init__(self, path: Path, rules: IgnoreRules | None = None) -> None:
        self._rules = rules or IgnoreRules([])
        self._members: list[tuple[tarfile.TarInfo, Path]] = []
        self._add(path, path.name or "root", "", ())
        end = 2 * tarfile.BLOCKSIZE
        used = sum(len(_header(info)) + _padded(info.size) for info, _ in self._members) + end
        self.size = -(-used // tarfile.RECORDSIZE) * tarfile.RECORDSIZE
        self._filler = self.size - used + end

    def biggest(self, count: int) -> list[tuple[str, int]]:
        """Return names and bytes of the biggest files."""
        files = sorted(((info.size, info.name) for info, _ in self._members), reverse=True)
        return [(name, size) for size, name in files[:count]]

    def blocks(self) -> Iterator[bytes]:
        """Yield the archive.

        Raises
        ------
        SaveError
            When a file got shorter in the meantime, or cannot be read.
        """
        for info, path in self._members:
            yield _header(info)
            if info.isreg():
                yield from file_blocks(path, info.size)
                yield bytes(_padded(info.size) - info.size)
        yield bytes(self._filler)

    def _add(self, path: Path, name: str, relative: str, above: tuple[str, ...]) -> None:
        try:
            status = path.stat()
        except OSError as error:
            logger.warning("[kpl-helper]: %s is left out: %s", path, error.strerror or error)
            return
        info = tarfile.TarInfo(name)
        info.mtime = int(status.st_mtime)
        info.mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISREG(status.st_mode):
            info.size = status.st_size
            self._members.append((info, path))
        elif stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            self._members.append((info, path))
            self._add_entries(path, name, relative, above)
        else:
            logger.warning("[kpl-helper]: %s is left out: no file or folder", path)

    def _add_entries(self, path: Path, name: str, relative: str, above: tuple[str, ...]) -> None:
        real = os.path.realpath(path)
        if real in above:
            logger.warning(
                "[kpl-helper]: %s is not followed: it leads back to a folder above", path
            )
            return
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            raise SaveError(f"{path} cannot be read: {error.strerror or error}") from error
        for entry in entries:
            below = f"{relative}/{entry.name}" if relative else entry.name
            if not self._rules.leaves_out(below, entry.is_dir()):
                self._add(entry, f"{name}/{entry.name}", below, (*above, real))


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def file_blocks(path: Path, size: int) -> Iterator[bytes]:
    """Yield exactly `size` bytes of a file.

    Raises
    ------
    SaveError
        When it holds fewer, or cannot be read.
    """
    left = size
    try:
        with path.open("rb") as file:
            while left:
                block = file.read(min(BLOCK, left))
                if not block:
                    raise SaveError(
                        f"{path} got shorter while it was sent; save it once nothing writes it"
                    )
                left -= len(block)
                yield block
    except OSError as error:
        raise SaveError(f"{path} cannot be read: {error.strerror or error}") from error
