"""Folders as tar streams: what goes in, how large it will be, and the bytes without a copy.

The archive is made while it is sent, so that a folder of any size needs no room and little
memory. Entries are plain files and folders with relative names (POSIX pax format); a file's
link is packed as what it leads to, because a link means nothing on the other side.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pathspec

from kpl_lab.errors import Invalid

CODE_IGNORES = ("__pycache__/", ".git/", ".ipynb_checkpoints/")
DATA_IGNORES = (".git/", ".ipynb_checkpoints/")
IGNORE_FILE = ".kplignore"
ENVIRONMENT_FILE = "environment.yml"
READ_BYTES = 1024 * 1024
_BLOCK = 512


@dataclass(frozen=True)
class Entry:
    """One file or folder to pack; ``name`` is relative, with slashes."""

    name: str
    path: Path
    is_folder: bool
    size: int
    mode: int
    modified: float


@dataclass(frozen=True)
class Folder:
    """What packing a folder will take."""

    root: Path
    entries: tuple[Entry, ...]

    @property
    def bytes(self) -> int:
        """Size of the archive, exactly."""
        return sum(len(_header(e)) + _padded(e.size) for e in self.entries) + 2 * _BLOCK

    @property
    def largest(self) -> str:
        """The three largest files, in words."""
        files = sorted(self.entries, key=lambda entry: -entry.size)[:3]
        return ", ".join(f"{e.name} ({e.size / 1024**2:.1f} MB)" for e in files)

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(not entry.is_folder for entry in self.entries)


def scan(root: Path, *, ignores: Iterable[str], top: str = "") -> Folder:
    """Return what of ``root`` is to be packed.

    Parameters
    ----------
    root
        An existing folder.
    ignores
        Patterns in the manner of ``.gitignore``; those of ``root/.kplignore`` are added.
    top
        Name of a folder that holds everything inside the archive; "" for none.

    Raises
    ------
    Invalid
        It is no folder, cannot be read, or holds what an archive cannot carry (a broken link,
        a link to a folder, a socket or device).
    """
    if not root.is_dir():
        raise Invalid(f"{root} is not a folder that can be read; check the path.", code="no_folder")
    rules = _rules(root, ignores)
    entries: list[Entry] = []

    def refuse(error: OSError) -> None:
        raise Invalid(
            f"{error.filename} cannot be read: {error.strerror}. Change its permissions, or name "
            f"it in {IGNORE_FILE}.",
            code="unreadable",
        )

    for folder, names, files in os.walk(root, onerror=refuse):
        here = Path(folder)
        relative = here.relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        names[:] = sorted(n for n in names if not rules.match_file(f"{prefix}{n}/"))
        kept = sorted(n for n in files if not rules.match_file(f"{prefix}{n}"))
        for name in names:
            entries.append(_entry(here / name, prefix + name, is_folder=True))
        for name in kept:
            entries.append(_entry(here / name, prefix + name, is_folder=False))
    if top:
        entries = [_below(top, entry) for entry in entries]
    return Folder(root, tuple(entries))


def scan_code(root: Path) -> Folder:
    """Return what to pack of a code folder, checked for what the platform would refuse.

    Raises
    ------
    Invalid
        There is no ``environment.yml`` in it.
    """
    if root.is_dir() and not (root / ENVIRONMENT_FILE).exists():
        # Said first: what packing would complain about matters in a code folder alone.
        raise _no_code_folder(root)
    folder = scan(root, ignores=CODE_IGNORES)
    if not any(entry.name == ENVIRONMENT_FILE for entry in folder.entries):
        raise _no_code_folder(root)
    return folder


def _no_code_folder(root: Path) -> Invalid:
    return Invalid(
        f"{root.resolve()} has no {ENVIRONMENT_FILE}, so it is no code folder; write one (its "
        "format: docs/reference/environment-yml.md) or name another folder.",
        code="no_environment_yml",
    )


def tar_stream(folder: Folder) -> Iterator[bytes]:
    """Yield the archive's bytes; each call yields the same ones as long as no file changes.

    Raises
    ------
    Invalid
        A file became shorter, or went away, while it was read.
    """
    for entry in folder.entries:
        yield _header(entry)
        if not entry.is_folder:
            yield from _content(entry)
            yield bytes(_padded(entry.size) - entry.size)
    yield bytes(2 * _BLOCK)


def _rules(root: Path, ignores: Iterable[str]) -> pathspec.GitIgnoreSpec:
    lines = list(ignores)
    try:
        lines += (root / IGNORE_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"{root / IGNORE_FILE} cannot be read ({error}); save it as UTF-8 text.",
            code="unreadable",
        ) from error
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError as error:
        raise Invalid(
            f"{root / IGNORE_FILE} holds a pattern that cannot be understood: {error}.",
            code="bad_ignore_file",
        ) from error


def _entry(path: Path, name: str, *, is_folder: bool) -> Entry:
    if is_folder and path.is_symlink():
        raise Invalid(
            f"{path} is a link to a folder, which cannot be packed; replace it by the folder, or "
            f"name it in {IGNORE_FILE}.",
            code="folder_link",
        )
    if not is_folder and not path.is_file():
        raise Invalid(
            f"{path} is a broken link or no ordinary file, which cannot be packed; remove it, or "
            f"name it in {IGNORE_FILE}.",
            code="not_a_file",
        )
    facts = path.stat()
    mode = 0o755 if is_folder or facts.st_mode & 0o100 else 0o644
    return Entry(name, path, is_folder, 0 if is_folder else facts.st_size, mode, facts.st_mtime)


def _below(top: str, entry: Entry) -> Entry:
    return Entry(
        f"{top}/{entry.name}",
        entry.path,
        entry.is_folder,
        entry.size,
        entry.mode,
        entry.modified,
    )


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.name)
    info.type = tarfile.DIRTYPE if entry.is_folder else tarfile.REGTYPE
    info.size, info.mode, info.mtime = entry.size, entry.mode, int(entry.modified)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _content(entry: Entry) -> Iterator[bytes]:
    left = entry.size
    try:
        with entry.path.open("rb") as file:
            while left:
                chunk = file.read(min(READ_BYTES, left))
                if not chunk:
                    break
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise Invalid(
            f"{entry.path} cannot be read: {error.strerror}; nothing was made of it.",
            code="unreadable",
        ) from error
    if left:
        raise Invalid(
            f"{entry.path} became shorter while it was read; wait until it is written, then try "
            "again.",
            code="changed_while_read",
        )
