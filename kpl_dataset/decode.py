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
from kpl_dataset.wire import DOUBLE, LENGTH, read_size, to_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kpl_dataset.schema import FieldType, RecordType
    from kpl_dataset.wire import Buffer

    Record = dict[str, Any]
    # (buffer, start, end) -> value
    Reader = Callable[[Buffer, int, int], Any]
    Zero = Callable[[], Any]
    # name, where the size of the Feature is, where the content is, heads, how to read it, by what
    Step = tuple[str, int, int, list[bytes | None], int, Reader]

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
    return _BASIC[kind][2]


def map_reader(record_type: RecordType, columns: frozenset[str] | None = None) -> Reader:
    """Return the function that reads a ``FeatureMap``, such as a whole record.

    Parameters
    ----------
    record_type
        The fields and their order in the dicts that are returned.
    columns
        The fields to read; all by default.
    """
    return _MapReader(record_type, columns).read


class _MapReader:
    """Reads ``FeatureMap`` messages of one record type.

    Entries are expected in the order of the first messages that were read, which makes it quick,
    and taken in any order.
    """

    def __init__(self, record_type: RecordType, columns: frozenset[str] | None) -> None:
        wanted = {k: v for k, v in record_type.items() if columns is None or k in columns}
        self._zeros = {name: zero_of(kind) for name, kind in wanted.items()}
        # Zero values that can be changed must not be shared between records: None stands for them.
        self._fresh = [name for name, zero in self._zeros.items() if zero not in _IMMUTABLE]
        self._template = {
            name: None if name in self._fresh else zero() for name, zero in self._zeros.items()
        }
        readers = {name: reader_of(kind) for name, kind in wanted.items()}
        self._fields = {n.encode(): (n, readers[n], self._zeros[n]) for n in wanted}
        self._steps = {n.encode(): _step(n, kind, n in wanted) for n, kind in record_type.items()}
        self._plan = list(self._steps.values())
        self._lessons = 4

    def read(self, buffer: Buffer, pos: int, end: int) -> Record:
        """Read the message between two positions."""
        first = pos
        out: Record = self._template.copy()
        for name, at, skip, heads, how, inner in self._plan:
            size = buffer[pos + at]
            start = pos + skip
            stop = pos + at + 1 + size
            if stop > end or buffer[pos:start] != heads[size]:
                pos = self._read_entry(buffer, pos, end, out)
                continue
            if how == _TEXT:
                out[name] = buffer[start:stop].decode()
            elif how == _COPY:
                out[name] = buffer[start:stop]
            elif how == _CALL:
                out[name] = inner(buffer, start, stop)
            pos = stop
        while pos < end:
            pos = self._read_entry(buffer, pos, end, out)
        if self._fresh:
            self._fill(out)
        if self._lessons:
            self._learn(buffer, first, end)
        return out

    def _read_entry(self, buffer: Buffer, pos: int, end: int, out: Record) -> int:
        """Read one map entry, whatever its name and size; return the position behind it."""
        if pos == end:
            return pos
        size, key = read_size(buffer, pos + 1)
        stop = key + size
        value = key + 2 + buffer[key + 1]
        if buffer[pos] != ENTRY or buffer[key] != KEY or buffer[value] != VALUE or stop > end:
            raise Irregular
        name = buffer[key + 2 : value]
        size, value = read_size(buffer, value + 1)
        if value + size != stop:
            raise Irregular
        field = self._fields.get(name)
        if field is not None:
            out[field[0]] = field[1](buffer, value, stop) if size else field[2]()
        return stop

    def _fill(self, out: Record) -> None:
        for name in self._fresh:
            if out[name] is None:
                out[name] = self._zeros[name]()

    def _learn(self, buffer: Buffer, pos: int, end: int) -> None:
        """Expect the order of a message that has just been read."""
        self._lessons -= 1
        order = []
        while pos < end:
            size, key = read_size(buffer, pos + 1)
            step = self._steps.get(buffer[key + 2 : key + 2 + buffer[key + 1]])
            if step is not None and step not in order:
                order.append(step)
            pos = key + size
        self._plan = order


def _step(name: str, kind: FieldType, wanted: bool) -> Step:
    """Return how to read one field where it comes in its place and takes less than 128 bytes.

    The heads say how such an entry begins, by the size of its ``Feature``. One comparison with a
    head checks all about the entry but its content: the keys, the name, and that the three
    lengths fit each other.
    """
    tag, inner = _content_reader(kind)
    counted = tag & 7 == LENGTH
    key = name.encode()
    lead = bytes((KEY, len(key) & 127)) + key + bytes((VALUE,))
    heads: list[bytes | None] = [None] * 256
    for size in range(2, 127 - len(lead)):
        head = bytes((ENTRY, len(lead) + 1 + size)) + lead + bytes((size, tag))
        heads[size] = head + bytes((size - 2,)) if counted else head
    at = 2 + len(lead)
    how = _CALL if wanted else _PASS
    if wanted and isinstance(kind, str):
        how = {BasicType.String: _TEXT, BasicType.ByteArray: _COPY}.get(kind, _CALL)
    return name, at, at + (3 if counted else 2), heads, how, inner


def _content_reader(kind: FieldType) -> tuple[int, Reader]:
    """Return the key byte of a type in ``Feature``, and what reads the bytes behind key and size."""
    if isinstance(kind, dict):
        return MAP, map_reader(kind)
    if isinstance(kind, list):
        return LIST, _items_reader(kind[0])
    tag, inner, _ = _BASIC[kind]
    return tag, inner


def reader_of(kind: FieldType) -> Reader:
    """Return the function that reads a ``Feature`` that holds this type."""
    tag, inner = _content_reader(kind)
    if kind == BasicType.String:
        return _read_text
    return _sized(tag, inner) if tag & 7 == LENGTH else _unsized(tag, inner)


def _sized(tag: int, inner: Reader) -> Reader:
    def read(buffer: Buffer, pos: int, stop: int) -> object:
        size, start = read_size(buffer, pos + 1)
        if buffer[pos] != tag or start + size != stop:
            raise Irregular
        return inner(buffer, start, stop)

    return read


def _unsized(tag: int, inner: Reader) -> Reader:
    def read(buffer: Buffer, pos: int, stop: int) -> object:
        if buffer[pos] != tag:
            raise Irregular
        return inner(buffer, pos + 1, stop)

    return read


def _items_reader(kind: FieldType) -> Reader:
    reader, zero = reader_of(kind), zero_of(kind)

    def read(buffer: Buffer, pos: int, end: int) -> list[object]:
        items: list[object] = []
        while pos < end:
            size, start = read_size(buffer, pos + 1)
            stop = start + size
            if buffer[pos] != ENTRY or stop > end:
                raise Irregular
            items.append(reader(buffer, start, stop) if size else zero())
            pos = stop
        return items

    return read


def _read_text(buffer: Buffer, pos: int, stop: int) -> str:
    size, start = read_size(buffer, pos + 1)
    tag = buffer[pos]
    if (tag != BYTES and tag != STRING) or start + size != stop:
        raise Irregular
    return buffer[start:stop].decode()


def _text(buffer: Buffer, start: int, stop: int) -> str:
    return buffer[start:stop].decode()


def _bytes(buffer: Buffer, start: int, stop: int) -> bytes:
    return buffer[start:stop]


def _int(buffer: Buffer, start: int, stop: int) -> int:
    value, after = read_size(buffer, start)
    if after != stop:
        raise Irregular
    return to_signed(value) if value >> 63 else value


def _float(buffer: Buffer, start: int, stop: int) -> float:
    if start + 8 != stop:
        raise Irregular
    value: float = _unpack_double(buffer, start)[0]
    return value


def _file(buffer: Buffer, pos: int, stop: int) -> Record:
    out = empty_file()
    while pos < stop:
        tag = buffer[pos]
        value, pos = read_size(buffer, pos + 1)
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


# What reads a field in its place: str.decode, a copy of the bytes, a function, nothing.
_TEXT, _COPY, _CALL, _PASS = range(4)
_IMMUTABLE: tuple[object, ...] = (str, bytes, int, float)
# Key byte in Feature, what reads the bytes behind key and size, what makes the zero value.
_BASIC: dict[str, tuple[int, Reader, Zero]] = {
    BasicType.String: (BYTES, _text, str),
    BasicType.ByteArray: (BYTES, _bytes, bytes),
    BasicType.Int: (INT, _int, int),
    BasicType.Float: (FLOAT, _float, float),
    BasicType.File: (FILE, _file, empty_file),
}
