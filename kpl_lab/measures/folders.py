"""How full a disk is, and what fills a folder."""

from __future__ import annotations

import contextlib
import heapq
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Below this, a notebook server cannot write what it needs to start and to save a notebook.
LITTLE_ROOM_BYTES = 8 << 20
_LITTLE_ROOM_FILES = 32
_BLOCK = 512
# A folder that holds hardly more than one folder in it tells less than that one.
_SAME_THING = 0.9
_FILES_KEPT = 50


@dataclass(frozen=True)
class Disk:
    """A file system as its users see it: bytes and entries, without what is kept for root."""

    size: int
    used: int
    free: int
    is_full: bool


def disk_of(folder: str | Path) -> Disk:
    """Return how full the disk of ``folder`` is: one call of the kernel."""
    found = os.statvfs(folder)
    used, free = (found.f_blocks - found.f_bfree), found.f_bavail
    has_entries = found.f_files == 0 or found.f_favail >= _LITTLE_ROOM_FILES
    return Disk(
        size=(used + free) * found.f_frsize,
        used=used * found.f_frsize,
        free=free * found.f_frsize,
        is_full=free * found.f_frsize < LITTLE_ROOM_BYTES or not has_entries,
    )


@dataclass(frozen=True)
class Bounds:
    """When a walk ends, whether or not it is through."""

    entries: int = 200_000
    seconds: float = 20.0


@dataclass
class Filling:
    """What a walk has found.

    Attributes
    ----------
    total
        Bytes on the disk, files with several names once.
    files
        The largest, with their bytes first; paths are relative to where the walk began.
    folders
        Bytes by path, with all that is below them.
    is_whole
        Whether the walk came to its end.
    """

    total: int = 0
    files: list[tuple[int, str]] = field(default_factory=list)
    folders: dict[str, int] = field(default_factory=dict)
    is_whole: bool = True

    def largest_files(self, count: int) -> list[tuple[str, int]]:
        """Return the largest files, the largest first."""
        return _largest({path: size for size, path in self.files}, count)

    def largest_folders(self, count: int) -> list[tuple[str, int]]:
        """Return the largest folders, without those that only lead to another of them."""
        leading = set()
        for path, size in self.folders.items():
            above = os.path.dirname(path)  # noqa: PTH120 (a word, a hundred thousand times)
            if size >= _SAME_THING * self.folders.get(above, size + 1):
                leading.add(above)
        return _largest({p: s for p, s in self.folders.items() if p not in leading}, count)


def _largest(sizes: dict[str, int], count: int) -> list[tuple[str, int]]:
    found = sorted(sizes.items(), key=lambda one: (-one[1], one[0]))
    return [one for one in found[:count] if one[1] > 0]


def walk(
    root: Path, bounds: Bounds | None = None, *, clock: Callable[[], float] = time.monotonic
) -> Filling:
    """Add up what lies below ``root``, on the same disk, following no link."""
    limit, found = bounds or Bounds(), Filling()
    until, seen = clock() + limit.seconds, set[tuple[int, int]]()
    device = root.stat().st_dev
    for number, (path, entry) in enumerate(_entries(root, device)):
        if number >= limit.entries or clock() > until:
            found.is_whole = False
            break
        status = entry.stat(follow_symlinks=False)
        if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
            key = (status.st_dev, status.st_ino)
            if key in seen:
                continue
            seen.add(key)
        _add(found, path, status.st_blocks * _BLOCK, entry.is_dir(follow_symlinks=False))
    return found


def _add(found: Filling, path: str, size: int, is_folder: bool) -> None:
    found.total += size
    if is_folder:
        found.folders[path] = found.folders.get(path, 0) + size
    else:
        # Not all of them: a home may hold more files than a small server has room to remember.
        keep = heapq.heappush if len(found.files) < _FILES_KEPT else heapq.heappushpop
        keep(found.files, (size, path))
    above = os.path.dirname(path)  # noqa: PTH120 (a word, a hundred thousand times)
    while above:
        found.folders[above] = found.folders.get(above, 0) + size
        above = os.path.dirname(above)  # noqa: PTH120


def _entries(root: Path, device: int) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield everything below ``root`` that can be looked at, folders before what is in them.

    The upper levels come first, so that a walk that is cut short has seen all of them.
    """
    waiting = [""]
    for folder in waiting:
        with contextlib.suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_dev != device:
                        continue
                    yield path, entry
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
