"""Record types: what a dataset's records look like, and how ``*.meta`` says so.

A record type is a dict of name to type; a type is one of :class:`BasicType`, a list of one type,
or a nested dict. It is plain data: ``json.dumps`` of it is its description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kpl_dataset import textformat
from kpl_dataset.errors import SchemaError

if TYPE_CHECKING:
    from typing import Any

    from kpl_dataset.textformat import Message, Value

    FieldType = str | list[Any] | dict[str, Any]
    RecordType = dict[str, Any]

FORMAT_VERSION = 1
MAX_DEPTH = 32


class BasicType:
    """The types that a single value can have."""

    String = "String"
    Int = "Int"
    Float = "Float"
    ByteArray = "ByteArray"
    File = "File"


class FileType:
    """The ``type`` of a stored file: its bytes are in the record, or in a file of their own."""

    Small = 0
    Large = 1


# Names of the enum RecordType.BasicType in the format, and its numbers.
_TO_META = {
    BasicType.ByteArray: "bytes",
    BasicType.Float: "float64",
    BasicType.Int: "int64",
    BasicType.String: "string",
    BasicType.File: "file",
}
_FROM_META = {name: basic for basic, name in _TO_META.items()}
_NUMBERS = {
    "1": "bytes",
    "2": "float64",
    "3": "int64",
    "4": "list",
    "5": "map",
    "6": "string",
    "7": "file",
}


def check_record_type(record_type: object) -> None:
    """Check that the format can express a record type.

    Raises
    ------
    SchemaError
        It cannot; the message names the field.
    """
    if not isinstance(record_type, dict):
        raise SchemaError(f"A record type is a dict of field names, not {record_type!r}.")
    _check(record_type, "", 0)


def _check(kind: object, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise SchemaError(f"The record type is nested deeper than {MAX_DEPTH} levels at `{path}`.")
    if isinstance(kind, dict):
        if not kind:
            raise SchemaError(f"The dict at `{path}` of the record type is empty; name its fields.")
        for name, inner in kind.items():
            if not isinstance(name, str):
                raise SchemaError(f"Field names are strings, not {name!r} (at `{path}`).")
            _check(inner, f"{path}.{name}" if path else name, depth + 1)
    elif isinstance(kind, list):
        if len(kind) != 1:
            raise SchemaError(f"The list at `{path}` must hold one type, not {len(kind)}.")
        _check(kind[0], f"{path}[]", depth + 1)
    elif not (isinstance(kind, str) and kind in _TO_META):
        raise SchemaError(
            f"Field `{path}` has the type {kind!r}; use one of BasicType, a list or a dict."
        )


def encode_meta(record_type: RecordType, data_name: str) -> str:
    """Return the text of a ``*.meta`` file.

    Raises
    ------
    SchemaError
        The record type is not one.
    """
    check_record_type(record_type)
    lines = [f"version: {FORMAT_VERSION}"]
    if data_name:
        lines.append(f"id: {textformat.quote(data_name)}")
    lines.append("record_type {")
    _print_type(record_type, "  ", lines)
    lines.append("}")
    return "\n".join(lines) + "\n"


def _print_type(kind: FieldType, pad: str, lines: list[str]) -> None:
    if isinstance(kind, dict):
        lines.append(f"{pad}basicType: map")
        for name in sorted(kind):
            lines.append(f"{pad}properties {{")
            if name:  # an empty one is left out, as all that is zero in proto3
                lines.append(f"{pad}  key: {textformat.quote(name)}")
            lines.append(f"{pad}  value {{")
            _print_type(kind[name], pad + "    ", lines)
            lines.append(f"{pad}  }}")
            lines.append(f"{pad}}}")
        lines.extend(f"{pad}keys: {textformat.quote(name)}" for name in kind)
    elif isinstance(kind, list):
        lines.append(f"{pad}basicType: list")
        lines.append(f"{pad}item {{")
        _print_type(kind[0], pad + "  ", lines)
        lines.append(f"{pad}}}")
    else:
        lines.append(f"{pad}basicType: {_TO_META[kind]}")


def decode_meta(text: str) -> tuple[str, RecordType]:
    """Read a ``*.meta`` file; return the dataset's id and its record type.

    The fields of each dict come in the order of ``RecordType.keys``.

    Raises
    ------
    SchemaError
        The text is broken, of a later version, or not a record type.
    """
    try:
        meta = textformat.parse(text)
    except textformat.TextFormatError as error:
        raise SchemaError(f"It is not a protobuf text: {error}.") from error
    version = _last(meta, "version", "0")
    if version not in ("0", str(FORMAT_VERSION)):
        raise SchemaError(
            f"It is of format version {version!r}; this program reads version {FORMAT_VERSION}."
        )
    identifier = _last(meta, "id", b"")
    record_type = _read_type(_nested(meta, "record_type"), "", 0)
    if not isinstance(record_type, dict):
        raise SchemaError("Its record type is not a map.")
    return _text(identifier), record_type


def _last(message: Message, name: str, default: Value) -> Value:
    found = [value for key, value in message if key == name]
    return found[-1] if found else default


def _nested(message: Message, name: str) -> Message:
    # A message that is given twice is merged, which for a list of fields is to join them.
    found = [value for key, value in message if key == name and isinstance(value, list)]
    return [pair for value in found for pair in value]


def _text(value: object) -> str:
    if not isinstance(value, bytes):
        raise SchemaError(f"Expected a quoted string, found {value!r}.")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise SchemaError(f"The name {value!r} is not UTF-8.") from None


def _read_type(message: Message, path: str, depth: int) -> FieldType:
    if depth > MAX_DEPTH:
        raise SchemaError(f"The record type is nested deeper than {MAX_DEPTH} levels at `{path}`.")
    kind = str(_last(message, "basicType", "0"))
    kind = _NUMBERS.get(kind, kind)
    if kind == "list":
        return [_read_type(_nested(message, "item"), f"{path}[]", depth + 1)]
    if kind == "map":
        return _read_map(message, path, depth)
    if kind not in _FROM_META:
        raise SchemaError(f"Field `{path}` has the type {kind!r}, which is not known.")
    return _FROM_META[kind]


def _read_map(message: Message, path: str, depth: int) -> dict[str, FieldType]:
    properties: dict[str, FieldType] = {}
    for field, entry in message:
        if field == "properties" and isinstance(entry, list):
            name = _text(_last(entry, "key", b""))
            inner = f"{path}.{name}" if path else name
            properties[name] = _read_type(_nested(entry, "value"), inner, depth + 1)
    if not properties:
        raise SchemaError(f"The map at `{path}` of the record type has no fields.")
    keys = [_text(value) for field, value in message if field == "keys"]
    ordered = {name: properties[name] for name in keys if name in properties}
    return {**ordered, **properties}
