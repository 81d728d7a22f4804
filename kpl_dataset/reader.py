"""Reading a dataset."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, overload

from kpl_dataset.errors import UnsafePathError
from kpl_dataset.files import find_data_name, part
from kpl_dataset.metadb import MetaDB
from kpl_dataset.order import record_order
from kpl_dataset.paths import resolve_inside
from kpl_dataset.store import RecordStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import BinaryIO

    from kpl_dataset.decode import Record
    from kpl_dataset.files import PathLike
    from kpl_dataset.schema import RecordType


class ReadOnlyDataset:
    """The records of a dataset: an iterator with one cursor, and a sequence.

    ``next(reader)`` and ``for`` move the cursor; a second ``for`` needs ``reset()``. Reading by
    number, by slice, by :meth:`iterate` or by :meth:`batches` leaves the cursor where it is. A
    reader can be sent to other processes and used in forked ones.

    Parameters
    ----------
    data_dir
        The dataset's folder.
    data_name
        Name of the dataset in the folder; by default ``root``, else the only one that is there.
    columns
        Fields to read; all by default. What is left out costs next to nothing.

    Raises
    ------
    DatasetError
        The dataset is missing, incomplete or broken; the type says which.
    KeyError
        A column is not in the record type.

    Examples
    --------
    >>> with ReadOnlyDataset("/data/digits") as reader:  # doctest: +SKIP
    ...     for record in reader:
    ...         print(record["path"])
    """

    def __init__(
        self,
        data_dir: PathLike,
        data_name: str | None = None,
        columns: Iterable[str] | None = None,
    ) -> None:
        self.data_dir = Path(data_dir)
        self.data_name = find_data_name(self.data_dir, data_name)
        self._store = RecordStore(self.data_dir, self.data_name, columns)
        self._count = len(self._store)
        self._cursor = 0
        self._meta_db: MetaDB | None = None

    @property
    def record_type(self) -> RecordType:
        """The fields and their types, in the order of their definition."""
        return self._store.record_type

    @property
    def byte_size(self) -> int:
        """How many bytes the records take, without the files beside them."""
        return self._store.index[-1] - self._store.index[0]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> ReadOnlyDataset:
        return self

    def __next__(self) -> Record:
        cursor = self._cursor
        if cursor >= self._count:
            raise StopIteration
        # The cursor moves first, so that one can go on behind a broken record.
        self._cursor = cursor + 1
        # What `RecordStore.record` does, without the call: it would be a fifth of the time.
        quick = self._store.quick
        record = quick(cursor)
        return self._store.slow(cursor) if record is None else record

    def next(self) -> Record:
        """Return the next record.

        Raises
        ------
        StopIteration
            There is no more; `reset` starts again.
        RecordError
            The record is broken; the next call goes on behind it.
        """
        return self.__next__()

    @overload
    def __getitem__(self, number: slice) -> list[Record]: ...
    @overload
    def __getitem__(self, number: int) -> Record: ...
    def __getitem__(self, number: int | slice) -> Record | list[Record]:
        """Return one record, or those of a slice; negative numbers count from the end.

        Raises
        ------
        IndexError
            There is no record of this number.
        RecordError
            The record is broken.
        """
        if number.__class__ is int and 0 <= number < self._count:
            # The usual case, without the questions below, and quick as in `__next__`.
            quick = self._store.quick
            record = quick(number)
            return self._store.slow(number) if record is None else record
        if isinstance(number, slice):
            return [self._store.record(n) for n in range(*number.indices(self._count))]
        position = int(number)
        if position < 0:
            position += self._count
        if not 0 <= position < self._count:
            raise IndexError(f"There is no record {number}; the dataset has {self._count}.")
        return self._store.record(position)

    def order(
        self,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
    ) -> Sequence[int]:
        """Return the numbers of the records of one shard; see :func:`record_order`."""
        return record_order(
            self._count, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size, even=even
        )

    def iterate(
        self,
        *,
        shuffle: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
    ) -> Iterator[Record]:
        """Yield the records of one shard, without touching the cursor; see `order`."""
        order = self.order(shuffle=shuffle, seed=seed, rank=rank, world_size=world_size, even=even)
        return map(self._store.record, order)

    def batches(
        self, size: int, order: Iterable[int] | None = None, *, drop_last: bool = False
    ) -> Iterator[list[Record]]:
        """Yield lists of `size` records, without touching the cursor.

        Parameters
        ----------
        size
            Records in a batch, at least 1.
        order
            Numbers of the records, such as ``reader.order(shuffle=True)``; in order by default.
        drop_last
            Leave out the last batch where it is shorter.

        Raises
        ------
        ValueError
            `size` is less than 1.
        """
        if size < 1:
            raise ValueError(f"A batch holds at least one record, not {size}.")
        return self._batches(size, range(self._count) if order is None else order, drop_last)

    def _batches(self, size: int, order: Iterable[int], drop_last: bool) -> Iterator[list[Record]]:
        batch: list[Record] = []
        for number in order:
            batch.append(self[number])
            if len(batch) == size:
                yield batch
                batch = []
        if batch and not drop_last:
            yield batch

    def file_path(self, value: Record) -> Path | None:
        """Return where the content of a large ``File`` lies, or None where the record holds it.

        Parameters
        ----------
        value
            What a ``File`` field reads as.

        Raises
        ------
        UnsafePathError
            The path, or a link on its way, leaves the dataset's folder.
        """
        stored = value["file_path"]
        if not stored:
            return None
        path = resolve_inside(self.data_dir, stored)
        if path is None:
            raise UnsafePathError(
                f"file_path {stored!r} leaves the dataset's folder; do not trust it."
            )
        return path

    def open_file(self, value: Record) -> BinaryIO:
        """Open the whole content of a ``File`` for reading, wherever it is kept.

        Raises
        ------
        UnsafePathError
            The path leaves the dataset's folder.
        FileNotFoundError
            The file is missing.
        """
        path = self.file_path(value)
        if path is None:
            return io.BytesIO(value["content"])
        return path.open("rb")

    def get_meta_db(self) -> MetaDB:
        """Return the dataset's own properties."""
        if self._meta_db is None:
            self._meta_db = MetaDB(part(self.data_dir, self.data_name, "prop"))
        return self._meta_db

    def reset(self) -> None:
        """Put the cursor back to the first record."""
        self._cursor = 0

    def close(self) -> None:
        """Let go of the file; reading opens it again."""
        self._store.close()

    def __enter__(self) -> ReadOnlyDataset:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        # A copy in another process maps the file itself.
        state = (self.data_dir, self.data_name, self._store.columns, self._cursor)
        return _reopen, (type(self), *state)


def _reopen(
    kind: type[ReadOnlyDataset],
    data_dir: Path,
    data_name: str,
    columns: frozenset[str] | None,
    cursor: int,
) -> ReadOnlyDataset:
    reader = kind(data_dir, data_name, columns)
    reader._cursor = cursor  # noqa: SLF001 - of a copy that this module has just made
    return reader
