"""Outputs of an ended workload: plain files and folders move to the platform, nothing else does.

What a workload leaves behind is hostile: links that lead out, devices, hard links to what it could
not read. It may not run any more when this is called.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.running.trees import Account, give
from kpl_lab.errors import EngineError
from kpl_lab.trees import remove_tree

# Enough for what people make, and short enough for every path below the store (PATH_MAX) and for
# whatever reads the files later. Archives may be as deep.
MAX_DEPTH = 64
MAX_PATH_BYTES = 2048


@dataclass
class _Move:
    """One run over an output's tree."""

    kept: Path
    giver: Account
    taker: Account

    def folder(self, source: int, way: tuple[str, ...] = ()) -> None:
        """Move what is in the open folder ``source`` to where ``way`` leads below ``kept``."""
        target = self.kept.joinpath(*way)
        if target.is_file():
            target.unlink()  # another replica's, which gives way
        target.mkdir(exist_ok=True)
        # A folder that the workload closed to itself is still walked: by descriptor, as root or
        # as its owner.
        os.fchmod(source, 0o700)
        for name in sorted(os.listdir(source)):
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if found.st_uid != self.giver.uid:
                continue  # a hard link to somebody else's file
            if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
                _check_way((*way, name))
            if stat.S_ISDIR(found.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                if not found.st_mode & stat.S_IRUSR:
                    os.chmod(name, 0o700, dir_fd=source)
                fd = os.open(name, flags, dir_fd=source)
                try:
                    self.folder(fd, (*way, name))
                finally:
                    os.close(fd)
            elif stat.S_ISREG(found.st_mode):
                self._file(source, name, target / name, found)
        self._give(target, 0o755)

    def _file(self, source: int, name: str, target: Path, found: os.stat_result) -> None:
        if not found.st_mode & stat.S_IRUSR:
            os.chmod(name, 0o600, dir_fd=source)
        if target.is_dir():
            remove_tree(target)  # another replica's, which gives way
        if found.st_nlink > 1:
            _copy(source, name, target)
            os.unlink(name, dir_fd=source)
        else:
            os.rename(name, target, src_dir_fd=source)
        self._give(target, 0o644 | found.st_mode & 0o111)

    def _give(self, path: Path, mode: int) -> None:
        if os.geteuid() == 0:
            os.chown(path, self.taker.uid, self.taker.gid, follow_symlinks=False)
        path.chmod(mode)


def _check_way(way: tuple[str, ...]) -> None:
    """Refuse what lies so deep that nobody could read it under its path."""
    if len(way) > MAX_DEPTH or len(os.fsencode("/".join(way))) > MAX_PATH_BYTES:
        raise EngineError(
            f"The output was not kept: what it holds in {way[0][:100]!r} lies more than "
            f"{MAX_DEPTH} folders deep, or its path has more than {MAX_PATH_BYTES} bytes. Write "
            "fewer folders into each other, or pack them into one file.",
            code="output_too_deep",
        )


def _copy(source: int, name: str, target: Path) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with (
        os.fdopen(os.open(name, flags, dir_fd=source), "rb") as reader,
        target.open("wb") as writer,
    ):
        shutil.copyfileobj(reader, writer, 1024 * 1024)


def collect(
    sources: Sequence[Path], kept: Path, target: Path, *, giver: Account, taker: Account
) -> int:
    """Put the files of trees into the new folder ``target``; return their bytes.

    Where two trees have the same file, the earlier one's counts. They move to ``kept`` first (file by file, so that a crash in between loses none) and are then
    linked, or copied where ``target`` is on another disk. So this can be called again, also for
    another target, until ``kept`` is removed with the workload.

    Raises
    ------
    EngineError
        Folders lie deeper in each other than is allowed.
    OSError
        No room, or a place that cannot be written.
    """
    kept.parent.mkdir(exist_ok=True)
    for source in reversed(sources):
        fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _Move(kept, giver, taker).folder(fd)
        finally:
            os.close(fd)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    remove_tree(target)
    remove_tree(part)
    shutil.copytree(kept, part, copy_function=_link_or_copy)
    give(part, taker.uid, taker.gid, writable=True)
    part.replace(target)
    return sum(
        (Path(folder) / name).stat().st_size
        for folder, _, names in os.walk(target)
        for name in names
    )


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
