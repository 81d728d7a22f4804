"""Records of a dataset as a browser may see them: values, and addresses of bytes."""

from __future__ import annotations

import math
from array import array
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kpl_dataset import DatasetError, ReadOnlyDataset
from kpl_lab.errors import Invalid, NotFound
from kpl_lab.platform.domain import pictures
from kpl_lab.platform.domain.imports import label_columns, labels
from kpl_lab.schemas.datasets import RecordPage, RecordView

MAX_TEXT = 2000
MAX_ITEMS = 200
MAX_PAGE = 500
MAX_FIELD_BYTES = 256 * 1024 * 1024
_HEAD_BYTES = 16


def open_dataset(folder: Path) -> ReadOnlyDataset:
    """Open a stored version.

    Raises
    ------
    NotFound
        Its files are missing or damaged; says which.
    """
    try:
        return ReadOnlyDataset(folder)
    except DatasetError as error:
        raise NotFound(f"The stored dataset cannot be read: {error}", code="damaged") from error


def page(folder: Path, href: str, offset: int, limit: int, class_name: str | None) -> RecordPage:
    """Return a page of records; ``href`` is the address below which fields are served."""
    with open_dataset(folder) as reader:
        wanted = range(len(reader)) if class_name is None else _of_class(folder, class_name)
        items = [_view(reader, index, href) for index in wanted[offset : offset + limit]]
        return RecordPage(total=len(wanted), offset=offset, items=items)


# A version never changes, so neither does where its classes are.
@lru_cache(maxsize=64)
def _of_class(folder: Path, class_name: str) -> array[int]:
    """Return the numbers of the records that are of a class, or hold an object of it."""
    with open_dataset(folder) as reader:
        columns = label_columns(reader.record_type)
    if not columns:
        return array("Q")
    with ReadOnlyDataset(folder, columns=columns) as reader:
        return array("Q", (i for i, r in enumerate(reader) if class_name in labels(r)))


def _view(reader: ReadOnlyDataset, index: int, href: str) -> RecordView:
    try:
        record = reader[index]
    except DatasetError as error:
        return RecordView(index=index, values={"error": f"This record cannot be read: {error}"})
    return RecordView(
        index=index,
        values={
            name: _shown(record[name], kind, f"{href}/{index}/fields/{quote(name, safe='')}")
            for name, kind in reader.record_type.items()
        },
    )


def _shown(value: Any, kind: Any, href: str) -> Any:  # noqa: ANN401 (any value of a record)
    if isinstance(kind, dict):
        return {
            name: _shown(value[name], inner, f"{href}.{quote(name, safe='')}")
            for name, inner in kind.items()
        }
    if isinstance(kind, list):
        return [_shown(v, kind[0], f"{href}.{n}") for n, v in enumerate(value[:MAX_ITEMS])]
    if kind == "File":
        return _bytes_view(value["content"], int(value["size"]), href)
    if kind == "ByteArray":
        return _bytes_view(value, len(value), href)
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return value[:MAX_TEXT] + "…"
    # JSON has no word for these numbers.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _bytes_view(content: bytes | memoryview, size: int, href: str) -> dict[str, Any]:
    is_image = pictures.media_type(bytes(content[:_HEAD_BYTES])) is not None
    return {"kind": "image" if is_image else "bytes", "size": size, "href": href}


def field_bytes(folder: Path, index: int, field: str) -> bytes:
    """Return the bytes of one field of one record.

    Parameters
    ----------
    field
        A name; inside of maps and lists names and numbers with dots between, as in the
        addresses that :func:`page` gives: ``object.0.mask``.

    Raises
    ------
    NotFound
        There is no such record or field, or the record is damaged.
    Invalid
        The field holds no bytes, or too many to be shown at once.
    """
    with open_dataset(folder) as reader:
        if not 0 <= index < len(reader):
            raise NotFound(f"There is no record {index}; records of the dataset: {len(reader)}.")
        try:
            value, kind = _find(reader[index], reader.record_type, field)
            if kind == "File":
                return _file_bytes(reader, value)
        except DatasetError as error:
            raise NotFound(f"This record cannot be read: {error}", code="damaged") from error
    if kind not in ("ByteArray", "String"):
        raise Invalid(f"The field {field!r} holds no bytes.", code="no_bytes")
    return value.encode() if isinstance(value, str) else bytes(value)


def _find(value: Any, kind: Any, field: str) -> tuple[Any, Any]:  # noqa: ANN401
    """Follow ``field`` into a record. Names may hold dots themselves: the longest match wins."""
    if isinstance(kind, dict):
        for name in sorted(kind, key=len, reverse=True):
            if field == name:
                return value[name], kind[name]
            if field.startswith(f"{name}."):
                return _find(value[name], kind[name], field[len(name) + 1 :])
    if isinstance(kind, list):
        number, _, rest = field.partition(".")
        if number.isascii() and number.isdigit() and len(number) < 10 and int(number) < len(value):
            item = value[int(number)]
            return _find(item, kind[0], rest) if rest else (item, kind[0])
    raise NotFound(f"The records have no field {field!r}.")


def _file_bytes(reader: ReadOnlyDataset, value: dict[str, Any]) -> bytes:
    if value["size"] > MAX_FIELD_BYTES:
        raise Invalid(
            f"This file has {value['size']} bytes, too many to be shown here; download the "
            "dataset instead.",
            code="too_large_to_show",
        )
    with reader.open_file(value) as file:
        return file.read()
