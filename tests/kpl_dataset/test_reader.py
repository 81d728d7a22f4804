"""How a reader behaves: the cursor, numbers and slices, columns, order, batches, processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from kpl_dataset import (
    BasicType,
    DatasetNotFoundError,
    ReadOnlyDataset,
    UnsafePathError,
    WriteOnlyDataset,
    record_order,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., ReadOnlyDataset]

pytestmark = pytest.mark.usefixtures("decoder")
COUNT = 10
TYPE = {"n": BasicType.Int, "name": BasicType.String, "tags": [BasicType.String]}


def fill(folder: Path, name: str = "root", count: int = COUNT) -> Path:
    """Write a small dataset."""
    with WriteOnlyDataset(folder, name, TYPE) as writer:
        writer.write_all({"n": n, "name": f"name {n}", "tags": ["t"] * n} for n in range(count))
    return folder


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[ReadOnlyDataset]:
    """A reader of ten records, numbered in `n`."""
    with ReadOnlyDataset(fill(tmp_path)) as opened:
        yield opened


def numbers(records: object) -> list[int]:
    """Return which records these are."""
    assert hasattr(records, "__iter__")
    return [record["n"] for record in records]


def test_a_reader_is_its_own_iterator_with_one_cursor(reader: ReadOnlyDataset) -> None:
    assert iter(reader) is reader
    assert next(reader)["n"] == 0
    assert numbers(reader) == list(range(1, COUNT))
    assert numbers(reader) == []
    reader.reset()
    assert reader.next()["n"] == 0
    assert numbers(islice(reader, 2)) == [1, 2]


def test_reading_by_number_leaves_the_cursor(reader: ReadOnlyDataset) -> None:
    next(reader)
    assert reader[7]["n"] == 7
    assert next(reader)["n"] == 1


def test_numbers_count_from_both_ends(reader: ReadOnlyDataset) -> None:
    assert (reader[0]["n"], reader[9]["n"], reader[-1]["n"], reader[-10]["n"]) == (0, 9, 9, 0)
    assert reader[True]["n"] == 1
    for beyond in (len(reader), -len(reader) - 1, 10**30):
        with pytest.raises(IndexError, match="the dataset has 10"):
            reader[beyond]


def test_slices_are_lists(reader: ReadOnlyDataset) -> None:
    assert numbers(reader[2:5]) == [2, 3, 4]
    assert numbers(reader[::-4]) == [9, 5, 1]
    assert reader[20:] == []


def test_records_do_not_share_what_can_be_changed(tmp_path: Path) -> None:
    kinds = {"l": ["Int"], "m": {"x": ["Int"]}, "f": "File"}
    with WriteOnlyDataset(tmp_path, None, kinds) as writer:
        writer.write_all([{}, {}])
    one, two = ReadOnlyDataset(tmp_path)[:]
    assert (
        one
        == two
        == {
            "l": [],
            "m": {"x": []},
            "f": {"type": 0, "content": b"", "file_path": "", "size": 0},
        }
    )
    one["l"].append(1)
    one["m"]["x"].append(1)
    one["f"]["size"] = 1
    assert two["l"] == two["m"]["x"] == []
    assert two["f"]["size"] == 0


def test_a_missing_field_reads_as_zero_in_its_place(tmp_path: Path) -> None:
    kinds = {"a": "String", "b": "Int", "c": "Float", "d": "ByteArray", "e": {"x": "Int"}}
    with WriteOnlyDataset(tmp_path, None, kinds) as writer:
        writer.write({"d": b"x"})
        writer.write({"c": 1.5, "a": "s"})
    reader = ReadOnlyDataset(tmp_path)
    assert reader[0] == {"a": "", "b": 0, "c": 0.0, "d": b"x", "e": {"x": 0}}
    assert reader[1] == {"a": "s", "b": 0, "c": 1.5, "d": b"", "e": {"x": 0}}
    assert [list(record) for record in reader] == [list(kinds)] * 2


def test_only_the_columns_asked_for_are_read(tmp_path: Path) -> None:
    fill(tmp_path)
    assert ReadOnlyDataset(tmp_path, columns=["tags", "n"])[2] == {"n": 2, "tags": ["t", "t"]}
    assert ReadOnlyDataset(tmp_path, columns="name")[0] == {"name": "name 0"}
    with pytest.raises(KeyError, match=r"no column x; there are n, name, tags"):
        ReadOnlyDataset(tmp_path, columns=["x"])


def test_batches(reader: ReadOnlyDataset) -> None:
    assert [numbers(b) for b in reader.batches(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [numbers(b) for b in reader.batches(4, [9, 0], drop_last=True)] == []
    assert [numbers(b) for b in reader.batches(1, [-1, 0])] == [[9], [0]]
    with pytest.raises(ValueError, match="at least one record"):
        reader.batches(0)


def test_shuffling_depends_on_the_seed_alone(reader: ReadOnlyDataset) -> None:
    first = numbers(reader.iterate(shuffle=True, seed=3))
    assert sorted(first) == list(range(COUNT))
    assert first == numbers(reader.iterate(shuffle=True, seed=3))
    assert first != numbers(reader.iterate(shuffle=True, seed=4))
    assert first != list(range(COUNT))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("world_size", [1, 3, 4, 20])
def test_shards_are_every_record_once(
    reader: ReadOnlyDataset, world_size: int, shuffle: bool
) -> None:
    shards = [
        numbers(reader.iterate(shuffle=shuffle, seed=1, rank=rank, world_size=world_size))
        for rank in range(world_size)
    ]
    assert sorted(n for shard in shards for n in shard) == list(range(COUNT))
    even = [
        len(record_order(COUNT, shuffle=shuffle, rank=rank, world_size=world_size, even=True))
        for rank in range(world_size)
    ]
    assert even == [COUNT // world_size] * world_size


@pytest.mark.parametrize(("rank", "world_size"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_outside_of_the_world_is_refused(rank: int, world_size: int) -> None:
    with pytest.raises(ValueError, match="rank must be"):
        record_order(3, rank=rank, world_size=world_size)


def test_a_closed_reader_opens_again(reader: ReadOnlyDataset) -> None:
    assert next(reader)["n"] == 0
    reader.close()
    reader.close()
    assert next(reader)["n"] == 1
    assert len(reader) == COUNT


def test_a_reader_travels_to_other_processes(reader: ReadOnlyDataset) -> None:
    next(reader)
    copy = pickle.loads(pickle.dumps(reader))
    assert numbers(copy) == list(range(1, COUNT))
    copy.close()


def test_which_dataset_of_a_folder(tmp_path: Path) -> None:
    fill(tmp_path, "train", 3)
    assert len(ReadOnlyDataset(str(tmp_path))) == 3
    assert len(ReadOnlyDataset(tmp_path, "no such")) == 3
    fill(tmp_path, "my.test", 4)
    assert len(ReadOnlyDataset(tmp_path, "my.test")) == 4
    with pytest.raises(DatasetNotFoundError, match=r"only my.test, train: name one"):
        ReadOnlyDataset(tmp_path)
    fill(tmp_path, "root", 5)
    assert len(ReadOnlyDataset(tmp_path, None)) == 5


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    reader = ReadOnlyDataset(fill(tmp_path / "data"))
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "data" / "files").mkdir()
    (tmp_path / "data" / "files" / "a").symlink_to("../../secret")
    (tmp_path / "data" / "files" / "b").write_text("content")
    value = {"type": 1, "content": b"c", "file_path": "files/a", "size": 6}
    with pytest.raises(UnsafePathError):
        reader.open_file(value)
    with reader.open_file({**value, "file_path": "files/b"}) as file:
        assert file.read() == b"content"
    with reader.open_file({**value, "file_path": ""}) as file:
        assert file.read() == b"c"


def test_importing_needs_the_standard_library_alone() -> None:
    program = "import sys, kpl_dataset; print(*{m.split('.')[0] for m in sys.modules})"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append('.'); {program}"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "kpl_dataset" in found
    assert set(found) - sys.stdlib_module_names - {"__main__"} == {"kpl_dataset"}
