"""What is packed, what is left out, and what is refused in words."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from kpl_lab.client.packing import CODE_IGNORES, scan, scan_code, tar_stream
from kpl_lab.errors import Invalid
from tests.doubles.platform import unpacked


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def pack(root: Path, **options: str) -> bytes:
    return b"".join(tar_stream(scan(root, ignores=CODE_IGNORES, **options)))


def test_the_archive_holds_the_files_and_is_as_large_as_was_said(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "x" * 1000, "数据/图 片.txt": "ü", "empty": ""})
    (tmp_path / "no files").mkdir()
    folder = scan(tmp_path, ignores=())
    archive = b"".join(tar_stream(folder))
    assert len(archive) == folder.bytes
    assert unpacked(archive) == {
        "train.py": b"x" * 1000,
        "数据/图 片.txt": "ü".encode(),
        "empty": b"",
    }
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert tar.getmember("no files").isdir()


def test_long_names_and_names_that_are_not_utf8_arrive(tmp_path: Path) -> None:
    long = "/".join(["a" * 100] * 4)
    write(tmp_path, {long: "long"})
    (tmp_path / os.fsdecode(b"\xff.txt")).write_text("odd")
    found = unpacked(pack(tmp_path))
    assert found == {long: b"long", os.fsdecode(b"\xff.txt"): b"odd"}


def test_caches_and_what_kplignore_names_are_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "keep.py": "",
            "__pycache__/x.pyc": "",
            "sub/__pycache__/y.pyc": "",
            ".git/config": "",
            ".ipynb_checkpoints/z": "",
            "data/big.bin": "",
            "data/keep.txt": "",
            ".kplignore": "data/*\n!data/keep.txt\n",
        },
    )
    assert set(unpacked(pack(tmp_path))) == {"keep.py", "data/keep.txt", ".kplignore"}


def test_everything_lies_below_the_top_folder_where_one_is_wanted(tmp_path: Path) -> None:
    write(tmp_path, {"a/b": "1"})
    assert unpacked(pack(tmp_path, top="model")) == {"model/a/b": b"1"}


def test_a_link_to_a_file_is_packed_as_the_file(tmp_path: Path) -> None:
    write(tmp_path, {"real": "content"})
    (tmp_path / "link").symlink_to("real")
    assert unpacked(pack(tmp_path))["link"] == b"content"


@pytest.mark.parametrize("target", ["missing", "."])
def test_a_broken_link_or_a_link_to_a_folder_is_refused_by_name(
    tmp_path: Path, target: str
) -> None:
    (tmp_path / "bad").symlink_to(target)
    with pytest.raises(Invalid, match="bad"):
        scan(tmp_path, ignores=())


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Invalid, match="pipe"):
        scan(tmp_path, ignores=())


def test_a_file_that_became_shorter_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, {"log": "long enough"}) / "log"
    folder = scan(tmp_path, ignores=())
    path.write_text("short")
    with pytest.raises(Invalid, match="became shorter"):
        list(tar_stream(folder))


def test_a_file_that_grew_is_packed_as_it_was_scanned(tmp_path: Path) -> None:
    path = write(tmp_path, {"log": "first"}) / "log"
    folder = scan(tmp_path, ignores=())
    path.write_text("first and more")
    assert unpacked(b"".join(tar_stream(folder))) == {"log": b"first"}


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="not a folder"):
        scan(tmp_path / "nowhere", ignores=())


def test_code_needs_an_environment_yml(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"no environment\.yml"):
        scan_code(write(tmp_path, {"train.py": ""}))


def test_the_largest_files_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"environment.yml": "", "weights.bin": "x" * 5_000_000, "train.py": "x"})
    assert scan_code(tmp_path).largest.startswith("weights.bin (4.8 MB), ")


def test_what_kplignore_names_is_told_and_caches_are_not(tmp_path: Path) -> None:
    files = {f"notes/{n}.txt": "" for n in range(6)} | {
        "train.py": "",
        "__pycache__/x.pyc": "",
        "data/deep/big.bin": "",
        ".kplignore": "*.txt\ndata\n__pycache__\n",
    }
    folder = scan(write(tmp_path / "digits", files), ignores=CODE_IGNORES)
    assert folder.left_out == ("data/", *(f"notes/{n}.txt" for n in range(6)))
    assert folder.notices == [
        ".kplignore leaves out 7 of digits: data/, notes/0.txt, notes/1.txt, notes/2.txt, "
        "notes/3.txt and 2 more."
    ]


def test_where_nothing_is_left_out_nothing_is_said(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "", ".git/config": ""})
    assert scan(tmp_path, ignores=CODE_IGNORES).notices == []
