"""Reading records, the quick way: one pass over the bytes, driven by the record type.

The functions here accept what writers really produce: every map entry a key and a value, in any
order, each value of one kind. Anything else raises :class:`Irregular` (or `IndexError`, where the
bytes end early), and :mod:`kpl_dataset.lenient` then reads the record by protobuf's full rules and
finds the right words for what is broken.

All positions are absolute, so that a record is read straight from a memory map of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl_dataset.paths import is_inside
from kpl_dataset.schema import BasicType
from kpl_dataset.wire import DOUBLE, read_varint, to_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kpl_dataset.schema import FieldType, RecordType
    from kpl_dataset.wire import Buffer

    Record = dict[str, Any]
    # (buffer, start, end) -> value
    Reader = Callable[[Buffer, int, int], Any]
    Zero = Callable[[], Any]

# Keys of the fields of Feature, FeatureMap and FileContent: field number * 8 + wire type.
ENTRY, KEY, VALUE = 0x0A, 0x0A, 0x12
STRING, BYTES, FLOAT, INT, LIST, MAP, FILE = 0x12, 0x1A, 0x21, 0x28, 0x3A, 0x42, 0x4A
FILE_TYPE, FILE_BYTES, FILE_PATH, FILE_SIZE = 0x08, 0x12, 0x1A, 0x20

_unpack_double = DOUBLE.unpack_from


class Irregular(ValueError):
    """The bytes need the full rules."""


def decode_text(data: bytes) -> str:
    """Decode a ``String``: UTF-8, else GBK (Chinese datasets hold such paths).

    Raises
    ------
    UnicodeDecodeError
        It is neither.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("gbk")


def empty_file() -> Record:
    """Return what a missing ``File`` reads as."""
    return {"type": 0, "content": b"", "file_path": "", "size": 0}


def zero_of(kind: FieldType) -> Zero:
    """Return the function that makes the value of a missing field."""
    if isinstance(kind, dict):
        inner = [(name, zero_of(value)) for name, value in kind.items()]
        return lambda: {name: zero() for name, zero in inner}
    if isinstance(kind, list):
        return list
    return _BASIC[kind][1]


def reader_of(kind: FieldType) -> Reader:
    """Return the function that reads a ``Feature`` that holds this type."""
    if isinstance(kind, dict):
        return _nested(MAP, map_reader(kind))
    if isinstance(kind, list):
        return _nested(LIST, _items_reader(kind[0]))
    return _BASIC[kind][0]


def map_reader(record_type: RecordType, columns: frozenset[str] | None = None) -> Reader:
    """Return the function that reads a ``FeatureMap``, such as a whole record.

    Parameters
    ----------
    record_type
        The fields and their order in the dicts that are returned.
    columns
        The fields to read; all by default.
    """
    wanted = {k: v for k, v in record_type.items() if columns is None or k in columns}
    zeros = {name: zero_of(kind) for name, kind in wanted.items()}
    fields = {name.encode(): (name, reader_of(kind), zeros[name]) for name, kind in wanted.items()}
    # Zero values that can be changed must not be shared between records: None marks their absence.
    fresh = tuple(
        name for name, kind in wanted.items() if not isinstance(kind, str) or kind == "File"
    )
    template = {name: None if name in fresh else zeros[name]() for name in wanted}
    find = fields.get

    def read(buffer: Buffer, pos: int, end: int) -> Record:
        out: Record = template.copy()
        while pos < end:
            size = buffer[pos + 1]
            key = pos + 2
            if size > 127:
                size, key = read_varint(buffer, pos + 1)
            stop = key + size
            value = key + 2 + buffer[key + 1]
            if buffer[pos] != 10 or buffer[key] != 10 or buffer[value] != 18 or stop > end:
                raise Irregular
            field = find(buffer[key + 2 : value])
            size = buffer[value + 1]
            value += 2
            if size > 127:
                size, value = read_varint(buffer, value - 1)
            if value + size != stop:
                raise Irregular
            if field is not None:
                name, reader, zero = field
                out[name] = reader(buffer, value, stop) if size else zero()
            pos = stop
        for name in fresh:
            if out[name] is None:
                out[name] = zeros[name]()
        return out

    return read


def _nested(tag: int, inner: Reader) -> Reader:
    def read(buffer: Buffer, pos: int, stop: int) -> object:
        size = buffer[pos + 1]
        start = pos + 2
        if size > 127:
            size, start = read_varint(buffer, pos + 1)
        if buffer[pos] != tag or start + size != stop:
            raise Irregular
        return inner(buffer, start, stop)

    return read


def _items_reader(kind: FieldType) -> Reader:
    reader, zero = reader_of(kind), zero_of(kind)

    def read(buffer: Buffer, pos: int, end: int) -> list[object]:
        items: list[object] = []
        while pos < end:
            size = buffer[pos + 1]
            start = pos + 2
            if size > 127:
                size, start = read_varint(buffer, pos + 1)
            stop = start + size
            if buffer[pos] != 10 or stop > end:
                raise Irregular
            items.append(reader(buffer, start, stop) if size else zero())
            pos = stop
        return items

    return read


def _read_bytes(buffer: Buffer, pos: int, stop: int) -> bytes:
    size = buffer[pos + 1]
    start = pos + 2
    if size > 127:
        size, start = read_varint(buffer, pos + 1)
    if buffer[pos] != BYTES or start + size != stop:
        raise Irregular
    return buffer[start:stop]


def _read_text(buffer: Buffer, pos: int, stop: int) -> str:
    size = buffer[pos + 1]
    start = pos + 2
    if size > 127:
        size, start = read_varint(buffer, pos + 1)
    tag = buffer[pos]
    if (tag != BYTES and tag != STRING) or start + size != stop:
        raise Irregular
    try:
        return buffer[start:stop].decode()
    except UnicodeDecodeError:
        raise Irregular from None


def _read_int(buffer: Buffer, pos: int, stop: int) -> int:
    value = buffer[pos + 1]
    after = pos + 2
    if value > 127:
        value, after = read_varint(buffer, pos + 1)
        value = to_signed(value)
    if buffer[pos] != INT or after != stop:
        raise Irregular
    return value


def _read_float(buffer: Buffer, pos: int, stop: int) -> float:
    if buffer[pos] != FLOAT or pos + 9 != stop:
        raise Irregular
    value: float = _unpack_double(buffer, pos + 1)[0]
    return value


def _read_file(buffer: Buffer, pos: int, stop: int) -> Record:
    out = empty_file()
    while pos < stop:
        tag = buffer[pos]
        value, pos = read_varint(buffer, pos + 1)
        if tag == FILE_TYPE:
            out["type"] = value
        elif tag == FILE_SIZE:
            out["size"] = to_signed(value)
        else:
            data = buffer[pos : pos + value]
            pos += value
            if tag == FILE_BYTES:
                out["content"] = data
            elif tag == FILE_PATH:
                out["file_path"] = data.decode()
            else:
                raise Irregular
    if pos != stop or out["type"] > 1 or (out["file_path"] and not is_inside(out["file_path"])):
        raise Irregular
    return out


_BASIC: dict[str, tuple[Reader, Zero]] = {
    BasicType.String: (_read_text, str),
    BasicType.ByteArray: (_read_bytes, bytes),
    BasicType.Int: (_read_int, int),
    BasicType.Float: (_read_float, float),
    BasicType.File: (_nested(FILE, _read_file), empty_file),
}
