"""The file store: everything stays inside, appears whole, and cannot be changed afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.errors import Invalid, StorageFull
from kpl_lab.platform.storage.files import FileStore, make_read_only, remove_tree, size_of
from tests.places import nest
from tests.platform.conftest import SmallDisk


class Boom(Exception):
    """Something that goes wrong half way."""


@pytest.mark.parametrize("parts", [("..",), ("datasets", "..", "..", "x"), ("/etc/passwd",)])
def test_no_path_leads_out(parts: tuple[str, ...], files: FileStore) -> None:
    with pytest.raises(Invalid, match="out of the store"):
        files.path(*parts)


def test_no_link_leads_out(files: FileStore, tmp_path: Path) -> None:
    (files.root / "datasets").symlink_to(tmp_path)
    with pytest.raises(Invalid):
        files.path("datasets", "x")


def test_what_is_filled_appears_whole(files: FileStore) -> None:
    target = files.model(1, 1)
    with files.incoming() as folder:
        (folder / "model").mkdir()
        (folder / "model" / "a").write_text("x")
        assert not target.exists()
        files.publish(folder / "model", target)
    assert (target / "a").read_text() == "x"
    assert list(files.path("incoming").iterdir()) == []


def test_what_fails_half_way_leaves_nothing(files: FileStore) -> None:
    with pytest.raises(Boom), files.incoming() as folder:
        (folder / "a").write_text("x")
        raise Boom
    assert list(files.path("incoming").iterdir()) == []


def test_publishing_again_replaces_what_an_earlier_try_left(files: FileStore) -> None:
    target = files.model(1, 1)
    for text in ("first", "second"):
        with files.incoming() as folder:
            (folder / "model").mkdir()
            (folder / "model" / text).write_text(text)
            files.publish(folder / "model", target)
        make_read_only(target)
    assert [p.name for p in target.iterdir()] == ["second"]


def test_what_is_named_by_its_content_is_published_once(files: FileStore) -> None:
    target = files.code("digest")
    for name in ("first", "second"):
        with files.incoming() as folder:
            (folder / "code").mkdir()
            (folder / "code" / name).write_text("the same")
            make_read_only(folder / "code")
            (folder / "code").chmod(0o755)
            files.publish_same(folder / "code", target)
    assert [p.name for p in target.iterdir()] == ["first"]
    assert target.stat().st_mode & 0o777 == 0o555
    assert list(files.path("incoming").iterdir()) == []


def test_read_only_means_all_of_it_and_it_can_still_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("12345")
    make_read_only(folder)
    assert all(p.stat().st_mode & 0o222 == 0 for p in (folder, *folder.rglob("*")))
    assert size_of(folder) == 5
    remove_tree(folder)
    assert not folder.exists()
    remove_tree(folder)


def test_a_folder_of_any_depth_is_measured_closed_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    nest(folder, 1200)
    (folder / "a").write_text("12345")
    make_read_only(folder)
    assert size_of(folder) == 5
    assert folder.stat().st_mode & 0o222 == 0
    remove_tree(folder)
    assert not folder.exists()


def test_removing_does_not_follow_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    remove_tree(folder)
    assert (outside / "precious").exists()


def test_a_full_disk_is_told_with_what_helps(files: FileStore, small_disk: SmallDisk) -> None:
    def fill() -> None:
        with files.incoming() as folder:
            (folder / "a").write_bytes(b"x" * 1_000_000)

    with small_disk(files.root), pytest.raises(StorageFull, match="Delete datasets"):
        fill()
