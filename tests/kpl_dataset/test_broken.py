"""Missing, broken and hostile files: a typed error that says which and what to do."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest

from kpl_dataset import (
    DatasetCorruptError,
    DatasetError,
    DatasetIncompleteError,
    DatasetNotFoundError,
    ReadOnlyDataset,
    RecordCorruptError,
    RecordError,
    UnsafePathError,
    WriteOnlyDataset,
    check,
    set_size_threshold,
)
from kpl_dataset.record import size_threshold
from kpl_dataset.wire import encode_varint, length_field

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TYPE = {"x": "Int", "m": {"f": ["File"]}}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A dataset of three records, each with a file of its own."""
    source = tmp_path / "source"
    source.write_bytes(bytes(1000))
    before = size_threshold()
    set_size_threshold(100)
    with WriteOnlyDataset(tmp_path / "data", None, TYPE) as writer:
        writer.write_all({"x": n, "m": {"f": [source]}} for n in range(3))
        writer.get_meta_db().put("a", 1)
    yield tmp_path / "data"
    set_size_threshold(before)


def one_record(folder: Path, kind: Any, feature: bytes) -> ReadOnlyDataset:
    """Make a dataset with one record of one field `f` of these bytes."""
    with WriteOnlyDataset(folder, None, {"f": kind}) as writer:
        entry = length_field(0x0A, b"f") + length_field(0x12, feature)
        writer._sink.append(length_field(0x0A, entry))
    return ReadOnlyDataset(folder)


def test_a_whole_dataset(folder: Path) -> None:
    summary = check(folder, every_record=True)
    assert summary._asdict() == {
        "data_name": "root",
        "records": 3,
        "byte_size": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
        "record_type": TYPE,
        "properties": ("a",),
        "unindexed_bytes": 0,
    }
    assert summary.byte_size > 3000


@pytest.mark.parametrize(
    ("suffix", "error"),
    [
        ("meta", DatasetNotFoundError),
        ("data", DatasetNotFoundError),
        ("index", DatasetIncompleteError),
    ],
)
def test_a_missing_file_is_named(folder: Path, suffix: str, error: type[DatasetError]) -> None:
    (folder / f"root.{suffix}").unlink()
    with pytest.raises(error, match=rf"root\.{suffix}' is missing"):
        check(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"no folder .*nothing"):
        ReadOnlyDataset(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="nor any other"):
        ReadOnlyDataset(tmp_path)


@pytest.mark.parametrize(
    ("suffix", "content", "reason"),
    [
        ("meta", b"", "no fields|not a map|not known"),
        ("meta", b"\xff\xfe", "not text"),
        ("meta", b"version: 2 record_type { basicType: map }", "format version '2'"),
        ("meta", b"record_type { basicType: map", "before a '}'"),
        ("meta", b"record_type { basicType: string }", "not a map"),
        ("meta", b"record_type { basicType: map }", "no fields"),
        ("meta", b"record_type: 5 $", "line 1: unexpected character"),
        ("meta", b"\n\nrecord_type 5", "line 3: expected a ':'"),
        ("meta", b"{", "expected a field name"),
        ("meta", b"version: {", "before a '}'"),
        ("meta", b"version: }", "expected a value"),
        ("meta", b"a{" * 500, "nested deeper"),
        (
            "meta",
            b"record_type{basicType:list " + b"item{basicType:list " * 99 + b"}" * 100,
            "deeper",
        ),
        ("meta", b'record_type{basicType:map properties{key:"x" value{basicType:blob}}}', "'blob'"),
        ("meta", b"record_type{basicType:map properties{key:5 value{basicType:int64}}}", "quoted"),
        ("meta", b'record_type{basicType:map properties{key:"\\377" value{}}}', "not UTF-8"),
        ("index", b"", "is empty"),
        ("index", b"\x0a\x05\x00", "ends 4 bytes too early"),
        ("index", b"\x0a\x01\x80", "ends inside of a number"),
        ("index", b"\x0a\x0b" + b"\xff" * 11, "longer than ten bytes"),
        ("index", b"\x0b", "wire type 3"),
        ("index", b"\x0a\x02\x05\x03", "do not rise"),
        ("index", b"\x10\x05", "do not rise"),
        ("index", length_field(0x0A, encode_varint(2**64 - 1) + b"\x05"), "do not rise"),
        ("data", b"", "was cut off"),
        ("prop", b"\x0a", "is damaged"),
    ],
)
def test_a_broken_file_is_named_with_the_reason(
    folder: Path, suffix: str, content: bytes, reason: str
) -> None:
    (folder / f"root.{suffix}").write_bytes(content)
    with pytest.raises(DatasetCorruptError, match=rf"(?s)root\.{suffix}'.*({reason})") as caught:
        check(folder)
    assert str(caught.value.detail["file"]).endswith(f"root.{suffix}")


def test_records_that_were_cut_off(folder: Path) -> None:
    data = folder / "root.data"
    data.write_bytes(data.read_bytes()[:-1])
    reader = ReadOnlyDataset(folder)
    with pytest.raises(DatasetCorruptError, match=r"root\.data' has .* was cut off"):
        next(reader)


def test_text_format_in_other_hands(folder: Path) -> None:
    """Other writers of text format use other quotes, brackets, numbers and comments."""
    (folder / "root.meta").write_text(
        "# made elsewhere\nversion: 1; id: 'a' \"b\",\n"
        "record_type: < basicType: 5 properties { key: '\\x78', value { basicType: 3 } }\n"
        'properties { key: "\\346\\260\\264\\n" value < basicType: 6 > } keys: ["\\346\\260\\264\\n", "x"] >',
        encoding="utf-8",
    )
    assert list(ReadOnlyDataset(folder).record_type.items()) == [("水\n", "String"), ("x", "Int")]


@pytest.mark.usefixtures("decoder")
def test_a_broken_record_is_named_and_can_be_passed_over(folder: Path) -> None:
    with ReadOnlyDataset(folder) as reader:
        start = reader._store.index[1]
    data = bytearray((folder / "root.data").read_bytes())
    data[start + 1] = 255
    (folder / "root.data").write_bytes(data)
    reader = ReadOnlyDataset(folder)
    assert next(reader)["x"] == 0
    with pytest.raises(RecordCorruptError, match=r"^Record 1: the stored bytes are damaged"):
        next(reader)
    assert next(reader)["x"] == 2
    check(folder)
    with pytest.raises(RecordError) as caught:
        check(folder, every_record=True)
    assert (caught.value.record, caught.value.code) == (1, "record_corrupt")


@pytest.mark.usefixtures("decoder")
def test_a_broken_field_is_named(tmp_path: Path) -> None:
    reader = one_record(
        tmp_path, [{"n": "String"}], b"\x3a\x0b\x0a\x09\x42\x07\x0a\x05\x0a\x01n\x12\x63"
    )
    with pytest.raises(
        RecordCorruptError, match=r"^Record 0, field `f\[0\]`: .* too early"
    ) as caught:
        reader[0]
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.record, copy.field) == (str(caught.value), 0, "f[0]")


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "/etc/passwd",
        "files/../../x",
        "\\\\host\\x",
        "c:\\x",
        "C:x",
        "a\\..\\..\\x",
        "a\0b",
        "..",
    ],
)
def test_a_file_path_that_leaves_the_folder_is_refused(tmp_path: Path, path: str) -> None:
    content = b"\x08\x01" + length_field(0x1A, path.encode()) + b"\x20\x05"
    reader = one_record(tmp_path, "File", length_field(0x4A, content))
    with pytest.raises(UnsafePathError, match=r"^Record 0, field `f`: its file_path") as caught:
        reader[0]
    assert caught.value.code == "record_unsafe_path"


@pytest.mark.usefixtures("decoder")
def test_a_list_that_says_it_is_huge_costs_nothing(tmp_path: Path) -> None:
    feature = b"\x3a" + encode_varint(2**62) + b"\x0a\x00"
    with pytest.raises(RecordCorruptError):
        one_record(tmp_path, ["Int"], feature)[0]


def test_a_missing_or_cut_large_file_is_named(folder: Path) -> None:
    path = ReadOnlyDataset(folder).file_path(ReadOnlyDataset(folder)[1]["m"]["f"][0])
    assert path is not None
    path.write_bytes(b"cut")
    with pytest.raises(RecordCorruptError, match=r"Record 1, field `m.f\[0\]`: .*has 3 bytes"):
        check(folder, every_record=True)
    path.unlink()
    with pytest.raises(RecordCorruptError, match=r"Record 1, field `m.f\[0\]`: .*is missing"):
        check(folder, every_record=True)
