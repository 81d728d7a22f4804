"""Downloads: complete or nothing, and never outside of their folder."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_lab.client.unpacking import unpack
from kpl_lab.errors import Conflict, Invalid, StorageFull, Unavailable
from tests.doubles.platform import packed


def pieces(archive: bytes, size: int = 7) -> Iterator[bytes]:
    for start in range(0, len(archive), size):
        yield archive[start : start + size]


def archive_with(info: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


def test_a_download_becomes_a_folder(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    archive = packed({"root.data": b"x" * 2000, "files/a": b"1"})
    count = unpack(
        pieces(archive),
        tmp_path / "digits",
        total=len(archive),
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert count == 2
    assert (tmp_path / "digits/root.data").read_bytes() == b"x" * 2000
    assert (tmp_path / "digits/files/a").read_bytes() == b"1"
    assert seen[-1][0] <= len(archive) == seen[-1][1]


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_a_path_that_leads_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="outside"):
        unpack(pieces(archive_with(tarfile.TarInfo(name))), tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(Invalid, match="neither a file nor a folder"):
        unpack(pieces(archive_with(info)), tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [100, 600, 900])
def test_a_cut_download_leaves_nothing(tmp_path: Path, left: int) -> None:
    with pytest.raises(Unavailable, match="ended early"):
        unpack(pieces(packed({"a": b"x" * 1000})[:left]), tmp_path / "t")
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/mine").write_text("mine")
    with pytest.raises(Conflict, match="there already"):
        unpack(pieces(packed({"mine": b"theirs"})), tmp_path / "t")
    assert (tmp_path / "t/mine").read_text() == "mine"


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFull, match="cannot be written: File exists"):
        unpack(pieces(packed({"a": b"1"})), tmp_path / "file" / "t")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    assert unpack(pieces(packed({"a": b"1"})), tmp_path / "t") == 1
