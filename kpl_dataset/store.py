"""The records of one dataset on disk, by number."""

from __future__ import annotations

import mmap
import os
from operator import le
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_dataset import native
from kpl_dataset.decode import map_reader
from kpl_dataset.errors import DatasetCorruptError, DatasetNotFoundError, RecordError, SchemaError
from kpl_dataset.files import part, read_part
from kpl_dataset.lenient import read_record
from kpl_dataset.schema import decode_meta
from kpl_dataset.wire import WireError, read_index

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable

    from kpl_dataset import _decoder
    from kpl_dataset.decode import Record
    from kpl_dataset.schema import RecordType
    from kpl_dataset.wire import Buffer


def load_record_type(folder: Path, data_name: str) -> RecordType:
    """Read the record type from ``*.meta``.

    Raises
    ------
    DatasetNotFoundError
        The file is missing.
    DatasetCorruptError
        It is broken.
    """
    content = read_part(folder, data_name, "meta")
    path = part(folder, data_name, "meta")
    try:
        return decode_meta(content.decode())[1]
    except (SchemaError, UnicodeDecodeError) as error:
        reason = error.message if isinstance(error, SchemaError) else f"It is not text: {error}."
        raise DatasetCorruptError(f"'{path}' cannot be read. {reason}", file=str(path)) from error


def load_index(folder: Path, data_name: str) -> array[int]:
    """Read where the records begin: one offset a record and one more for the end of the last.

    Raises
    ------
    DatasetIncompleteError
        The file is missing: nothing was flushed yet.
    DatasetCorruptError
        It is broken.
    """
    content = read_part(folder, data_name, "index")
    path = part(folder, data_name, "index")
    if not content:
        raise DatasetCorruptError(
            f"'{path}' is empty: the dataset's writer was not closed. Write the dataset again.",
            file=str(path),
        )
    try:
        index = read_index(content, native.unpack_varints)
    except WireError as error:
        raise DatasetCorruptError(f"'{path}' is damaged: {error}.", file=str(path)) from error
    if not index or index[0] < 0 or not all(map(le, index, index[1:])):
        raise DatasetCorruptError(f"'{path}' is damaged: its offsets do not rise.", file=str(path))
    return index


class RecordStore:
    """Records of one dataset by number, read through a memory map that opens on first use.

    Parameters
    ----------
    folder, data_name
        Where the dataset is.
    columns
        The fields to read; all by default.

    Raises
    ------
    DatasetError
        One of the files is missing or broken.
    KeyError
        A column is not in the record type.
    """

    def __init__(self, folder: Path, data_name: str, columns: Iterable[str] | None = None) -> None:
        self.folder = folder
        self.data_name = data_name
        self.record_type = load_record_type(folder, data_name)
        self.index = load_index(folder, data_name)
        self.columns = None if columns is None else check_columns(self.record_type, columns)
        self._buffer: Buffer = b""
        #: Reads the record of a number from 0 to ``len() - 1``; None where it is not what a writer
        #: produces: ask `slow`. An attribute, so that readers need no call in between.
        self.quick: Callable[[int], Record | None] = self._open_and_read
        self._source: _decoder.Source | None = None
        if not self.data_path.is_file():
            raise self._missing()

    @property
    def data_path(self) -> Path:
        """Path of the file with the records."""
        return part(self.folder, self.data_name, "data")

    def __len__(self) -> int:
        return len(self.index) - 1

    def record(self, number: int) -> Record:
        """Read the record of a number from 0 to ``len() - 1``.

        Raises
        ------
        RecordError
            Its bytes are broken.
        """
        record = self.quick(number)
        return self.slow(number) if record is None else record

    def _open_and_read(self, number: int) -> Record | None:
        self.quick = self._open()
        return self.quick(number)

    def slow(self, number: int) -> Record:
        """Read a record by protobuf's full rules.

        Raises
        ------
        RecordError
            Its bytes are broken.
        """
        data = self._buffer[self.index[number] : self.index[number + 1]]
        try:
            return read_record(data, self.record_type, self.columns)
        except RecordError as error:
            raise error.located(number) from error

    def _open(self) -> Callable[[int], Record | None]:
        """Map the file with the records; return what reads those that are as writers make them."""
        try:
            with self.data_path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < self.index[-1]:
                    raise DatasetCorruptError(
                        f"'{self.data_path}' has {size} bytes, its index needs {self.index[-1]}: "
                        "it was cut off. Copy or write the dataset again.",
                        file=str(self.data_path),
                    )
                # An empty file cannot be mapped.
                self._buffer = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except FileNotFoundError:
            raise self._missing() from None
        if native.available:
            self._source = native.open_source(
                self.record_type, self.columns, self._buffer, self.index
            )
            return self._source.read
        return self._quick_reader(self._buffer)

    def _quick_reader(self, buffer: Buffer) -> Callable[[int], Record | None]:
        read, index = map_reader(self.record_type, self.columns), self.index

        def quick(number: int) -> Record | None:
            try:
                record: Record = read(buffer, index[number], index[number + 1])
            except (ValueError, IndexError):
                return None
            return record

        return quick

    def close(self) -> None:
        """Let go of the file; reading opens it again."""
        self.quick = self._open_and_read
        if self._source is not None:
            self._source.close()
            self._source = None
        buffer, self._buffer = self._buffer, b""
        if isinstance(buffer, mmap.mmap):
            buffer.close()

    def _missing(self) -> DatasetNotFoundError:
        return DatasetNotFoundError(
            f"'{self.data_path}' is missing; copy the dataset's folder again, with all its files.",
            file=str(self.data_path),
        )


def check_columns(record_type: RecordType, columns: Iterable[str]) -> frozenset[str]:
    """Return the columns as a set.

    Raises
    ------
    KeyError
        One of them is not in the record type.
    """
    chosen = frozenset((columns,) if isinstance(columns, str) else columns)
    unknown = sorted(chosen - record_type.keys())
    if unknown:
        raise KeyError(
            f"There is no column {', '.join(unknown)}; there are {', '.join(record_type)}."
        )
    return chosen
