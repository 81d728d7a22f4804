"""Unpacking what strangers send: nothing leaves the folder, nothing grows without bound."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from kpl_lab.errors import Invalid, StorageFull, TooLarge
from kpl_lab.platform.storage import archives
from kpl_lab.platform.storage.archives import ArchiveLimits
from tests.hostile.archives import REFUSED, plain, raw_zip_name, special, tar, zipped
from tests.platform.conftest import SmallDisk

LIMITS = ArchiveLimits(total_bytes=50_000_000, entries=200, ratio=200)


def unpack(content: bytes, folder: Path, limits: ArchiveLimits = LIMITS) -> dict[str, bytes]:
    packed = folder / "packed"
    packed.write_bytes(content)
    target = folder / "target"
    target.mkdir()
    archives.unpack(packed, target, limits)
    return {str(p.relative_to(target)): p.read_bytes() for p in archives.plain_files(target)}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_are_unpacked(mode: str, tmp_path: Path) -> None:
    packed = tar(special("empty", tarfile.DIRTYPE), plain("数据/a b.txt", b"hi"), mode=mode)
    assert unpack(packed, tmp_path) == {"数据/a b.txt": b"hi"}
    assert (tmp_path / "target" / "empty").is_dir()


def test_zips_are_unpacked(tmp_path: Path) -> None:
    packed = zipped(("empty/", b""), ("数据/a b.txt", b"hi"))
    assert unpack(packed, tmp_path) == {"数据/a b.txt": b"hi"}
    assert (tmp_path / "target" / "empty").is_dir()


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_names_without_the_utf8_flag_are_decoded(encoding: str, tmp_path: Path) -> None:
    packed = raw_zip_name("水果/苹果.txt".encode(encoding))
    assert list(unpack(packed, tmp_path)) == ["水果/苹果.txt"]


def test_leading_dots_are_no_folder(tmp_path: Path) -> None:
    packed = tar(special("./", tarfile.DIRTYPE), plain("./a/b"))
    assert list(unpack(packed, tmp_path)) == ["a/b"]


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_hostile_or_broken_is_refused_in_words(what: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises((Invalid, TooLarge)) as caught:
        unpack(REFUSED[what](), inside)
    assert len(caught.value.message) > 40
    assert "Traceback" not in caught.value.message
    assert list(tmp_path.iterdir()) == [inside], "something was written outside"
    assert {p.name for p in inside.iterdir()} == {"packed", "target"}
    assert not any(p.is_symlink() for p in inside.rglob("*"))
    written = sum(p.stat().st_size for p in (inside / "target").rglob("*") if p.is_file())
    assert written <= LIMITS.total_bytes


def test_modes_and_owners_of_the_archive_do_not_count(tmp_path: Path) -> None:
    info, data = plain("run", b"#!/bin/sh\n")
    info.mode, info.uid = 0o6777, 0
    unpack(tar((info, data)), tmp_path)
    mode = (tmp_path / "target" / "run").stat().st_mode
    assert mode & 0o6000 == 0


def test_a_full_disk_is_told_as_one(tmp_path: Path, small_disk: SmallDisk) -> None:
    packed = tmp_path / "packed"
    packed.write_bytes(tar(plain("a", b"x" * 500_000)))
    with small_disk(tmp_path / "target"), pytest.raises(StorageFull, match="no room left"):
        archives.unpack(packed, tmp_path / "target", LIMITS)


@pytest.mark.parametrize(
    ("entries", "top"),
    [
        (("model/a", "model/b"), "model"),
        (("model/a", "b"), ""),
        (("a",), ""),
    ],
)
def test_a_lone_top_folder_is_lost(entries: tuple[str, ...], top: str, tmp_path: Path) -> None:
    for name in entries:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert archives.lose_top_folder(tmp_path) == tmp_path / top
