"""How a writer behaves: what it takes, what it refuses, and what is left when it dies."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest

from kpl_dataset import (
    BasicType,
    DatasetClosedError,
    DatasetIncompleteError,
    DatasetLockedError,
    FileType,
    ReadOnlyDataset,
    RecordValueError,
    SchemaError,
    WriteOnlyDataset,
    check,
    common,
    set_size_threshold,
    sink,
)
from kpl_dataset.record import size_threshold

INT = {"x": BasicType.Int}


def values(folder: Path) -> list[int]:
    """Return the field `x` of all records."""
    with ReadOnlyDataset(folder) as reader:
        return [record["x"] for record in reader]


def test_user_guide_object_detection(tmp_path: Path) -> None:
    box = {"name": "dog", "xmin": 100, "ymin": 100, "xmax": 200, "ymax": 200, "difficult": 0}
    record = {
        "path": "a.jpg",
        "content": b"\xff\xd8",
        "contentType": "image/jpeg",
        "object": [{**box, "score": 0.9}],
    }
    kinds = common.RectangleBoxObjectDetectionDatasetDefine
    writer = WriteOnlyDataset(str(tmp_path / "a" / "b"), data_name="root", record_type=kinds)
    writer.write(record)
    writer.close()
    assert ReadOnlyDataset(tmp_path / "a" / "b")[0] == record


class Whole:
    """What numpy's integers are to the writer."""

    def __index__(self) -> int:
        return 7


class Real:
    """What numpy's floats are to the writer."""

    def __float__(self) -> float:
        return 0.5


def test_what_the_original_takes_is_taken(tmp_path: Path) -> None:
    kinds = {"i": ["Int"], "f": ["Float"], "b": ["ByteArray"]}
    with WriteOnlyDataset(tmp_path, None, kinds) as writer:
        writer.write({"i": (True, Whole()), "f": [1, Real()], "b": [bytearray(b"a"), b"b"]})
    record = ReadOnlyDataset(tmp_path)[0]
    assert record == {"i": [1, 7], "f": [1.0, 0.5], "b": [b"a", b"b"]}


@pytest.mark.parametrize(
    ("value", "field", "reason"),
    [
        ({"i": 1.5}, "i", "expected an int, got float"),
        ({"i": None}, "i", "expected an int, got NoneType"),
        ({"i": 2**63}, "i", "does not fit 64 bits"),
        ({"f": "1"}, "f", "expected a float, got str"),
        ({"b": "text"}, "b", "expected bytes, got str"),
        ({"s": b"bytes"}, "s", "expected a str, got bytes"),
        ({"s": "\ud800"}, "s", "cannot be written as UTF-8"),
        ({"l": "ab"}, "l", "expected a list, got str"),
        ({"l": [{"n": 1}, {"n": [1, "x"]}]}, "l[0].n", "expected a list, got int"),
        ({"l": [{}, {"n": [1, "x"]}]}, "l[1].n[1]", "expected an int, got str"),
        ({"l": [1]}, "l[0]", "expected a dict, got int"),
        ({"z": 1}, "", "has no field 'z'; it has i, f, b, s, l, file"),
        ({"l": [{"z": 1}]}, "l[0]", "has no field 'z'"),
        ({"file": "/no/such/file"}, "file", "cannot be stored"),
        ({"file": 5}, "file", "cannot be stored"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, value: dict[str, Any], field: str, reason: str
) -> None:
    kinds = {
        "i": "Int", "f": "Float", "b": "ByteArray", "s": "String",
        "l": [{"n": ["Int"]}], "file": "File",
    }  # fmt: skip
    with WriteOnlyDataset(tmp_path, None, kinds) as writer:
        writer.write({"i": 1})
        with pytest.raises(RecordValueError, match=r"^Record 1") as caught:
            writer.write({"s": "before", **value})
        writer.write({"i": 2})
    assert (caught.value.record, caught.value.field) == (1, field)
    assert reason in caught.value.message
    assert [record["i"] for record in ReadOnlyDataset(tmp_path)] == [1, 2]


@pytest.mark.parametrize(
    "kinds", [None, {}, "Int", [{"x": "Int"}], {"x": "int"}, {"x": []}, {"x": {}}, {"x": ["Int"] * 2},
              {1: "Int"}, {"x": [{"y": None}]}]
)  # fmt: skip
def test_record_types_that_are_none(tmp_path: Path, kinds: Any) -> None:
    with pytest.raises(SchemaError):
        WriteOnlyDataset(tmp_path, "root", kinds)
    assert list(tmp_path.iterdir()) == []


def test_files_small_and_large(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(600))
    large.write_bytes(bytes(range(256)) * 3)
    before = size_threshold()
    assert before == 50 * 1024 * 1024
    set_size_threshold(600)
    try:
        with WriteOnlyDataset(tmp_path / "data", None, {"f": BasicType.File}) as writer:
            writer.write({"f": str(small)})
            writer.write({"f": large})
            with pytest.raises(RecordValueError):
                writer.write({"f": large, "z": 1})
    finally:
        set_size_threshold(before)
    reader = ReadOnlyDataset(tmp_path / "data")
    assert reader[0]["f"] == {
        "type": FileType.Small, "content": bytes(600), "file_path": "", "size": 600
    }  # fmt: skip
    value = reader[1]["f"]
    assert (value["type"], value["content"], value["size"]) == (
        FileType.Large, large.read_bytes()[:512], 768
    )  # fmt: skip
    with reader.open_file(value) as file:
        assert file.read() == large.read_bytes()
    # The refused record has left nothing behind.
    stored = list((tmp_path / "data" / "files").iterdir())
    assert [path.name for path in stored] == [value["file_path"][6:]]


def test_a_writer_can_be_closed_twice_but_not_written_to(tmp_path: Path) -> None:
    writer = WriteOnlyDataset(tmp_path, None, INT)
    writer.close()
    writer.close()
    writer.flush()
    with pytest.raises(DatasetClosedError):
        writer.write({"x": 1})
    assert values(tmp_path) == []


def test_what_was_flushed_can_be_read_while_writing_goes_on(tmp_path: Path) -> None:
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        with pytest.raises(DatasetIncompleteError, match="has not been closed"):
            ReadOnlyDataset(tmp_path)
        writer.write({"x": 1})
        writer.flush()
        assert values(tmp_path) == [1]
        writer.write({"x": 2})
        assert values(tmp_path) == [1]
    assert values(tmp_path) == [1, 2]


@pytest.mark.usefixtures("decoder")
def test_flushes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "FLUSH_SECONDS", -1.0)
    monkeypatch.setattr(sink, "FLUSH_SHARE", -1)
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        for number in range(3):
            writer.write({"x": number})
            assert values(tmp_path) == list(range(number + 1))


def test_a_forgotten_writer_loses_nothing(tmp_path: Path) -> None:
    WriteOnlyDataset(tmp_path, None, INT).write({"x": 1})
    gc.collect()
    assert values(tmp_path) == [1]


def run(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has an open writer `w`."""
    opening = f"from kpl_dataset import *; w = WriteOnlyDataset({str(folder)!r}, None, {INT!r})"
    return subprocess.run(
        [sys.executable, "-c", f"import os, signal\n{opening}\n{program}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_program_that_ends_without_close_loses_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, "w.write({'x': 1})\nraise SystemExit(0)").returncode == 0
    assert values(tmp_path) == [1]


def test_a_killed_writer_leaves_what_was_flushed(tmp_path: Path) -> None:
    program = (
        "for n in range(1000): w.write({'x': n})\nw.flush()\n"
        "for n in range(99999): w.write({'x': n})\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    assert run(tmp_path, program).returncode == -signal.SIGKILL
    assert values(tmp_path) == list(range(1000))
    assert check(tmp_path, every_record=True).unindexed_bytes > 0


def test_a_writer_killed_before_its_first_flush_leaves_nothing(tmp_path: Path) -> None:
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        writer.write({"x": 5})
    program = "w.write({'x': 1})\nos.kill(os.getpid(), signal.SIGKILL)"
    assert run(tmp_path, program).returncode == -signal.SIGKILL
    with pytest.raises(DatasetIncompleteError):
        ReadOnlyDataset(tmp_path)
    # Its lock has died with it.
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        writer.write({"x": 6})
    assert values(tmp_path) == [6]


def test_a_full_disk_loses_nothing_that_was_written(tmp_path: Path) -> None:
    program = (
        "import resource\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "def limit(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, -1))\n"
        "w.write({'x': 1})\nw.flush()\n"
        "for n in range(2, 1000): w.write({'x': n})\n"
        "limit(4096)\n"
        "try: w.flush()\n"
        "except OSError: print(len(ReadOnlyDataset(w._folder)))\n"
        "limit(-1)\nw.close()"
    )
    done = run(tmp_path, program)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert values(tmp_path) == list(range(1, 1000))


def test_a_forked_copy_leaves_the_dataset_alone(tmp_path: Path) -> None:
    program = (
        "w.write({'x': 1})\npid = os.fork()\nif pid == 0: raise SystemExit(0)\n"
        "os.waitpid(pid, 0)\nassert not os.path.exists(f'{w._folder}/root.index')\nw.write({'x': 2})"
    )
    done = run(tmp_path, program)
    assert done.returncode == 0, done.stderr
    assert values(tmp_path) == [1, 2]


def test_two_processes_do_not_write_one_dataset(tmp_path: Path) -> None:
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        writer.write({"x": 1})
        done = run(tmp_path, "")
        assert done.returncode == 1
        assert DatasetLockedError.__name__ in done.stderr
    assert values(tmp_path) == [1]
    assert run(tmp_path, "w.close()").returncode == 0


def test_a_second_writer_of_one_program_takes_over(tmp_path: Path) -> None:
    """A notebook cell that runs again does this."""
    first = WriteOnlyDataset(tmp_path, None, INT)
    first.write({"x": 1})
    second = WriteOnlyDataset(tmp_path, None, INT)
    with pytest.raises(DatasetClosedError, match="started this dataset anew"):
        first.write({"x": 2})
    second.write({"x": 3})
    first.close()
    second.close()
    assert values(tmp_path) == [3]


def test_readers_of_the_old_dataset_keep_its_records(tmp_path: Path) -> None:
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        writer.write_all({"x": n} for n in range(100))
    with ReadOnlyDataset(tmp_path) as reader:
        assert next(reader)["x"] == 0
        with WriteOnlyDataset(tmp_path, None, INT):
            assert [record["x"] for record in reader] == list(range(1, 100))


def test_an_index_in_pieces_reads_the_same(tmp_path: Path) -> None:
    """Protobuf lets a packed list come in pieces, or one by one."""
    with WriteOnlyDataset(tmp_path, None, INT) as writer:
        writer.write_all({"x": n} for n in (1, 2))
    index = tmp_path / "root.index"
    with ReadOnlyDataset(tmp_path) as reader:
        offsets = reader._store.index
    assert offsets == array("q", [0, 9, 18])
    index.write_bytes(b"\x0a\x02\x00\x09\x08\x12")
    assert values(tmp_path) == [1, 2]
