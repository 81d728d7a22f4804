"""What the original implementation wrote is read, and written again, bit for bit."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from kpl_dataset import ReadOnlyDataset, WriteOnlyDataset, check, set_size_threshold, writer
from kpl_dataset.record import size_threshold
from kpl_dataset.wire import LENGTH, read_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Golden = tuple["Path", dict[str, Any]]


@pytest.fixture
def low_threshold() -> Iterator[None]:
    """The threshold that the golden data were written with lies between 33 and 5,000 bytes."""
    before = size_threshold()
    set_size_threshold(1000)
    yield
    set_size_threshold(before)


def stored_order(data: bytes, record: Any) -> Any:
    """Return a record (or list) with its keys in the order in which they are stored.

    Dicts of the writer's program are stored in their own order, which need not be the order of
    the record type.
    """
    messages = [value for number, _, value in read_fields(data) if number == 1]
    if isinstance(record, list):
        return [stored_order(inner_message(m), v) for m, v in zip(messages, record, strict=True)]
    if not isinstance(record, dict) or "file_path" in record:
        return record
    out = {}
    for entry in messages:
        assert isinstance(entry, bytes)
        parts = {number: value for number, _, value in read_fields(entry)}
        key, feature = parts[1], parts[2]
        assert isinstance(key, bytes)
        out[key.decode()] = stored_order(inner_message(feature), record[key.decode()])
    return out


def inner_message(feature: Any) -> bytes:
    """Return the list, map or file in a feature, or nothing."""
    for number, kind, value in read_fields(feature):
        if number >= 7 and kind == LENGTH:
            assert isinstance(value, bytes)
            return value
    return b""


@pytest.mark.usefixtures("decoder")
def test_records_read_as_the_original_read_them(golden: Golden, digest: Callable[..., Any]) -> None:
    folder, expected = golden
    with ReadOnlyDataset(folder) as reader:
        assert len(reader) == expected["length"]
        assert reader.data_name == expected["data_name"]
        records = [digest(record) for record in reader]
    assert len(records) == expected["length"]
    assert records[: len(expected["records"])] == expected["records"]


def test_record_types_and_properties(golden: Golden) -> None:
    folder, expected = golden
    reader = ReadOnlyDataset(folder)
    assert reader.record_type == expected["record_type"]
    properties = reader.get_meta_db()
    assert {key: properties.get(key) for key in properties} == expected["props"]


def test_columns_come_in_the_order_of_the_keys(golden_root: Path) -> None:
    reader = ReadOnlyDataset(golden_root / "digits-classification")
    order = ["path", "content", "contentType", "class_name", "class_id"]
    assert list(reader.record_type) == order
    assert list(reader[0]) == order
    nested = ReadOnlyDataset(golden_root / "every-type").record_type["meta"]
    assert list(nested) == ["width", "cn", "inner"]


@pytest.mark.usefixtures("decoder")
def test_every_golden_dataset_is_whole(golden: Golden) -> None:
    folder, expected = golden
    summary = check(folder, every_record=True)
    assert summary.records == expected["length"]
    assert summary.unindexed_bytes == 0
    assert summary.byte_size == sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


@pytest.mark.usefixtures("low_threshold")
def test_writing_the_same_gives_the_same_bytes(
    golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, expected = golden
    name = expected["data_name"]
    reader = ReadOnlyDataset(folder)
    raw = (folder / f"{name}.data").read_bytes()
    index = reader._store.index
    # Large files get random names: take those of the golden data.
    names = iter([r["file"]["file_path"][6:] for r in reader if r.get("file", {}).get("type")])
    monkeypatch.setattr(writer, "_new_file_name", lambda: next(names))
    with WriteOnlyDataset(tmp_path / "new", name, reader.record_type) as out:
        for number in range(len(reader)):
            stored = raw[index[number] : index[number + 1]]
            record = stored_order(stored, reader[number])
            if "file" in record:
                source = tmp_path / "source"
                with reader.open_file(record["file"]) as file:
                    source.write_bytes(file.read())
                record["file"] = str(source)
            out.write(record)
        properties = reader.get_meta_db()
        for key in properties:
            value = properties.get(key)
            assert value is not None
            out.get_meta_db().put(key, value)

    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert (tmp_path / "new" / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def test_user_guide_session(golden_root: Path) -> None:
    """The seed's user guide: iterate, take by next(), by number, count, reset, close."""
    reader = ReadOnlyDataset(str(golden_root / "digits-detection"), data_name=None)
    first = next(reader)
    assert first["path"] == "JPEGImages/IMG_0000.jpg"
    rest = [record["path"] for record in reader]
    assert rest[0] == "JPEGImages/IMG_0001.jpg"
    assert len(rest) == len(reader) - 1
    assert list(reader) == []
    reader.reset()
    assert reader.next() == first
    assert reader[3]["object"][0]["name"] == "six"
    assert [r["path"] for r in islice(reader, 2)] == rest[:2]
    reader.close()
