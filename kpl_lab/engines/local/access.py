"""Who may pass the closed folders of the store where there are no mount namespaces.

The store's folders are open to the platform's account alone, and an input or a mount is a link into
one of them. The account of the workload gets the right to pass (not to list) each closed folder on
the way, as an entry of the folder's access control list, for as long as something of it leads there.

The list's binary form is that of the kernel's ``linux/posix_acl_xattr.h``: a version (2), then for
each entry tag, permissions (little endian, 16 bits each) and id (32 bits), sorted by tag and id.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path

from kpl_lab.engines.local.ledger import Entry, Ledger
from kpl_lab.errors import EngineError

_ATTRIBUTE = "system.posix_acl_access"
_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_NO_ID = 0xFFFFFFFF
_PASS = 1
_OPEN_TO_ALL = 0o001
# What a file system without access control lists answers.
_UNSUPPORTED = frozenset({95, 22})

Entries = dict[tuple[int, int], int]


class Tag(IntEnum):
    """Whom an entry is about."""

    OWNER = 0x01
    USER = 0x02
    GROUP_OWNER = 0x04
    GROUP = 0x08
    MASK = 0x10
    OTHER = 0x20


class Passes:
    """Which accounts may pass to which sources, and for which workload.

    Kept in ``passes`` of the workload's folder, a line of JSON each: uid and source. Written down
    before it is given, so that a pass outlives nothing that it was given for.

    Parameters
    ----------
    store
        The store's root, resolved.
    """

    def __init__(self, ledger: Ledger, store: Path) -> None:
        self._ledger = ledger
        self._store = store

    def give(self, entry: Entry, uid: int, source: Path) -> None:
        """Let ``uid`` reach ``source`` as long as ``entry`` needs it; repeatable.

        Raises
        ------
        EngineError
            The file system has no access control lists, or the folder is gone.
        """
        held = _held_by(entry)
        if (uid, source) not in held:
            _write_down(entry, held | {(uid, source)})
        allow(closed_folders(source, self._store), uid)

    def take(self, entry: Entry, source: Path | None = None) -> None:
        """Take back what ``entry`` was given, or that to one source; others keep theirs."""
        held = _held_by(entry)
        going = {one for one in held if source in (None, one[1])}
        if not going:
            return
        others = [one for one in self._ledger.entries.values() if one is not entry]
        kept = (held - going).union(*map(_held_by, others))
        for uid in {uid for uid, _ in going}:
            needed = self._folders(uid, kept)
            deny([one for one in self._folders(uid, going) if one not in needed], uid)
        _write_down(entry, held - going)

    def _folders(self, uid: int, passes: set[tuple[int, Path]]) -> list[Path]:
        found = []
        for owner, source in passes:
            if owner == uid and source.exists():
                found += closed_folders(source, self._store)
        return found


def _held_by(entry: Entry) -> set[tuple[int, Path]]:
    try:
        lines = (entry.folder / "passes").read_text().splitlines()
    except FileNotFoundError:
        return set()
    return {(uid, Path(source)) for uid, source in map(json.loads, lines)}


def _write_down(entry: Entry, passes: set[tuple[int, Path]]) -> None:
    fresh = entry.folder / "passes.new"
    fresh.write_text("".join(json.dumps([uid, str(path)]) + "\n" for uid, path in sorted(passes)))
    fresh.replace(entry.folder / "passes")


def closed_folders(source: Path, store: Path) -> list[Path]:
    """Return the folders from ``store`` to ``source`` that not everybody may pass.

    Parameters
    ----------
    source
        A folder below the store, resolved.
    store
        The store's root, resolved; what lies above it is not ours to change.
    """
    way = [folder for folder in (source, *source.parents) if store in (folder, *folder.parents)]
    return [folder for folder in way if not folder.stat().st_mode & _OPEN_TO_ALL]


def allow(folders: Iterable[Path], uid: int) -> None:
    """Let ``uid`` pass each folder; repeatable.

    Raises
    ------
    EngineError
        The file system has no access control lists, or the folder is gone.
    """
    for folder in folders:
        entries = _read(folder)
        if entries.get((Tag.USER, uid), 0) & _PASS:
            continue
        entries[Tag.USER, uid] = _PASS
        mask = entries.get((Tag.MASK, _NO_ID), entries[Tag.GROUP_OWNER, _NO_ID])
        entries[Tag.MASK, _NO_ID] = mask | _PASS
        try:
            os.setxattr(folder, _ATTRIBUTE, _pack(entries))
        except OSError as error:
            hint = "Move KPL_HOME to a local disk." if error.errno in _UNSUPPORTED else ""
            raise EngineError(
                f"{folder} cannot be opened to the program alone: {error.strerror}. {hint}".strip(),
                code="no_access_lists",
            ) from error


def deny(folders: Iterable[Path], uid: int) -> None:
    """Take the right away again; no-op where it was not given or the folder is gone."""
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            entries = _read(folder)
            if entries.pop((Tag.USER, uid), None) is not None:
                os.setxattr(folder, _ATTRIBUTE, _pack(entries))


def _read(folder: Path) -> Entries:
    """Return the list of a folder; where there is none yet, what its mode says."""
    try:
        found = os.getxattr(folder, _ATTRIBUTE)
    except FileNotFoundError:
        raise
    except OSError:
        mode = folder.stat().st_mode
        return {
            (Tag.OWNER, _NO_ID): mode >> 6 & 7,
            (Tag.GROUP_OWNER, _NO_ID): mode >> 3 & 7,
            (Tag.OTHER, _NO_ID): mode & 7,
        }
    return {
        (tag, id): permissions
        for tag, permissions, id in _ENTRY.iter_unpack(found[_VERSION.size :])
    }


def _pack(entries: Entries) -> bytes:
    return _VERSION.pack(2) + b"".join(
        _ENTRY.pack(tag, permissions, id) for (tag, id), permissions in sorted(entries.items())
    )
