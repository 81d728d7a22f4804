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

from kpl_lab.errors import Invalid
from kpl_lab.formats import ignore

CODE_IGNORES = ignore.ALWAYS
DATA_IGNORES = (".git/", ".ipynb_checkpoints/")
IGNORE_FILE = ignore.FILE
ENVIRONMENT_FILE = "environment.yml"
READ_BYTES = 1024 * 1024
_BLOCK = 512
_SHOWN = 5


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
    """What packing a folder will take.

    Attributes
    ----------
    left_out
        What its ``.kplignore`` names, folders with a slash at their end; caches and the like, which
        are never packed, are not among it.
    """

    root: Path
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()

    @property
    def notices(self) -> list[str]:
        """What somebody should know before it is sent, in sentences."""
        if not self.left_out:
            return []
        count = len(self.left_out)
        shown = ", ".join(self.left_out[:_SHOWN]) + (
            f" and {count - _SHOWN} more" if count > _SHOWN else ""
        )
        return [f"{IGNORE_FILE} leaves out {count} of {self.root.resolve().name}: {shown}."]

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
        What is never packed: patterns in the manner of ``.gitignore``; those of ``root/.kplignore``
        are added.
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
    sieve = _Sieve(root, tuple(ignores))
    entries: list[Entry] = []
    for folder, names, files in os.walk(root, onerror=_refuse):
        here = Path(folder)
        relative = here.relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        names[:] = [n for n in sorted(names) if sieve.keeps(f"{prefix}{n}/")]
        kept = [n for n in sorted(files) if sieve.keeps(prefix + n)]
        entries += [entry_of(here / n, prefix + n, is_folder=True) for n in names]
        entries += [entry_of(here / n, prefix + n, is_folder=False) for n in kept]
    if top:
        entries = [_below(top, entry) for entry in entries]
    return Folder(root, tuple(entries), tuple(sieve.left_out))


def _refuse(error: OSError) -> None:
    raise Invalid(
        f"{error.filename} cannot be read: {error.strerror}. Change its permissions, or name "
        f"it in {IGNORE_FILE}.",
        code="unreadable",
    )


class _Sieve:
    """What of a folder is packed; remembers what its owner has named to be left out."""

    def __init__(self, root: Path, always: tuple[str, ...]) -> None:
        self._rules = ignore.rules(root, always)
        self._always = ignore.patterns(always)
        self.left_out: list[str] = []

    def keeps(self, name: str) -> bool:
        if not self._rules.match_file(name):
            return True
        if not self._always.match_file(name):
            self.left_out.append(name)
        return False


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


def entry_of(path: Path, name: str, *, is_folder: bool, ignore_file: str = IGNORE_FILE) -> Entry:
    """Return what of ``path`` is packed as ``name``.

    Raises
    ------
    Invalid
        An archive cannot carry it; it can be named in ``ignore_file``.
    """
    if is_folder and path.is_symlink():
        raise Invalid(
            f"{path} is a link to a folder, which cannot be packed; replace it by the folder, or "
            f"name it in {ignore_file}.",
            code="folder_link",
        )
    if not is_folder and not path.is_file():
        raise Invalid(
            f"{path} is a broken link or no ordinary file, which cannot be packed; remove it, or "
            f"name it in {ignore_file}.",
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
