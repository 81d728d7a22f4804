"""Writing a dataset."""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_dataset.encode import record_encoder
from kpl_dataset.errors import DatasetClosedError, RecordValueError
from kpl_dataset.files import DEFAULT_NAME, FILES_FOLDER, part
from kpl_dataset.metadb import MetaDB
from kpl_dataset.record import size_threshold
from kpl_dataset.sink import Sink
from kpl_dataset.wire import encode_int64, length_field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from kpl_dataset.files import PathLike
    from kpl_dataset.schema import RecordType

_HEAD_BYTES = 512


def _new_file_name() -> str:
    # Only here, as shutil below: few datasets have large files, and every program imports this.
    from uuid import uuid4

    return uuid4().hex


class WriteOnlyDataset:
    """Writes a new dataset; one of the same name in the folder is replaced.

    Records are on disk, readable, after :meth:`flush` and :meth:`close`, and every few seconds in
    between. A writer that is not closed is closed when the program ends.

    Parameters
    ----------
    data_dir
        The dataset's folder; it is made where it is missing.
    data_name
        Name of the dataset in the folder, ``root`` by default.
    record_type
        Dict of field name to type; see :mod:`kpl_dataset.schema`.

    Raises
    ------
    SchemaError
        The record type is not one.
    DatasetLockedError
        Another process is writing this dataset.

    Examples
    --------
    >>> with WriteOnlyDataset("/data/new", "root", {"x": "Int"}) as writer:  # doctest: +SKIP
    ...     writer.write({"x": 1})
    """

    VERSION = 1

    def __init__(
        self,
        data_dir: PathLike,
        data_name: str | None = None,
        record_type: RecordType | None = None,
    ) -> None:
        folder = Path(data_dir)
        name = data_name or DEFAULT_NAME
        kinds: RecordType = {} if record_type is None else record_type
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._sink = Sink(folder, name, kinds)
        self._encode = record_encoder(kinds, self._encode_file)
        self._copied: list[Path] = []
        self._meta_db = MetaDB(part(folder, name, "prop"))
        self._finish = weakref.finalize(self, self._sink.finish)

    def __len__(self) -> int:
        """Return how many records were written."""
        return len(self._sink)

    def get_meta_db(self) -> MetaDB:
        """Return the dataset's own properties."""
        return self._meta_db

    def write(self, record: Mapping[str, object]) -> None:
        """Add a record; it is written whole or not at all.

        Fields may be missing; they read back as zero values.

        Raises
        ------
        RecordValueError
            A value does not fit the record type; the error names record and field.
        DatasetClosedError
            The writer is closed.
        """
        if self._sink.closed_because:
            raise DatasetClosedError(self._sink.closed_because)
        if self._copied:
            self._copied = []
        try:
            data = self._encode(record)
        except RecordValueError as error:
            self._remove_copies()
            raise error.located(len(self._sink)) from error.__cause__
        self._sink.append(data)

    def write_all(self, records: Iterable[Mapping[str, object]]) -> int:
        """Add many records; return how many they were.

        Raises
        ------
        RecordValueError
            A value does not fit; the records before it are written.
        """
        before = len(self._sink)
        for record in records:
            self.write(record)
        return len(self._sink) - before

    def flush(self) -> None:
        """Put all records so far on disk: they survive a crash and can be read."""
        self._sink.flush()

    def close(self) -> None:
        """Put all records on disk and let go of the files; a second call does nothing."""
        self._sink.close()
        self._finish.detach()

    def __enter__(self) -> WriteOnlyDataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _encode_file(self, value: object) -> bytes:
        """Return the ``FileContent`` of a local file; a large one is copied beside the records."""
        if not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"expected a path, got {type(value).__name__}")
        with Path(value).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            large = size > size_threshold()
            content = file.read(_HEAD_BYTES) if large else file.read()
        parts = [b"\x08\x01"] if large else []
        if content:
            parts.append(length_field(0x12, content))
        if large:
            parts.append(length_field(0x1A, self._copy(value).encode()))
        if size:
            parts.append(b"\x20" + encode_int64(size if large else len(content)))
        return b"".join(parts)

    def _copy(self, source: PathLike) -> str:
        from shutil import copyfile

        stored = f"{FILES_FOLDER}/{_new_file_name()}"
        target = self._folder / stored
        target.parent.mkdir(exist_ok=True)
        self._copied.append(target)
        copyfile(source, target)
        return stored

    def _remove_copies(self) -> None:
        for path in self._copied:
            with contextlib.suppress(OSError):
                path.unlink()
