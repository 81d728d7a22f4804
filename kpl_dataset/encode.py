"""Writing records: Python values to the bytes of a ``FeatureMap``.

Map entries come in the order of the record's dict, and every value is written even where it is
zero: byte for byte what the original writes.
"""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from kpl_dataset.errors import RecordValueError
from kpl_dataset.schema import BasicType
from kpl_dataset.wire import DOUBLE, encode_int64, encode_varint, length_field

if TYPE_CHECKING:
    from collections.abc import Callable

    from kpl_dataset.schema import FieldType, RecordType

    # value -> the bytes of a Feature, without a length in front
    Encoder = Callable[[object], bytes]
    # path of a local file -> the bytes of a FileContent
    FileEncoder = Callable[[object], bytes]

_INT_RANGE = range(-(1 << 63), 1 << 63)
_SMALL = [b"(" + encode_int64(number) for number in range(128)]
_SIZES = [b"\x1a" + encode_varint(size) for size in range(128)]
_pack_double = DOUBLE.pack


class _Misfit(Exception):
    """A value that does not fit; the path of its field is put together on the way up."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.path: list[str] = []


def record_encoder(record_type: RecordType, encode_file: FileEncoder) -> Callable[[object], bytes]:
    """Return the function that encodes one record.

    Parameters
    ----------
    record_type
        A checked record type.
    encode_file
        What turns the local path given for a ``File`` into the bytes of its ``FileContent``;
        it raises `OSError` or `TypeError` where it cannot.

    Returns
    -------
    Callable
        It raises :class:`RecordValueError`, without a record number, where a value does not fit.
    """
    encode_fields = _fields_encoder(record_type, encode_file)

    def encode(record: object) -> bytes:
        try:
            return encode_fields(record)
        except _Misfit as error:
            path = "".join(reversed(error.path)).lstrip(".")
            raise RecordValueError(error.reason, None, path) from error.__cause__

    return encode


def _encoder_of(kind: FieldType, encode_file: FileEncoder) -> Encoder:
    if isinstance(kind, dict):
        return _wrapped(b"\x42", _fields_encoder(kind, encode_file))
    if isinstance(kind, list):
        return _wrapped(b"\x3a", _items_encoder(kind[0], encode_file))
    if kind == BasicType.File:
        return _file_encoder(encode_file)
    return _BASIC[kind]


def _wrapped(tag: bytes, inner: Encoder) -> Encoder:
    def encode(value: object) -> bytes:
        body = inner(value)
        # The original sets the list or map only when it puts something into it.
        return tag + encode_varint(len(body)) + body if body else b""

    return encode


def _fields_encoder(record_type: RecordType, encode_file: FileEncoder) -> Encoder:
    fields = {
        name: (*_heads(name), _encoder_of(kind, encode_file)) for name, kind in record_type.items()
    }

    def encode(value: object) -> bytes:
        if not isinstance(value, dict):
            raise _Misfit(f"expected a dict, got {type(value).__name__}.")
        parts: list[bytes] = []
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                raise _Misfit(f"the record type has no field {name!r}; it has {', '.join(fields)}.")
            heads, lead, encoder = field
            try:
                body = encoder(item)
            except _Misfit as error:
                error.path.append(f".{name}")
                raise
            size = len(body)
            parts.append(heads[size] if size < len(heads) else _head(lead, size))
            parts.append(body)
        return b"".join(parts)

    return encode


def _heads(name: str) -> tuple[list[bytes], bytes]:
    """Return how an entry of this name begins, by the size of its ``Feature``, and the name part."""
    lead = length_field(0x0A, name.encode()) + b"\x12"
    return [_head(lead, size) for size in range(128)], lead


def _head(lead: bytes, size: int) -> bytes:
    count = encode_varint(size)
    return b"\n" + encode_varint(len(lead) + len(count) + size) + lead + count


def _items_encoder(kind: FieldType, encode_file: FileEncoder) -> Encoder:
    encoder = _encoder_of(kind, encode_file)

    def encode(value: object) -> bytes:
        if not isinstance(value, (list, tuple)):
            raise _Misfit(f"expected a list, got {type(value).__name__}.")
        parts: list[bytes] = []
        for number, item in enumerate(value):
            try:
                body = encoder(item)
            except _Misfit as error:
                error.path.append(f"[{number}]")
                raise
            parts += (b"\n", encode_varint(len(body)), body)
        return b"".join(parts)

    return encode


def _encode_int(value: object) -> bytes:
    try:
        number = index(value)  # type: ignore[arg-type]  # what has no __index__ is refused below
    except TypeError:
        raise _Misfit(f"expected an int, got {type(value).__name__}.") from None
    if number not in _INT_RANGE:
        raise _Misfit(f"{number} does not fit 64 bits.")
    return _SMALL[number] if 0 <= number < 128 else b"(" + encode_int64(number)


def _encode_float(value: object) -> bytes:
    if not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise _Misfit(f"expected a float, got {type(value).__name__}.")
    try:
        return b"!" + _pack_double(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _Misfit(f"{type(value).__name__} is not a float: {error}.") from error


def _encode_bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        if not isinstance(value, (bytearray, memoryview)):
            raise _Misfit(f"expected bytes, got {type(value).__name__}.")
        value = bytes(value)
    size = len(value)
    return (_SIZES[size] if size < 128 else b"\x1a" + encode_varint(size)) + value


def _encode_text(value: object) -> bytes:
    if not isinstance(value, str):
        raise _Misfit(f"expected a str, got {type(value).__name__}.")
    try:
        data = value.encode()
    except UnicodeEncodeError as error:
        raise _Misfit(f"the text cannot be written as UTF-8: {error}.") from error
    size = len(data)
    return (_SIZES[size] if size < 128 else b"\x1a" + encode_varint(size)) + data


def _file_encoder(encode_file: FileEncoder) -> Encoder:
    def encode(value: object) -> bytes:
        try:
            body = encode_file(value)
        except (OSError, TypeError) as error:
            raise _Misfit(f"the file {value!r} cannot be stored: {error}.") from error
        return b"\x4a" + encode_varint(len(body)) + body

    return encode


_BASIC: dict[str, Encoder] = {
    BasicType.Int: _encode_int,
    BasicType.Float: _encode_float,
    BasicType.ByteArray: _encode_bytes,
    BasicType.String: _encode_text,
}
