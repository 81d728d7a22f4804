"""Any record, any damage: both decoders and protobuf itself come to the same result."""

from __future__ import annotations

import math
from array import array
from importlib import import_module
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kpl_dataset import RecordCorruptError, RecordError, native
from kpl_dataset.decode import map_reader, zero_of
from kpl_dataset.encode import record_encoder
from kpl_dataset.lenient import read_record
from kpl_dataset.wire import (
    WireError,
    encode_varint,
    length_field,
    read_index,
    read_size,
    read_varint,
    to_signed,
    unpack_varints,
)

# protobuf's own package has no types, and its stubs are not worth a dependency.
descriptor_pb2: Any = import_module("google.protobuf.descriptor_pb2")
descriptor_pool: Any = import_module("google.protobuf.descriptor_pool")
message_factory: Any = import_module("google.protobuf.message_factory")
_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = ".dataset_proto."
_SCALARS = {
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "double": _FIELD.TYPE_DOUBLE,
    "int64": _FIELD.TYPE_INT64,
}
# message -> (field, number, type, label), as runtime-contract.md gives them; enums as int64: on
# the wire they are the same for the values that exist.
_MESSAGES: dict[str, list[tuple[str, int, str, str]]] = {
    "Feature": [
        ("string_field", 2, "string", "oneof"),
        ("bytes_field", 3, "bytes", "oneof"),
        ("float64_field", 4, "double", "oneof"),
        ("int64_field", 5, "int64", "oneof"),
        ("feature_list_field", 7, "FeatureList", "oneof"),
        ("feature_map_field", 8, "FeatureMap", "oneof"),
        ("file_field", 9, "FileContent", "oneof"),
    ],
    "FileContent": [
        ("type", 1, "int64", "one"),
        ("bytes_field", 2, "bytes", "one"),
        ("file_path", 3, "string", "one"),
        ("size", 4, "int64", "one"),
    ],
    "FeatureMap": [("map", 1, "Feature", "map")],
    "FeatureList": [("list", 1, "Feature", "many")],
    "Index": [("index", 1, "int64", "many")],
    "Property": [("map", 1, "DynamicType", "map")],
    "DynamicType": [
        ("flag", 1, "int64", "one"),
        ("string", 2, "string", "one"),
        ("bytes", 3, "bytes", "one"),
        ("float64", 4, "double", "one"),
        ("int64", 5, "int64", "one"),
        ("list", 6, "DynamicType", "many"),
        ("map", 7, "DynamicType", "map"),
    ],
}


def _add_field(message: Any, name: str, number: int, kind: str, label: str) -> None:
    field = message.field.add(name=name, number=number)
    field.label = _FIELD.LABEL_REPEATED if label in ("many", "map") else _FIELD.LABEL_OPTIONAL
    if label == "map":
        entry = message.nested_type.add(name=f"{name.capitalize()}Entry")
        entry.options.map_entry = True
        _add_field(entry, "key", 1, "string", "one")
        _add_field(entry, "value", 2, kind, "one")
        kind = f"{message.name}.{entry.name}"
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _FIELD.TYPE_MESSAGE, _PACKAGE + kind
    if label == "oneof":
        field.oneof_index = 0


def load_messages() -> dict[str, Any]:
    """Return protobuf's classes of the messages of the format, the reference of these tests."""
    file = descriptor_pb2.FileDescriptorProto(
        name="kpl_dataset_test.proto", package=_PACKAGE.strip("."), syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(label == "oneof" for *_, label in fields):
            message.oneof_decl.add(name="kind")
        for field in fields:
            _add_field(message, *field)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(_PACKAGE.strip(".") + "." + name)
        )
        for name in _MESSAGES
    }


PROTOS = load_messages()
NAMES = st.text(max_size=4) | st.sampled_from(["path", "content", "名" * 50])
BASIC = st.sampled_from(["String", "Int", "Float", "ByteArray"])
KINDS = st.recursive(
    BASIC,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=1)
        | st.dictionaries(NAMES, inner, min_size=1, max_size=4)
    ),
    max_leaves=6,
)
SCHEMAS = st.dictionaries(NAMES, KINDS, min_size=1, max_size=5)
_VALUES = {
    "String": st.text(max_size=300),
    "Int": st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 300),
    "Float": st.floats(allow_nan=False),
    "ByteArray": st.binary(max_size=300) | st.just(bytes(20_000)),
}


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type; fields of a map may be missing, and come in any order."""
    if isinstance(kind, list):
        return st.lists(value_of(kind[0]), max_size=3)
    if isinstance(kind, dict):
        chosen = st.lists(st.sampled_from(sorted(kind)), unique=True)
        return chosen.flatmap(
            lambda names: st.fixed_dictionaries({n: value_of(kind[n]) for n in names})
        )
    return _VALUES[kind]


@st.composite
def typed_records(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A record type and records of it."""
    schema = draw(SCHEMAS)
    return schema, draw(st.lists(value_of(schema), min_size=1, max_size=3))


def complete(value: Any, kind: Any) -> Any:
    """Return a value as it reads back: with the zero values of what is missing, in order."""
    if isinstance(kind, dict):
        return {n: complete(value[n], k) if n in value else zero_of(k)() for n, k in kind.items()}
    if isinstance(kind, list):
        return [complete(item, kind[0]) for item in value]
    return value


def encode(schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    """Encode a record without files."""
    return record_encoder(schema, lambda _: b"")(record)


def read_pure(schema: dict[str, Any], data: bytes, reader: Any = None) -> Any:
    """Read by plain Python as the reader does: the quick way, else by the full rules."""
    try:
        return (reader or map_reader(schema))(data, 0, len(data))
    except (ValueError, IndexError):
        return read_fully(schema, data)


def read_fully(schema: dict[str, Any], data: bytes) -> Any:
    """Read by the full rules; an error gives its type and field."""
    try:
        return read_record(data, schema)
    except RecordError as error:
        return type(error), error.field


def read_compiled(schema: dict[str, Any], data: bytes) -> Any:
    """Read by the compiled decoder, in the middle of other bytes."""
    offsets = array("q", [2, 2 + len(data)])
    source = native.open_source(schema, None, b"\x0a\x01" + data + b"\x0a\x7f", offsets)
    record = source.read(0)
    return read_fully(schema, data) if record is None else record


def from_protobuf(message: Any, schema: dict[str, Any]) -> dict[str, Any]:
    """Read as the original does from protobuf's own message."""
    return {name: from_feature(message.map[name], kind) for name, kind in schema.items()}


def from_feature(feature: Any, kind: Any) -> Any:
    """Read one feature as the original does."""
    if isinstance(kind, dict):
        return from_protobuf(feature.feature_map_field, kind)
    if isinstance(kind, list):
        return [from_feature(item, kind[0]) for item in feature.feature_list_field.list]
    if kind == "String":
        return feature.string_field or feature.bytes_field.decode()
    field = {"Int": "int64_field", "Float": "float64_field", "ByteArray": "bytes_field"}[kind]
    return getattr(feature, field)


def same(one: Any, two: Any) -> bool:
    """Compare values; `==` with the sign of zeros, the order of dicts and the types."""
    return repr(one) == repr(two)


@given(typed_records())
@settings(deadline=None)
def test_what_is_written_reads_back(case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    schema, records = case
    reader = map_reader(schema)
    for record in records:
        data = encode(schema, record)
        expected = complete(record, schema)
        # One reader for all records: it learns from each in which order fields come.
        assert same(read_pure(schema, data, reader), expected)
        assert same(read_fully(schema, data), expected)
        if native.available:
            assert same(read_compiled(schema, data), expected)
        parsed = PROTOS["FeatureMap"].FromString(data)
        assert same(from_protobuf(parsed, schema), expected)


@given(typed_records(), SCHEMAS)
@settings(deadline=None)
def test_another_record_type_reads_zeros_as_protobuf_does(
    case: tuple[dict[str, Any], list[dict[str, Any]]], other: dict[str, Any]
) -> None:
    written, records = case
    # Both types share names, with other types behind them.
    other = {**other, **dict(zip(written, other.values(), strict=False))}
    for record in records:
        data = encode(written, record)
        try:
            expected = from_protobuf(PROTOS["FeatureMap"].FromString(data), other)
        except UnicodeDecodeError:
            continue  # random bytes read as a text: GBK or an error, tested on its own
        assert same(read_pure(other, data), expected)
        if native.available:
            assert same(read_compiled(other, data), expected)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """A record type and the bytes of a record in which something was changed."""
    schema, records = draw(typed_records())
    data = bytearray(b"".join(encode(schema, record) for record in records)[:2000])
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 9)))
        data[start:stop] = draw(st.binary(max_size=9) | st.just(bytes(data[:start])))
    return schema, bytes(data)


@given(damaged())
@settings(deadline=None, max_examples=400)
def test_damage_gives_a_value_or_a_typed_error_and_the_same_in_all_decoders(
    case: tuple[dict[str, Any], bytes],
) -> None:
    schema, data = case
    expected = read_fully(schema, data)
    assert same(read_pure(schema, data), expected)
    if native.available:
        assert same(read_compiled(schema, data), expected)


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_an_index_is_what_protobuf_says(numbers: list[int]) -> None:
    data = PROTOS["Index"](index=numbers).SerializeToString()
    assert list(read_index(data)) == numbers
    if native.available:
        assert list(read_index(data, native.unpack_varints)) == numbers


@given(st.lists(st.integers(0, 2**63 - 1)))
def test_both_ways_to_pack_numbers_agree(numbers: list[int]) -> None:
    packed = b"".join(map(encode_varint, numbers))
    assert native.pack_varints(array("q", numbers)) == packed
    assert list(native.unpack_varints(packed)) == numbers


@given(st.binary(max_size=40))
def test_both_ways_to_unpack_numbers_agree(body: bytes) -> None:
    def result(unpack: Any) -> Any:
        try:
            return list(unpack(body))
        except WireError as error:
            return str(error)

    if native.available:
        assert result(native.unpack_varints) == result(unpack_varints)


@given(st.binary(min_size=1, max_size=12))
def test_both_ways_to_read_a_number_agree(data: bytes) -> None:
    def result(read: Any) -> Any:
        try:
            return read(data, 0)
        except (IndexError, WireError) as error:
            return type(error)

    assert result(read_size) == result(read_varint)


def test_texts_that_are_not_utf8_are_gbk(decoder: str) -> None:
    read = read_pure if decoder == "pure" else read_compiled
    schema = {"s": "String"}
    data = encode({"s": "ByteArray"}, {"s": "水果".encode("gbk")})
    assert read(schema, data) == {"s": "水果"}
    assert read(schema, data.replace(b"\x1a", b"\x12")) == {"s": "水果"}
    broken = encode({"s": "ByteArray"}, {"s": b"\xff\xff\xff"})
    assert read(schema, broken) == (RecordCorruptError, "s")


def test_pieces_of_a_value_are_merged_as_in_protobuf(decoder: str) -> None:
    read = read_pure if decoder == "pure" else read_compiled
    schema = {"l": ["Int"], "m": {"a": "Int", "b": "Int"}, "i": "Int"}
    one = encode(schema, {"l": [1], "m": {"a": 1}, "i": 1})
    two = encode(schema, {"l": [2], "m": {"b": 2}, "i": 2})
    # Of two entries of one name the last counts …
    assert read(schema, one + two) == {"l": [2], "m": {"a": 0, "b": 2}, "i": 2}
    # … while one entry whose value comes twice holds both.
    value = length_field(0x3A, length_field(0x0A, b"\x28\x05"))
    entry = length_field(0x0A, b"l") + length_field(0x12, value) * 2
    data = length_field(0x0A, entry)
    expected = from_protobuf(PROTOS["FeatureMap"].FromString(data), schema)
    assert expected["l"] == [5, 5]
    assert read(schema, data) == expected


def test_a_float_that_is_no_number(decoder: str) -> None:
    read = read_pure if decoder == "pure" else read_compiled
    assert math.isnan(read({"f": "Float"}, encode({"f": "Float"}, {"f": math.nan}))["f"])


def test_numbers_of_64_bits() -> None:
    assert to_signed(2**64 - 1) == -1
    assert read_varint(encode_varint(2**64 - 1), 0) == (2**64 - 1, 10)
