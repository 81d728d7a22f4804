"""The versions of datasets that a node has: each once, whole, never changed, gone when room is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kpl_lab.engines.kubernetes.agent.gateway import Gateway
from kpl_lab.engines.kubernetes.node.mounts import DATA
from kpl_lab.engines.kubernetes.tars import unpack
from kpl_lab.engines.kubernetes.wire import ChunkReader
from kpl_lab.engines.local import syscalls
from kpl_lab.errors import EngineError
from kpl_lab.trees import remove_tree

_ABOUT = "about.json"
_PART = ".part"
_VERSION = re.compile(r"[0-9a-f]{32}")
# Of the node's disk, so that the cache is never what brings a node under pressure.
_LEFT_SHARE = 0.1


class Full(EngineError):
    """A version has no room on the node."""

    default_code = "cache_full"


class Withdrawn(Exception):
    """Nobody wants what was being fetched any more."""


@dataclass
class Progress:
    """How far a version has come, in bytes, and how often the gate has begun to send it."""

    done: int = 0
    total: int = 0
    answers: int = 0


class Cache:
    """The versions that lie in a folder.

    Parameters
    ----------
    most
        Bytes that all of them may have.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self.most = most

    def open(self) -> None:
        """Make the folder, closed to others, and remove what was not fetched to its end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        for left in self._folder.glob(f".*{_PART}"):
            remove_tree(left)

    def has(self, version: str) -> bool:
        """Say whether a version is here."""
        return (self._folder / _checked(version) / _ABOUT).exists()

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each version, the longest unused first."""
        found = [path for path in self._folder.glob(f"*/{_ABOUT}") if path.parent.name[0] != "."]
        found.sort(key=lambda path: path.stat().st_mtime_ns)
        return {path.parent.name: int(json.loads(path.read_text())["bytes"]) for path in found}

    def used(self, version: str) -> None:
        """Note that a version is used now."""
        os.utime(self._folder / _checked(version) / _ABOUT)

    def make_room(
        self, size: int, kept: Collection[str], coming: Collection[Progress] = ()
    ) -> list[Path]:
        """Put versions aside until ``size`` bytes have room; return what is to be discarded.

        Parameters
        ----------
        kept
            Versions that stay.
        coming
            Others that have been given room: none of them counts among the versions yet, and what
            has come of them lies on the disk already.

        Raises
        ------
        Full
            Even without all others there is no room.
        """
        sizes = self.sizes()
        disk = shutil.disk_usage(self._folder)
        free = disk.free - int(disk.total * _LEFT_SHARE)
        free -= sum(one.total - one.done for one in coming)
        room = self.most - sum(sizes.values()) - sum(one.total for one in coming)
        idle = {version: bytes for version, bytes in sizes.items() if version not in kept}
        if size > room + sum(idle.values()):
            raise Full(
                f"The node's cache has no room for {_text(size)}: it may hold {_text(self.most)}, and "
                f"{_text(self.most - room - sum(idle.values()))} are in use."
            )
        if size > free + sum(idle.values()):
            raise Full(f"The disk of the node has no room for {_text(size)}.")
        aside = []
        for version, bytes in idle.items():
            if size <= min(room, free):
                break
            aside.append(self._put_aside(version))
            room, free = room + bytes, free + bytes
        return aside

    def _put_aside(self, version: str) -> Path:
        # Under another name at once: what is half removed must not be taken for whole.
        aside = self._folder / f".{version}.{time.monotonic_ns()}{_PART}"
        (self._folder / version).rename(aside)
        return aside

    def fetch(
        self,
        version: str,
        gateway: Gateway,
        make_room: Callable[[int], None],
        progress: Progress,
        is_wanted: Callable[[], bool],
    ) -> None:
        """Bring a version here, in one piece: blocks, and tries once.

        Parameters
        ----------
        make_room
            Called with its size before anything is written; notes it in ``progress``, once there is room.

        Raises
        ------
        Withdrawn, Full
            Nobody wants it any more; there is no room.
        Refused, or what ``AGAIN`` names
            As ``Gateway.once``.
        """
        part = self._folder / f".{_checked(version)}{_PART}"

        def take(answer: dict[str, int], stream: IO[bytes]) -> None:
            progress.done, progress.answers = 0, progress.answers + 1
            make_room(int(answer["bytes"]))
            unpack(_Counted(stream, progress, is_wanted), part / DATA)

        remove_tree(part)
        part.mkdir()
        try:
            gateway.once("fetch", {"what": "version", "key": version}, take)
            (part / _ABOUT).write_text(json.dumps({"bytes": progress.total}))
            _sync(part)
            part.rename(self._folder / version)
        except BaseException:
            remove_tree(part)
            raise


class _Counted(ChunkReader):
    """Chunks that are counted, and end when nobody wants them."""

    def __init__(
        self, source: IO[bytes], progress: Progress, is_wanted: Callable[[], bool]
    ) -> None:
        super().__init__(source)
        self._progress, self._is_wanted = progress, is_wanted

    def read(self, size: int) -> bytes:
        """Return bytes, as ``ChunkReader`` does."""
        if not self._is_wanted():
            raise Withdrawn
        data = super().read(size)
        # The frame of a tar is more than its files.
        self._progress.done = min(self._progress.done + len(data), self._progress.total)
        return data


def _sync(folder: Path) -> None:
    """Have everything on the disk: a node that loses power must not keep a version with holes."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        syscalls.sync_file_system(fd)
    finally:
        os.close(fd)


def _checked(version: str) -> str:
    if not _VERSION.fullmatch(version):
        raise EngineError(f"{version[:60]!r} names no version.", code="invalid_name")
    return version


def _text(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB" if size >= 1024**3 else f"{-(-size // 1024**2)} MiB"
