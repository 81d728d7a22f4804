"""The compiled decoder, where there is one, and its plain Python stand-ins.

Whether it is decides only how quick reading is: it takes and gives what :mod:`kpl_dataset.decode`
does. Set ``KPL_DATASET_PURE`` in the environment to go without it.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

from kpl_dataset import wire
from kpl_dataset.decode import zero_of
from kpl_dataset.schema import BasicType

try:
    from kpl_dataset import _decoder
except ImportError:
    available = False
else:
    available = not os.environ.get("KPL_DATASET_PURE")

if TYPE_CHECKING:
    from kpl_dataset.schema import FieldType, RecordType
    from kpl_dataset.wire import Buffer

_LIST, _MAP = 7, 8
_BASIC = {
    BasicType.String: 2,
    BasicType.ByteArray: 3,
    BasicType.Float: 4,
    BasicType.Int: 5,
    BasicType.File: 9,
}


def open_source(
    record_type: RecordType, columns: frozenset[str] | None, buffer: Buffer, index: array[int]
) -> _decoder.Source:
    """Return the compiled reader of the records in a buffer."""
    return _decoder.Source(_map_spec(record_type, columns), buffer, index)


def unpack_varints(body: bytes) -> array[int]:
    """Do what :func:`kpl_dataset.wire.unpack_varints` does."""
    if not available:
        return wire.unpack_varints(body)
    numbers = _decoder.unpack_varints(body)
    # Broken: the other one finds the words for it.
    return wire.unpack_varints(body) if numbers is None else array("q", numbers)


def pack_varints(numbers: array[int]) -> bytes:
    """Encode non-negative numbers as varints that follow one another."""
    if available:
        return _decoder.pack_varints(numbers)
    return b"".join(map(wire.encode_varint, numbers))


def _spec(kind: FieldType) -> tuple[object, ...]:
    if isinstance(kind, dict):
        return _map_spec(kind, None)
    if isinstance(kind, list):
        return (_LIST, _spec(kind[0]))
    return (_BASIC[kind],)


def _map_spec(record_type: RecordType, columns: frozenset[str] | None) -> tuple[object, ...]:
    wanted = {k: v for k, v in record_type.items() if columns is None or k in columns}
    # None stands for zero values that can be changed: every record needs its own.
    shared = ("String", "ByteArray", "Int", "Float")
    blank = {
        name: zero_of(kind)() if isinstance(kind, str) and kind in shared else None
        for name, kind in wanted.items()
    }
    fields = tuple(
        (name, name.encode(), _spec(kind) if name in wanted else None)
        for name, kind in record_type.items()
    )
    return (_MAP, blank, fields)
