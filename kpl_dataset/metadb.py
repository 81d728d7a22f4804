"""A dataset's own key-value properties: the file ``*.prop``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_dataset.errors import (
    DatasetCorruptError,
    PropertyExistsError,
    PropertyMissingError,
    PropertyValueError,
)
from kpl_dataset.files import folder_lock, replace_file
from kpl_dataset.wire import (
    DOUBLE,
    FIXED64,
    LENGTH,
    VARINT,
    WireError,
    encode_int64,
    length_field,
    read_fields,
    to_signed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kpl_dataset.wire import WireValue

    Property = str | int | float | bytes | list["Property"] | dict[str, "Property"]

MAX_DEPTH = 90  # protobuf's own parsers stop at 100 messages inside of one another
_STRING, _BYTES, _FLOAT, _INT, _LIST, _MAP = range(6)
_INT_RANGE = range(-(1 << 63), 1 << 63)
# Wire types of the fields of DynamicType.
_WIRE = {1: VARINT, 2: LENGTH, 3: LENGTH, 4: FIXED64, 5: VARINT, 6: LENGTH, 7: LENGTH}


class MetaDB:
    """The properties of a dataset, as a persistent dict of names.

    Every change is on disk when the method returns. Processes that change the same dataset do so
    one after the other and see each other's changes.

    Parameters
    ----------
    file
        Path of the ``*.prop`` file; it need not exist yet.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        self.file = Path(file)
        self._stamp: tuple[int, int, int] | None = None
        self._entries: dict[str, bytes] = {}

    def put(self, key: str, value: Property) -> None:
        """Add a property.

        Raises
        ------
        PropertyExistsError
            The key is there already: `update` changes it.
        PropertyValueError
            The key is not a string, or the value not a str, int, float, list or dict.
        """
        self._set(key, value, present=False)

    def update(self, key: str, value: Property) -> None:
        """Change a property.

        Raises
        ------
        PropertyMissingError
            The key is not there: `put` adds it.
        PropertyValueError
            The value is not a str, int, float, list or dict.
        """
        self._set(key, value, present=True)

    def delete(self, key: str) -> None:
        """Remove a property; nothing happens where there is none."""
        with folder_lock(self.file.parent):
            entries = dict(self._load())
            if entries.pop(key, None) is not None:
                self._save(entries)

    def get(self, key: str) -> Property | None:
        """Return a property, or None where there is none."""
        data = self._load().get(key)
        return None if data is None else self._decode(data, 0)

    def keys(self) -> tuple[str, ...]:
        """Return the names of all properties."""
        return tuple(self._load())

    def has(self, key: str) -> bool:
        """Tell whether there is a property of this name."""
        return key in self._load()

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self._load()

    def merge_from(self, other: MetaDB) -> None:
        """Take over all properties of another dataset; of two with one name, the other's stays."""
        if not isinstance(other, MetaDB):
            raise PropertyValueError(f"merge_from takes a MetaDB, not {type(other).__name__}.")
        theirs = dict(other._load())
        if theirs:
            with folder_lock(self.file.parent):
                self._save({**self._load(), **theirs})

    def __str__(self) -> str:
        return "".join(f">>> {key} = {self.get(key)!s}\n" for key in self)

    def _set(self, key: str, value: Property, *, present: bool) -> None:
        if not isinstance(key, str):
            raise PropertyValueError(f"A property's name is a string, not {key!r}.", key=key)
        data = _encode(value, key, 0)
        with folder_lock(self.file.parent):
            entries = dict(self._load())
            if present and key not in entries:
                raise PropertyMissingError(f"There is no property {key!r}; add it by put().")
            if not present and key in entries:
                raise PropertyExistsError(f"Property {key!r} exists; change it by update().")
            entries[key] = data
            self._save(entries)

    def _load(self) -> dict[str, bytes]:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            self._stamp, self._entries = None, {}
            return self._entries
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            content = self.file.read_bytes()
            try:
                self._entries = _read_map(read_fields(content), 1)
            except (WireError, UnicodeDecodeError) as error:
                raise self._corrupt(error) from error
            self._stamp = stamp
        return self._entries

    def _save(self, entries: dict[str, bytes]) -> None:
        replace_file(self.file, b"".join(_entry(0x0A, *entry) for entry in entries.items()))
        self._stamp = None

    def _decode(self, data: bytes, depth: int) -> Property:
        try:
            return _decode(data, depth)
        except (WireError, UnicodeDecodeError) as error:
            raise self._corrupt(error) from error

    def _corrupt(self, error: Exception) -> DatasetCorruptError:
        return DatasetCorruptError(
            f"'{self.file}' is damaged: {error}. Remove it to go on without properties.",
            file=str(self.file),
        )


def _entry(tag: int, key: str, value: bytes) -> bytes:
    return length_field(tag, length_field(0x0A, key.encode()) + length_field(0x12, value))


def _encode(value: object, path: str, depth: int) -> bytes:
    """Encode a ``DynamicType``; as in all of proto3, what is zero or empty takes no bytes."""
    if depth > MAX_DEPTH:
        raise PropertyValueError(f"Property `{path}` is nested deeper than {MAX_DEPTH} levels.")
    if isinstance(value, str):
        return length_field(0x12, value.encode()) if value else b""
    if isinstance(value, int):
        if value not in _INT_RANGE:
            raise PropertyValueError(f"Property `{path}`: {value} does not fit 64 bits.")
        return b"\x08\x03" + (b"\x28" + encode_int64(value) if value else b"")
    if isinstance(value, float):
        return b"\x08\x02" + (b"\x21" + DOUBLE.pack(value) if value else b"")
    if isinstance(value, list):
        items = (_encode(item, f"{path}[{n}]", depth + 1) for n, item in enumerate(value))
        return b"\x08\x04" + b"".join(length_field(0x32, item) for item in items)
    if isinstance(value, dict):
        return b"\x08\x05" + b"".join(_encode_map(value, path, depth))
    raise PropertyValueError(
        f"Property `{path}` is {type(value).__name__}; it may be str, int, float, list or dict."
    )


def _encode_map(value: dict[object, object], path: str, depth: int) -> list[bytes]:
    entries = []
    for key, item in value.items():
        if not isinstance(key, str):
            raise PropertyValueError(f"Property `{path}`: names are strings, not {key!r}.")
        entries.append(_entry(0x3A, key, _encode(item, f"{path}.{key}", depth + 1)))
    return entries


def _read_map(fields: Iterable[tuple[int, int, WireValue]], wanted: int) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    for entry in _messages(fields, wanted):
        pairs = list(read_fields(entry))
        names = _messages(pairs, 1)
        key = names[-1] if names else b""
        out[key.decode()] = b"".join(_messages(pairs, 2))
    return out


def _messages(fields: Iterable[tuple[int, int, WireValue]], wanted: int) -> list[bytes]:
    return [
        value
        for number, kind, value in fields
        if number == wanted and kind == LENGTH and isinstance(value, bytes)
    ]


def _decode(data: bytes, depth: int) -> Property:
    if depth > MAX_DEPTH:
        raise WireError(f"it is nested deeper than {MAX_DEPTH} levels")
    fields = [field for field in read_fields(data) if _WIRE.get(field[0]) == field[1]]
    numbers = {number: value for number, _, value in fields if isinstance(value, int)}
    texts = {number: value for number, _, value in fields if isinstance(value, bytes)}
    flag = numbers.get(1, _STRING)
    if flag == _LIST:
        return [_decode(item, depth + 1) for item in _messages(fields, 6)]
    if flag == _MAP:
        return {key: _decode(item, depth + 1) for key, item in _read_map(fields, 7).items()}
    if flag == _INT:
        return to_signed(numbers.get(5, 0))
    if flag == _FLOAT:
        value: float = DOUBLE.unpack(texts.get(4, bytes(8)))[0]
        return value
    if flag == _BYTES:
        return texts.get(3, b"")
    return texts.get(2, b"").decode()
