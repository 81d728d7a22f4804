"""Scalars out of TensorBoard event files, followed while they grow.

``kpl-helper`` 0.1.3 leaves curves to TensorBoard, so its algorithms show curves only when the
platform reads their event files. Layout of the file: TensorFlow's ``record_writer.h`` (length,
masked CRC-32C of the length, data, masked CRC-32C of the data); messages: ``event.proto``
(``step`` = 2, ``summary`` = 5), ``summary.proto`` (``value`` = 1 with ``tag`` = 1,
``simple_value`` = 2, ``tensor`` = 8) and ``tensor.proto``.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_FILES = 64
MAX_DEPTH = 64
_HEADER = struct.Struct("<QI")
_MARK = "tfevents"
_DT_FLOAT, _DT_DOUBLE = 1, 2


@dataclass(frozen=True)
class Scalar:
    """One point: ``tag`` over ``step``; ``run`` is the folder of its file below the outputs."""

    run: str
    tag: str
    step: int
    value: float


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        table.append(crc)
    return table


_CRC = _crc_table()


def masked_crc(data: bytes) -> int:
    """Return the masked CRC-32C that TensorFlow's records carry."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of a protobuf message; stop at the first malformed byte."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        value: int | bytes
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 1:
            value, at = data[at : at + 8], at + 8
        elif wire == 5:
            value, at = data[at : at + 4], at + 4
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire}")
        if at > len(data):
            raise ValueError("message is cut short")
        yield number, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("bad varint")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7


def _tensor_scalar(data: bytes) -> float | None:
    """Return the number of a tensor that holds one float or double."""
    kind = 0
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number in (4, 5, 6) and isinstance(value, bytes):
            if kind == _DT_FLOAT and len(value) == 4:
                return float(struct.unpack("<f", value)[0])
            if kind == _DT_DOUBLE and len(value) == 8:
                return float(struct.unpack("<d", value)[0])
    return None


def _value(data: bytes) -> tuple[str, float] | None:
    tag, number_found = "", None
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            number_found = float(struct.unpack("<f", value)[0])
        elif number == 8 and isinstance(value, bytes):
            number_found = _tensor_scalar(value)
    return None if not tag or number_found is None else (tag, number_found)


def scalars_of_event(data: bytes, run: str) -> list[Scalar]:
    """Return the scalars of one serialised ``Event``; none of a malformed one."""
    step, found = 0, []
    try:
        for number, value in _fields(data):
            if number == 2 and isinstance(value, int):
                step = value
            elif number == 5 and isinstance(value, bytes):
                for inner, entry in _fields(value):
                    if inner == 1 and isinstance(entry, bytes) and (pair := _value(entry)):
                        found.append(pair)
    except ValueError:
        return []
    return [Scalar(run, tag, step, number) for tag, number in found]


def read_events(file: Path, offset: int, run: str) -> tuple[list[Scalar], int]:
    """Read the whole records of ``file`` from ``offset`` on.

    Links and devices are not followed; a record that is still being written is left for the next
    call; a broken one ends the file for good (the returned offset is then its size).
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return [], offset
        stream.seek(offset)
        found: list[Scalar] = []
        while True:
            header = stream.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return found, offset
            size, crc = _HEADER.unpack(header)
            if size > MAX_EVENT_BYTES or masked_crc(header[:8]) != crc:
                return found, facts.st_size
            body = stream.read(size + 4)
            if len(body) < size + 4:
                return found, offset
            found += scalars_of_event(body[:size], run)
            offset += _HEADER.size + size + 4


class EventFollower:
    """Finds event files below ``outputs`` and yields what is new in them.

    Parameters
    ----------
    outputs
        Folder that the task writes to.
    memory
        File that keeps how far each event file was read.
    """

    def __init__(self, outputs: Path, memory: Path) -> None:
        self._outputs = outputs
        self._memory = memory
        self._offsets: dict[str, int] = {}
        if memory.exists():
            self._offsets = json.loads(memory.read_text() or "{}")

    def _files(self) -> Iterator[Path]:
        count = 0
        for folder, folders, names in os.walk(self._outputs):
            folders.sort()
            if len(Path(folder).relative_to(self._outputs).parts) >= MAX_DEPTH:
                folders.clear()  # nobody's run lies so deep
            for name in sorted(names):
                if _MARK in name and count < MAX_FILES:
                    count += 1
                    yield Path(folder, name)

    def poll(self) -> Iterator[tuple[str, list[Scalar]]]:
        """Yield (key, new scalars) for each file that grew; the key names file and offset.

        What was yielded counts as read once the iterator is asked for the next.
        """
        for file in self._files():
            name = str(file.relative_to(self._outputs))
            before = self._offsets.get(name, 0)
            try:
                found, after = read_events(file, before, str(Path(name).parent))
            except OSError:  # vanished, or not readable for us: no curves from it
                continue
            if found:
                yield f"{name}@{before}", found
            if after != before:
                self._offsets[name] = after
                fresh = self._memory.with_suffix(".new")
                fresh.write_text(json.dumps(self._offsets))
                fresh.replace(self._memory)
