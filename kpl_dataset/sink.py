"""Crash-safe writing of records.

Records go to ``*.data`` as they come. The index is replaced as a whole, after the records that it
names are on disk: a writer that dies leaves the records of its last flush, readable, or (before
the first) a dataset without index, which readers refuse.
"""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from kpl_dataset import native
from kpl_dataset.errors import DatasetClosedError, DatasetLockedError
from kpl_dataset.files import lock, part, replace_file, unlock
from kpl_dataset.schema import encode_meta
from kpl_dataset.wire import length_field

if TYPE_CHECKING:
    from pathlib import Path

    from kpl_dataset.schema import RecordType

FLUSH_SECONDS = 5.0
FLUSH_SHARE = 20  # flushing takes at most about one part in so many of the time
_BUFFER_BYTES = 1 << 20

# What this process is writing, by path: a notebook cell that runs twice opens its writer twice.
_open_sinks: WeakValueDictionary[str, Sink] = WeakValueDictionary()


class Sink:
    """The data, index and meta files of a dataset that is being written.

    Parameters
    ----------
    folder, data_name
        Where; the folder exists.
    record_type
        A record type; what was there under the name is replaced.

    Raises
    ------
    DatasetLockedError
        Another process writes the same dataset.
    SchemaError
        The record type is not one.
    """

    def __init__(self, folder: Path, data_name: str, record_type: RecordType) -> None:
        meta = encode_meta(record_type, data_name).encode()
        self._data_path = part(folder, data_name, "data")
        self._index_path = part(folder, data_name, "index")
        key = os.path.realpath(self._data_path)
        earlier = _open_sinks.get(key)
        if earlier is not None:
            earlier.abandon()
        self._descriptor = _create(self._data_path, self._index_path)
        # A buffer of our own: a forked copy of a file object would write its part a second time.
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._owner = os.getpid()
        self._offset = 0
        self._offsets = array("q", (0,))
        self._packed = bytearray()
        self._count = 0
        self._next_flush = time.monotonic() + FLUSH_SECONDS
        self.closed_because = ""
        replace_file(part(folder, data_name, "meta"), meta)
        _open_sinks[key] = self

    def __len__(self) -> int:
        return self._count

    def append(self, record: bytes) -> None:
        """Add one encoded record.

        Raises
        ------
        DatasetClosedError
            The sink is closed.
        """
        if self.closed_because:
            raise DatasetClosedError(self.closed_because)
        size = len(record)
        self._pending.append(record)
        self._pending_bytes += size
        self._offset += size
        self._offsets.append(self._offset)
        self._count += 1
        if self._pending_bytes > _BUFFER_BYTES:
            self._drain()
        if time.monotonic() > self._next_flush:
            self.flush()

    def _drain(self) -> None:
        if os.getpid() != self._owner:
            raise DatasetClosedError("A dataset is written by the process that opened its writer.")
        data = b"".join(self._pending)
        written = 0
        try:
            while written < len(data):
                written += os.write(self._descriptor, data[written:] if written else data)
        finally:
            # Where the disk is full, the rest waits for another try.
            self._pending = [data[written:]] if written < len(data) else []
            self._pending_bytes = len(data) - written

    def flush(self) -> None:
        """Put all records so far on disk, readable."""
        if self.closed_because:
            return
        begun = time.monotonic()
        self._drain()
        os.fsync(self._descriptor)
        self._packed += native.pack_varints(self._offsets)
        del self._offsets[:]
        replace_file(self._index_path, length_field(0x0A, bytes(self._packed)))
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_SECONDS, FLUSH_SHARE * (now - begun))

    def close(self) -> None:
        """Flush and let go of the files; a second call does nothing."""
        if not self.closed_because:
            try:
                self.flush()
            finally:
                self._release("The dataset is closed; open another writer to write it anew.")

    def abandon(self) -> None:
        """Let go of the files: another writer of this process has taken over the dataset."""
        if not self.closed_because:
            self._release("Another writer of this program has started this dataset anew.")

    def finish(self) -> None:
        """Close a sink that its program forgot; never from a forked copy of the process."""
        if os.getpid() == self._owner:
            self.close()

    def _release(self, reason: str) -> None:
        self.closed_because = reason
        self._pending.clear()
        unlock(self._descriptor)
        os.close(self._descriptor)


def _create(data_path: Path, index_path: Path) -> int:
    """Make an empty data file, locked, and remove what was there before.

    The old file is unlinked, not emptied: whoever still reads it keeps its records.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    old = os.open(data_path, flags, 0o666)
    try:
        lock(old, data_path)
        for path in (index_path, data_path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        descriptor = os.open(data_path, flags | os.O_EXCL, 0o666)
    except FileExistsError:
        raise DatasetLockedError(
            f"Another process has just begun to write '{data_path}'.", file=str(data_path)
        ) from None
    finally:
        os.close(old)
    lock(descriptor, data_path)
    return descriptor
