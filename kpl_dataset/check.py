"""Is this folder a whole dataset, and what is in it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kpl_dataset.errors import RecordCorruptError
from kpl_dataset.files import FILES_FOLDER, part
from kpl_dataset.reader import ReadOnlyDataset

if TYPE_CHECKING:
    from pathlib import Path

    from kpl_dataset.decode import Record
    from kpl_dataset.files import PathLike
    from kpl_dataset.schema import FieldType, RecordType


class DatasetSummary(NamedTuple):
    """What :func:`check` found; ``summary._asdict()`` is JSON-able.

    Attributes
    ----------
    data_name
        Name of the dataset in its folder.
    records
        How many records there are.
    byte_size
        Bytes on disk: records, index, description, properties and the files beside them.
    record_type
        Field name to type, in the order of the columns.
    properties
        Names of the dataset's own properties.
    unindexed_bytes
        Bytes behind the last record: more than 0 where the writer died or is still at work.
    """

    data_name: str
    records: int
    byte_size: int
    record_type: RecordType
    properties: tuple[str, ...]
    unindexed_bytes: int


def check(
    folder: PathLike, data_name: str | None = None, *, every_record: bool = False
) -> DatasetSummary:
    """Check that a folder holds a whole dataset.

    Parameters
    ----------
    folder, data_name
        As for :class:`ReadOnlyDataset`.
    every_record
        Read all records and look for all their files, instead of the first and the last record.

    Raises
    ------
    DatasetNotFoundError
        A file is missing; the message names it.
    DatasetIncompleteError
        The index is missing.
    DatasetCorruptError
        A file is broken; the message names it.
    RecordCorruptError
        A record is broken, or its file missing; the error names record and field.
    """
    with ReadOnlyDataset(folder, data_name) as reader:
        count = len(reader)
        for number in range(count) if every_record else {0, count - 1} if count else ():
            for field, value in _files_of(reader[number], reader.record_type, ""):
                _check_file(reader, value, number, field)
        properties = reader.get_meta_db()
        for key in properties:
            properties.get(key)
        data_size = part(reader.data_dir, reader.data_name, "data").stat().st_size
        return DatasetSummary(
            data_name=reader.data_name,
            records=count,
            byte_size=_size_on_disk(reader.data_dir, reader.data_name),
            record_type=reader.record_type,
            properties=properties.keys(),
            unindexed_bytes=data_size - reader.byte_size,
        )


def _files_of(value: object, kind: FieldType, path: str) -> list[tuple[str, Record]]:
    """Return the ``File`` values in a record, with the paths of their fields."""
    if kind == "File" and isinstance(value, dict):
        return [(path, value)]
    found: list[tuple[str, Record]] = []
    if isinstance(kind, dict) and isinstance(value, dict):
        for name, inner in kind.items():
            found += _files_of(value[name], inner, f"{path}.{name}" if path else name)
    elif isinstance(kind, list) and isinstance(value, list):
        for number, item in enumerate(value):
            found += _files_of(item, kind[0], f"{path}[{number}]")
    return found


def _check_file(reader: ReadOnlyDataset, value: Record, number: int, field: str) -> None:
    path = reader.file_path(value)
    if path is None:
        return
    if not path.is_file():
        raise RecordCorruptError(f"its file {value['file_path']!r} is missing.", number, field)
    size = path.stat().st_size
    if size != value["size"]:
        raise RecordCorruptError(
            f"its file {value['file_path']!r} has {size} bytes instead of {value['size']}.",
            number,
            field,
        )


def _size_on_disk(folder: Path, data_name: str) -> int:
    paths = [part(folder, data_name, suffix) for suffix in ("data", "index", "meta", "prop")]
    beside = folder / FILES_FOLDER
    if beside.is_dir():
        paths += beside.iterdir()
    return sum(path.stat().st_size for path in paths if path.is_file())
