"""The properties of a dataset."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl_dataset import (
    DatasetCorruptError,
    MetaDB,
    PropertyExistsError,
    PropertyMissingError,
    PropertyValueError,
    ReadOnlyDataset,
    WriteOnlyDataset,
)

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.recursive(
    st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture
def properties(tmp_path: Path) -> MetaDB:
    """Properties with nothing in them."""
    return MetaDB(str(tmp_path / "root.prop"))


def test_put_update_delete(properties: MetaDB) -> None:
    assert properties.get("a") is None
    assert not properties.has("a")
    properties.put("a", 1)
    properties.put("b", [1, 2.5, "x", {"k": []}])
    with pytest.raises(PropertyExistsError, match="update"):
        properties.put("a", 2)
    properties.update("a", "new")
    with pytest.raises(PropertyMissingError, match="put"):
        properties.update("c", 1)
    assert properties.keys() == ("a", "b")
    assert list(properties) == ["a", "b"]
    assert "a" in properties
    assert properties.get("b") == [1, 2.5, "x", {"k": []}]
    assert str(properties) == ">>> a = new\n>>> b = [1, 2.5, 'x', {'k': []}]\n"
    properties.delete("a")
    properties.delete("a")
    assert properties.keys() == ("b",)


def test_a_property_written_by_the_writer_is_there_for_the_reader(tmp_path: Path) -> None:
    with WriteOnlyDataset(tmp_path, "train", {"x": "Int"}) as writer:
        writer.get_meta_db().put("classes", ["猫", "狗"])
    properties = ReadOnlyDataset(tmp_path, "train").get_meta_db()
    assert properties.get("classes") == ["猫", "狗"]


def test_merging_takes_the_others_values(tmp_path: Path, properties: MetaDB) -> None:
    other = MetaDB(tmp_path / "other.prop")
    properties.merge_from(other)
    assert not properties.file.exists()
    properties.put("a", 1)
    properties.put("b", 2)
    other.put("c", 3)
    other.put("a", 4)
    properties.merge_from(other)
    assert {key: properties.get(key) for key in properties} == {"a": 4, "b": 2, "c": 3}
    with pytest.raises(PropertyValueError, match="not dict"):
        properties.merge_from({"a": 1})  # type: ignore[arg-type]  # what this test is about


def test_changes_of_others_are_seen(properties: MetaDB) -> None:
    again = MetaDB(properties.file)
    properties.put("a", 1)
    assert again.get("a") == 1
    again.update("a", 2)
    assert properties.get("a") == 2


@pytest.mark.parametrize(
    "value", [None, b"bytes", (1,), 2**63, [None], {"a": {1: 2}}, {"a": object()}]
)
def test_values_that_cannot_be_kept(properties: MetaDB, value: Any) -> None:
    with pytest.raises(PropertyValueError):
        properties.put("a", value)
    assert not properties.has("a")


def test_names_are_strings(properties: MetaDB) -> None:
    with pytest.raises(PropertyValueError, match="is a string"):
        properties.put(1, 2)  # type: ignore[arg-type]  # what this test is about


def test_nesting_has_an_end(properties: MetaDB) -> None:
    value: Any = 1
    for _ in range(95):
        value = [value]
    with pytest.raises(PropertyValueError, match="nested deeper"):
        properties.put("a", value)


@given(value=VALUES)
@settings(deadline=None)
def test_any_value_reads_back(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    properties = MetaDB(tmp_path_factory.mktemp("any") / "root.prop")
    properties.put("key", value)
    again = MetaDB(properties.file).get("key")
    assert again == value
    assert isinstance(again, type(value))


@pytest.mark.parametrize(
    "content", [b"\x0a", b"\x0a\x05\x0a\x01a\x12\x7f", b"\x0a\x03\x0a\x01\xff", b"\x0b"]
)
def test_a_broken_file_is_named(properties: MetaDB, content: bytes) -> None:
    properties.file.write_bytes(content)
    with pytest.raises(DatasetCorruptError, match=r"root\.prop.*is damaged"):
        properties.keys()


def test_a_broken_value_is_named(properties: MetaDB) -> None:
    properties.file.write_bytes(b"\x0a\x07\x0a\x01a\x12\x02\x12\x05")
    assert properties.keys() == ("a",)
    with pytest.raises(DatasetCorruptError, match="is damaged"):
        properties.get("a")


def _put_many(path: str, start: int) -> None:
    properties = MetaDB(path)
    for number in range(start, start + 20):
        properties.put(f"key {number}", number)


def test_processes_do_not_lose_each_others_changes(properties: MetaDB) -> None:
    context = multiprocessing.get_context("spawn")
    starts = (0, 100, 200)
    workers = [context.Process(target=_put_many, args=(str(properties.file), n)) for n in starts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert sorted(properties.keys()) == sorted(f"key {s + n}" for s in starts for n in range(20))
    assert [path.name for path in properties.file.parent.iterdir()] == ["root.prop"]
