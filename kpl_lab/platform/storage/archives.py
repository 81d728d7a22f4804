"""Unpacking what strangers send: nothing leaves the folder, nothing grows without bound."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from kpl_lab.errors import Invalid, TooLarge
from kpl_lab.platform.storage.files import explain_full_disk

COPY_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_NAME_BYTES = 255
_ZIP_UTF8_FLAG = 0x800
_NO_TEXT = "has a name that is not text in UTF-8; rename it"
# Small archives of text shrink a lot: the ratio counts from here on.
RATIO_FREE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """Bounds of one archive: bytes and entries once unpacked, growth over its packed size."""

    total_bytes: int
    entries: int
    ratio: int


@dataclass(frozen=True)
class _Entry:
    name: str
    is_folder: bool
    size: int


class _Unpacker:
    """Writes entries below one folder and keeps count."""

    def __init__(self, target: Path, limits: ArchiveLimits, packed_bytes: int) -> None:
        self._target = target
        self._limits = limits
        by_ratio = max(packed_bytes * limits.ratio, RATIO_FREE_BYTES)
        self._budget = min(limits.total_bytes, by_ratio)
        self._entries = 0
        self._seen: set[str] = set()

    def place(self, entry: _Entry) -> Path | None:
        """Return where an entry goes; None for the root itself."""
        self._entries += 1
        if self._entries > self._limits.entries:
            raise TooLarge(
                f"The archive holds more than {self._limits.entries} entries, the limit here."
            )
        parts = _safe_parts(entry.name)
        if not parts:
            return None
        key = "/".join(parts)
        if not entry.is_folder:
            if key in self._seen:
                raise _refusal(entry.name, "stands in the archive twice")
            self._seen.add(key)
        return self._target.joinpath(*parts)

    def write(self, entry: _Entry, source: IO[bytes]) -> None:
        """Copy one file, byte for byte within the budget, whatever its header claims."""
        path = self.place(entry)
        if path is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as out:
                while part := source.read(COPY_BYTES):
                    self._budget -= len(part)
                    if self._budget < 0:
                        raise TooLarge(
                            "The archive unpacks to more than is allowed here; "
                            "split it, or ask an administrator to raise the limit.",
                            code="archive_bomb",
                        )
                    out.write(part)
        except (FileExistsError, NotADirectoryError) as error:
            raise _refusal(entry.name, "is a file and a folder at once") from error

    def folder(self, entry: _Entry) -> None:
        """Make a folder, so that empty ones are there too."""
        path = self.place(entry)
        if path is not None:
            try:
                path.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise _refusal(entry.name, "is a file and a folder at once") from error


def shown(name: str | Path) -> str:
    """Return a name from a disk or an archive as text; bytes that are none of UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _refusal(name: str, why: str) -> Invalid:
    told = shown(name)[:200]
    return Invalid(
        f"The archive was refused: its entry {told!r} {why}. "
        "Pack plain files and folders with relative names.",
        code="bad_archive",
        detail={"entry": told},
    )


def _safe_parts(name: str) -> tuple[str, ...]:
    """Return the parts of an entry's name, or refuse a name that leads elsewhere."""
    if "\0" in name or "\\" in name:
        raise _refusal(name, "has a backslash or zero byte in its name")
    if not _is_text(name):
        raise _refusal(name, _NO_TEXT)
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise _refusal(name, "leads out of the folder")
    parts = tuple(p for p in path.parts if p not in ("", "."))
    if len(parts) > MAX_DEPTH or any(len(p.encode()) > MAX_NAME_BYTES for p in parts):
        raise _refusal(name, "has a name that is too long or too deep")
    return parts


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # a byte that the archive's reader could not decode
        return False
    return True


def zip_name(info: zipfile.ZipInfo) -> str:
    """Return an entry's name as its maker meant it.

    Without the UTF-8 flag the name's bytes are in a code page of the maker's: UTF-8 is tried
    first, then GBK, which Chinese systems write; ``zipfile`` itself assumes code page 437.
    """
    if info.flag_bits & _ZIP_UTF8_FLAG:
        return info.filename
    try:
        raw = info.filename.encode("cp437")
    except UnicodeEncodeError:
        return info.filename
    for encoding in ("utf-8", "gbk"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return info.filename


def _unpack_zip(archive: Path, unpacker: _Unpacker) -> None:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            name = zip_name(info)
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                raise _refusal(name, "is a link")
            if info.flag_bits & 0x1:
                raise _refusal(name, "is encrypted")
            entry = _Entry(name, info.is_dir(), info.file_size)
            if entry.is_folder:
                unpacker.folder(entry)
            else:
                with opened.open(info) as source:
                    unpacker.write(entry, source)


def _unpack_tar(archive: Path, unpacker: _Unpacker) -> None:
    with tarfile.open(archive, "r:*") as opened:
        for member in opened:
            entry = _Entry(member.name, member.isdir(), member.size)
            if member.isdir():
                unpacker.folder(entry)
            elif member.isreg():
                source = opened.extractfile(member)
                assert source is not None  # noqa: S101 (a regular file always has one)
                with source:
                    unpacker.write(entry, source)
            else:
                raise _refusal(member.name, "is a link or a device")


def is_archive(path: Path) -> bool:
    """Tell whether a file is a zip or a tar, packed or not, by its content."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, target: Path, limits: ArchiveLimits) -> None:
    """Unpack a zip or tar (gz, bz2, xz) into the existing folder ``target``.

    Raises
    ------
    Invalid
        Not an archive, cut short, or with entries that are refused (links, devices, names that
        lead out of the folder).
    TooLarge
        More than the limits allow.
    StorageFull
        The disk has no room.
    """
    unpacker = _Unpacker(target, limits, archive.stat().st_size)
    reader = _unpack_zip if zipfile.is_zipfile(archive) else _unpack_tar
    try:
        with explain_full_disk():
            reader(archive, unpacker)
    except UnicodeDecodeError as error:  # a zip that promises UTF-8 and does not keep it
        raise _refusal(os.fsdecode(error.object), _NO_TEXT) from error
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        EOFError,
        zlib.error,
        NotImplementedError,
    ) as error:
        raise Invalid(
            "The file is not a whole zip or tar archive; it may have been cut short on its way. "
            "Pack and send it again.",
            code="bad_archive",
            detail={"cause": str(error)[:200]},
        ) from error


def plain_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in a stable order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def listing(folder: Path) -> list[dict[str, Any]]:
    """Return path and size of every file below a folder, to be shown: see :func:`shown`."""
    return [
        {"path": shown(path.relative_to(folder)), "bytes": path.stat().st_size}
        for path in plain_files(folder)
    ]


def lose_top_folder(folder: Path) -> Path:
    """Return the one folder inside ``folder`` when there is nothing else, else itself."""
    entries = list(folder.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
