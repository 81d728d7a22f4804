"""Protobuf's wire format, as far as the dataset format needs it.

Source: https://protobuf.dev/programming-guides/encoding/. Reading is strict about lengths and
lenient about order, repetition and unknown fields, like every protobuf parser.
"""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Iterator

    Buffer = bytes | mmap.mmap
    WireValue = int | bytes
    Unpacker = Callable[[bytes], array[int]]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_WIDTH = {FIXED64: 8, FIXED32: 4}
_SINGLE = tuple(bytes((value,)) for value in range(128))
_U64 = (1 << 64) - 1
_SIGN = 1 << 63

DOUBLE = struct.Struct("<d")


class WireError(ValueError):
    """The bytes are not a protobuf message."""


def encode_varint(value: int) -> bytes:
    """Encode a non-negative integer below 2**64."""
    if value < 128:
        return _SINGLE[value]
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_int64(value: int) -> bytes:
    """Encode a signed 64-bit integer; negative ones take ten bytes."""
    return encode_varint(value & _U64)


def to_signed(value: int) -> int:
    """Read an unsigned 64-bit number as two's complement, ignoring higher bits."""
    value &= _U64
    return value - (1 << 64) if value & _SIGN else value


def length_field(tag: int, body: bytes) -> bytes:
    """Encode one length-delimited field whose key is the single byte `tag`."""
    return _SINGLE[tag] + encode_varint(len(body)) + body


def read_varint(buffer: Buffer, pos: int) -> tuple[int, int]:
    """Read a varint at `pos`; return it and the position behind it.

    Raises
    ------
    IndexError
        The buffer ends inside of the varint.
    WireError
        It is longer than the ten bytes that a 64-bit number takes.
    """
    value = shift = 0
    while True:
        byte = buffer[pos]
        pos += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, pos
        shift += 7
        if shift > 63:
            raise WireError("a number is longer than ten bytes")


def read_size(buffer: Buffer, pos: int) -> tuple[int, int]:
    """Do what `read_varint` does, quickly for the numbers below 2**21 that lengths mostly are."""
    value = buffer[pos]
    if value < 128:
        return value, pos + 1
    value += (buffer[pos + 1] << 7) - 128
    if value < 16384:
        return value, pos + 2
    value += (buffer[pos + 2] << 14) - 16384
    if value < 2097152:
        return value, pos + 3
    return read_varint(buffer, pos)


def read_fields(message: bytes) -> Iterator[tuple[int, int, WireValue]]:
    """Yield (field number, wire type, value) for every field of a message.

    The value is an unsigned int for a varint, else bytes.

    Raises
    ------
    WireError
        The message is cut off, or holds a wire type that proto3 does not have.
    """
    pos, end = 0, len(message)
    while pos < end:
        try:
            key, pos = read_varint(message, pos)
            kind = key & 7
            if kind == VARINT:
                number, pos = read_varint(message, pos)
                yield key >> 3, kind, number & _U64
                continue
            if kind == LENGTH:
                width, pos = read_varint(message, pos)
            else:
                width = _WIDTH[kind]
        except IndexError:
            raise WireError("it ends inside of a number") from None
        except KeyError:
            raise WireError(f"wire type {key & 7} is not known") from None
        if width > end - pos:
            raise WireError(f"it ends {width - (end - pos)} bytes too early")
        yield key >> 3, kind, message[pos : pos + width]
        pos += width


def unpack_varints(body: bytes) -> array[int]:
    """Decode varints that follow one another, as signed 64-bit numbers.

    Raises
    ------
    WireError
        The last one is cut off, or one is too long.
    """
    out = array("q")
    append = out.append
    value = shift = 0
    for byte in body:
        if byte > 127:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise WireError("a number is longer than ten bytes")
        elif shift:
            append(to_signed(value | byte << shift) if shift > 55 else value | byte << shift)
            value = shift = 0
        else:
            append(byte)
    if shift:
        raise WireError("it ends inside of a number")
    return out


def read_index(message: bytes, unpack: Unpacker = unpack_varints) -> array[int]:
    """Decode an ``Index`` message: packed, in several packed pieces, or one by one.

    Parameters
    ----------
    message
        The message.
    unpack
        What decodes a packed piece.
    """
    out = array("q")
    for number, kind, value in read_fields(message):
        if number != 1:
            continue
        if kind == LENGTH and isinstance(value, bytes):
            out.extend(unpack(value))
        elif isinstance(value, int):
            out.append(to_signed(value))
    return out
