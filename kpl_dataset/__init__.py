"""The dataset format of KPL, version 1: reading and writing.

Keeps the names, signatures and files of the original ``kpl-dataset`` package, and needs nothing
outside of Python's standard library.
"""

from __future__ import annotations

from kpl_dataset.check import DatasetSummary, check
from kpl_dataset.errors import (
    DatasetClosedError,
    DatasetCorruptError,
    DatasetError,
    DatasetIncompleteError,
    DatasetLockedError,
    DatasetNotFoundError,
    PropertyExistsError,
    PropertyMissingError,
    PropertyValueError,
    RecordCorruptError,
    RecordError,
    RecordValueError,
    SchemaError,
    UnsafePathError,
)
from kpl_dataset.metadb import MetaDB
from kpl_dataset.order import record_order
from kpl_dataset.reader import ReadOnlyDataset
from kpl_dataset.record import BasicType, FileType, set_size_threshold
from kpl_dataset.writer import WriteOnlyDataset

__all__ = [
    "BasicType",
    "DatasetClosedError",
    "DatasetCorruptError",
    "DatasetError",
    "DatasetIncompleteError",
    "DatasetLockedError",
    "DatasetNotFoundError",
    "DatasetSummary",
    "FileType",
    "MetaDB",
    "PropertyExistsError",
    "PropertyMissingError",
    "PropertyValueError",
    "ReadOnlyDataset",
    "RecordCorruptError",
    "RecordError",
    "RecordValueError",
    "SchemaError",
    "UnsafePathError",
    "WriteOnlyDataset",
    "check",
    "record_order",
    "set_size_threshold",
]
