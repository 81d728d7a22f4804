"""Reading records by protobuf's full rules: slower, and exact about what is broken where.

What :mod:`kpl_dataset.decode` does not take comes here: repeated and unknown fields, values of
another kind than the record type says (they read as zero, as in the original), GBK texts and
damaged bytes. Merging uses a property of the wire format: a message that comes in two pieces is
the message whose bytes are the two pieces joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl_dataset.decode import decode_text, empty_file, zero_of
from kpl_dataset.errors import RecordCorruptError, UnsafePathError
from kpl_dataset.paths import is_inside
from kpl_dataset.schema import BasicType
from kpl_dataset.wire import (
    DOUBLE,
    FIXED64,
    LENGTH,
    VARINT,
    WireError,
    read_fields,
    to_signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kpl_dataset.decode import Record
    from kpl_dataset.schema import FieldType, RecordType
    from kpl_dataset.wire import WireValue

# Field number in Feature -> the wire type it must have.
_KINDS = {2: LENGTH, 3: LENGTH, 4: FIXED64, 5: VARINT, 7: LENGTH, 8: LENGTH, 9: LENGTH}
_MESSAGES = (7, 8, 9)
_STRING, _BYTES, _FLOAT, _INT, _LIST, _MAP, _FILE = _KINDS


def read_record(
    data: bytes, record_type: RecordType, columns: frozenset[str] | None = None
) -> Record:
    """Read one record.

    Raises
    ------
    RecordCorruptError
        The bytes are broken; the error names the field.
    UnsafePathError
        A ``file_path`` leaves the dataset's folder.
    """
    wanted = {k: v for k, v in record_type.items() if columns is None or k in columns}
    return _read_map(data, wanted, "")


def _fields(data: bytes, path: str) -> Iterator[tuple[int, int, WireValue]]:
    try:
        yield from read_fields(data)
    except WireError as error:
        raise RecordCorruptError(f"the stored bytes are damaged: {error}.", None, path) from error


def _messages(data: bytes, path: str) -> Iterator[bytes]:
    """Yield the values of the repeated message field number 1."""
    for number, kind, value in _fields(data, path):
        if number == 1 and kind == LENGTH and isinstance(value, bytes):
            yield value


def _read_map(data: bytes, record_type: RecordType, path: str) -> Record:
    features: dict[bytes, bytes] = {}
    for entry in _messages(data, path):
        key, value = b"", b""
        for number, kind, part in _fields(entry, path):
            if kind == LENGTH and isinstance(part, bytes):
                if number == 1:
                    key = part
                elif number == 2:
                    value += part
        features[key] = value
    out: Record = {}
    for name, kind in record_type.items():
        inner = f"{path}.{name}" if path else name
        out[name] = _read_feature(features.get(name.encode(), b""), kind, inner)
    return out


def _read_feature(data: bytes, kind: FieldType, path: str) -> object:
    field = 0
    value: WireValue = b""
    for number, wire, part in _fields(data, path):
        if _KINDS.get(number) != wire:
            continue
        if number == field and number in _MESSAGES and isinstance(value, bytes):
            value += part  # type: ignore[operator]  # bytes, as the wire type has just said
        else:
            field, value = number, part
    if isinstance(value, bytes):
        if isinstance(kind, dict):
            return _read_map(value if field == _MAP else b"", kind, path)
        if isinstance(kind, list):
            return _read_list(value if field == _LIST else b"", kind[0], path)
    return _read_basic(field, value, kind, path)


def _read_list(data: bytes, kind: FieldType, path: str) -> list[object]:
    return [
        _read_feature(item, kind, f"{path}[{number}]")
        for number, item in enumerate(_messages(data, path))
    ]


def _read_basic(field: int, value: WireValue, kind: FieldType, path: str) -> object:
    if isinstance(value, int):
        if field == _INT and kind == BasicType.Int:
            return to_signed(value)
    elif field == _FLOAT and kind == BasicType.Float:
        return DOUBLE.unpack(value)[0]
    elif field == _BYTES and kind == BasicType.ByteArray:
        return value
    elif field in (_BYTES, _STRING) and kind == BasicType.String:
        return _read_text(value, path)
    elif field == _FILE and kind == BasicType.File:
        return _read_file(value, path)
    return zero_of(kind)()


def _read_text(data: bytes, path: str) -> str:
    try:
        return decode_text(data)
    except UnicodeDecodeError:
        raise RecordCorruptError("the text is neither UTF-8 nor GBK.", None, path) from None


def _read_file(data: bytes, path: str) -> Record:
    out = empty_file()
    for number, wire, value in _fields(data, path):
        if isinstance(value, int):
            if number == 1:
                out["type"] = to_signed(value)
            elif number == 4:
                out["size"] = to_signed(value)
        elif number == 2 and wire == LENGTH:
            out["content"] = value
        elif number == 3 and wire == LENGTH:
            out["file_path"] = _read_text(value, path)
    if out["file_path"] and not is_inside(out["file_path"]):
        raise UnsafePathError(
            f"its file_path {out['file_path']!r} leaves the dataset's folder; do not trust it.",
            None,
            path,
        )
    return out
