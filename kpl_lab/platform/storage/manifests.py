"""What a version consists of, as it lies in a bucket: objects that hold one or more files each.

Small files share an object: a request for each of a hundred thousand would take minutes and cost
money. Names are in the manifest alone, for a key of S3 can hold neither every name nor every length.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

PACK_BYTES = 8 << 20
_VERSION = 1
# The path of the one file where a file and no folder is kept.
ITSELF = "."


@dataclass(frozen=True)
class KeptFile:
    """One file; ``digest`` is empty until it was sent."""

    path: str
    size: int
    mode: int
    mtime: int
    digest: str = ""


@dataclass(frozen=True)
class Pack:
    """One object: files one after the other."""

    key: str
    files: tuple[KeptFile, ...]

    @property
    def total(self) -> int:
        """Size of the object."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Manifest:
    """A whole version. Links are never kept: nothing that is published has any."""

    packs: tuple[Pack, ...]
    folders: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(pack.total for pack in self.packs)

    def dumped(self) -> bytes:
        """Return it as it is kept; names that are no text survive."""
        return json.dumps({"version": _VERSION, **asdict(self)}).encode()


class BadManifest(ValueError):
    """It is none of ours, or it was changed."""


def planned(source: Path, prefix: str) -> Manifest:
    """Return how a folder, or one file, is to lie in a bucket below ``prefix``.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    folders: list[tuple[str, int]] = []
    large: list[list[KeptFile]] = []
    small: list[list[KeptFile]] = []
    open_bytes = 0
    for path, facts in _below(source):
        mode = stat.S_IMODE(facts.st_mode)
        if stat.S_ISDIR(facts.st_mode):
            folders.append((path, mode))
        elif stat.S_ISREG(facts.st_mode):
            file = KeptFile(path, facts.st_size, mode, int(facts.st_mtime))
            if file.size >= PACK_BYTES:
                large.append([file])
                continue
            if not small or open_bytes + file.size > PACK_BYTES:
                small.append([])
                open_bytes = 0
            small[-1].append(file)
            open_bytes += file.size
    groups = enumerate([*large, *small])
    packs = (Pack(f"{prefix}/{i:06d}", tuple(files)) for i, files in groups)
    return Manifest(tuple(packs), tuple(folders))


def parsed(data: bytes) -> Manifest:
    """Return a manifest as it was kept.

    Raises
    ------
    BadManifest
        It cannot be read, or a path in it leads out of the folder.
    """
    try:
        found: dict[str, Any] = json.loads(data)
        if found["version"] != _VERSION:
            raise BadManifest(f"version {found['version']}")
        packs = tuple(
            Pack(str(p["key"]), tuple(KeptFile(**file) for file in p["files"]))
            for p in found["packs"]
        )
        made = Manifest(packs, tuple((str(path), int(mode)) for path, mode in found["folders"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadManifest(str(error)) from error
    names = [path for path, _mode in made.folders]
    for path in (*names, *(file.path for pack in packs for file in pack.files)):
        if path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
            raise BadManifest(f"the path {path!r} leads out of the folder")
    return made


def _below(source: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield folders before what is in them, the top one as ``.``; links are left out."""
    facts = source.lstat()
    yield ITSELF, facts
    waiting = [""] if stat.S_ISDIR(facts.st_mode) else []
    while waiting:
        folder = waiting.pop()
        for child in sorted((source / folder).iterdir()):
            path, facts = str(child.relative_to(source)), child.lstat()
            if stat.S_ISLNK(facts.st_mode):
                continue
            yield path, facts
            if stat.S_ISDIR(facts.st_mode):
                waiting.append(path)
