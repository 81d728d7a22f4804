"""Everything that can be wrong with a dataset, as types.

All errors derive from :class:`DatasetError` and carry ``code`` (stable, for programs),
``message`` (a sentence that names the cause and the next step) and ``detail`` (the facts).
Each can be built from its message alone, so they survive being sent between processes.
"""

from __future__ import annotations

from typing import ClassVar


class DatasetError(Exception):
    """Base of all errors of this package.

    Parameters
    ----------
    message
        What is wrong and what to do, as one or two sentences.
    **detail
        The facts behind the message: file, record, field and the like.
    """

    code: ClassVar[str] = "dataset_error"

    def __init__(self, message: str, **detail: object) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """The folder, or a file that a dataset must have, is not there."""

    code = "dataset_not_found"


class DatasetIncompleteError(DatasetError):
    """The records have no index: their writer is still at work, or died before its first flush."""

    code = "dataset_incomplete"


class DatasetCorruptError(DatasetError, ValueError):
    """One of the dataset's files does not hold what it should; ``detail["file"]`` names it."""

    code = "dataset_corrupt"


class DatasetLockedError(DatasetError):
    """Another process is writing this dataset."""

    code = "dataset_locked"


class DatasetClosedError(DatasetError, ValueError):
    """A record was written after ``close()``."""

    code = "dataset_closed"


class SchemaError(DatasetError, ValueError):
    """A record type that the format cannot express."""

    code = "schema_invalid"


class RecordError(DatasetError, ValueError):
    """One record cannot be written or read.

    Attributes
    ----------
    record
        Number of the record, from 0; None where it is not known.
    field
        Where in the record, such as ``object[2].name``; empty for the record as a whole.
    """

    code = "record_error"

    def __init__(self, message: str, record: int | None = None, field: str = "") -> None:
        where = "" if record is None else f"Record {record}"
        if field:
            where = f"{where}, field `{field}`" if where else f"Field `{field}`"
        super().__init__(f"{where}: {message}" if where else message, record=record, field=field)
        self.reason = message
        self.record = record
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from the parts: the full message must not be prefixed a second time."""
        return (type(self), (self.reason, self.record, self.field))

    def located(self, record: int) -> RecordError:
        """Return the same error with the number of the record it belongs to."""
        return type(self)(self.reason, record, self.field)


class RecordValueError(RecordError):
    """A value to be written does not fit the record type."""

    code = "record_value"


class RecordCorruptError(RecordError):
    """The stored bytes of a record are broken."""

    code = "record_corrupt"


class UnsafePathError(RecordCorruptError):
    """A stored ``file_path`` points outside of the dataset's folder."""

    code = "record_unsafe_path"


class PropertyExistsError(DatasetError):
    """``MetaDB.put`` of a key that is already there."""

    code = "property_exists"


class PropertyMissingError(DatasetError):
    """``MetaDB.update`` of a key that is not there."""

    code = "property_missing"


class PropertyValueError(DatasetError, TypeError):
    """A key or value that a property cannot hold."""

    code = "property_value"
