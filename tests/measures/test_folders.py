"""How full a disk is and what fills a folder."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_lab.measures.folders import Bounds, disk_of, walk
from tests.places import as_ordinary


def write(path: Path, kibibytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * (kibibytes << 10))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "data/train/images.bin", 400)
    write(tmp_path / "data/notes.txt", 4)
    write(tmp_path / ".cache/pip/http/wheel", 200)
    write(tmp_path / ".cache/torch/weights", 100)
    write(tmp_path / "notebook.ipynb", 40)
    return tmp_path


def test_the_largest_files_and_folders_are_named(home: Path) -> None:
    found = walk(home)
    assert [path for path, _ in found.largest_files(3)] == [
        "data/train/images.bin",
        ".cache/pip/http/wheel",
        ".cache/torch/weights",
    ]
    # Not `data`, nearly all of which is `data/train`; nor `.cache/pip`, which only leads on.
    assert [path for path, _ in found.largest_folders(3)] == [
        "data/train",
        ".cache",
        ".cache/pip/http",
    ]
    assert found.is_whole
    assert found.total >= 744 << 10


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a", 100)
    before = walk(tmp_path).total
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert walk(tmp_path).total == before


def test_links_are_not_followed(home: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = walk(home).total
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere / "large", 1000)
    (home / "link").symlink_to(elsewhere)
    (home / "loop").symlink_to(home)
    assert walk(home).total - before < 100 << 10


def test_a_sparse_file_counts_what_it_takes(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    assert walk(tmp_path).total < 1 << 20


def test_a_walk_ends_after_so_many_entries_and_says_so(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path / f"deep/{number}", 1)
    (tmp_path / "shallow").mkdir()
    found = walk(tmp_path, Bounds(entries=10))
    assert not found.is_whole
    # What lies above is seen before what lies below.
    assert {"deep", "shallow"} <= set(found.folders)
    assert len(found.files) == 8


def test_a_walk_ends_after_so_long(home: Path) -> None:
    ticks = iter(range(100))
    assert not walk(home, Bounds(seconds=3), clock=lambda: float(next(ticks))).is_whole


def test_what_is_closed_is_left_out(tmp_path: Path) -> None:
    def look() -> None:
        write(tmp_path / "closed/secret", 10)
        write(tmp_path / "open/large", 10)
        (tmp_path / "closed").chmod(0)
        found = walk(tmp_path)
        (tmp_path / "closed").chmod(0o700)
        assert [path for path, _ in found.largest_files(9)] == ["open/large"]

    as_ordinary(tmp_path, look)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m,nr_inodes=100", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a disk of one's own cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_is_full_a_little_before_its_last_byte(small_disk: Path) -> None:
    assert not disk_of(small_disk).is_full
    write(small_disk / "large", 12 << 10)
    found = disk_of(small_disk)
    assert found.is_full
    assert (found.size, found.free) == (16 << 20, 4 << 20)


def test_a_disk_without_room_for_names_is_full_too(small_disk: Path) -> None:
    for number in range(80):
        (small_disk / str(number)).touch()
    assert disk_of(small_disk).is_full


def test_another_disk_below_is_not_counted(small_disk: Path) -> None:
    write(small_disk / "mounted", 1000)
    write(small_disk.parent / "own", 10)
    assert walk(small_disk.parent).total < 100 << 10
