"""Outputs of an ended workload: plain files and folders move to the platform, nothing else does.

What a workload leaves behind is hostile: links that lead out, devices, hard links to what it could
not read. It may not run any more when this is called.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.running.trees import Account, give, remove_tree


@dataclass
class _Move:
    """One run over an output's tree."""

    giver: Account
    taker: Account

    def folder(self, source: int, target: Path) -> None:
        """Move what is in the open folder ``source`` into the folder ``target``."""
        target.mkdir(exist_ok=True)
        # A folder that the workload closed to itself is still walked: by descriptor, as root or
        # as its owner.
        os.fchmod(source, 0o700)
        for name in sorted(os.listdir(source)):
            found = os.stat(name, dir_fd=source, follow_symlinks=False)
            if found.st_uid != self.giver.uid:
                continue  # a hard link to somebody else's file
            if stat.S_ISDIR(found.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                if not found.st_mode & stat.S_IRUSR:
                    os.chmod(name, 0o700, dir_fd=source)
                fd = os.open(name, flags, dir_fd=source)
                try:
                    self.folder(fd, target / name)
                finally:
                    os.close(fd)
            elif stat.S_ISREG(found.st_mode):
                self._file(source, name, target / name, found)
        self._give(target, 0o755)

    def _file(self, source: int, name: str, target: Path, found: os.stat_result) -> None:
        if not found.st_mode & stat.S_IRUSR:
            os.chmod(name, 0o600, dir_fd=source)
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


def _copy(source: int, name: str, target: Path) -> None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with (
        os.fdopen(os.open(name, flags, dir_fd=source), "rb") as reader,
        target.open("wb") as writer,
    ):
        shutil.copyfileobj(reader, writer, 1024 * 1024)


def collect(source: Path, kept: Path, target: Path, *, giver: Account, taker: Account) -> int:
    """Put the files of the tree ``source`` into the new folder ``target``; return their bytes.

    They move to ``kept`` first (file by file, so that a crash in between loses none) and are then
    linked, or copied where ``target`` is on another disk. So this can be called again, also for
    another target, until ``kept`` is removed with the workload.

    Raises
    ------
    OSError
        No room, or a place that cannot be written.
    """
    kept.parent.mkdir(exist_ok=True)
    move = _Move(giver, taker)
    fd = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        move.folder(fd, kept)
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
