"""Trees that strangers have made are walked and removed, however deep and whatever their modes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kpl_lab.trees import below, remove_tree
from tests.places import as_ordinary, nest


def names(root: Path) -> list[str]:
    return [entry.name for entry in below(root)]


def test_what_is_in_a_folder_comes_before_the_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path)
    found = names(tmp_path)
    assert sorted(found) == ["a", "b", "file", "link"]
    assert found.index("file") < found.index("b") < found.index("a")


@pytest.mark.parametrize(("depth", "name"), [(1500, "d"), (60, "long" * 60)])
def test_a_tree_of_any_depth_and_length_is_walked_and_removed(
    tmp_path: Path, depth: int, name: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    nest(root, depth, name)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    assert names(root) == ["leaf", *[name] * depth]
    assert len(list(Path("/proc/self/fd").iterdir())) == opened
    remove_tree(root)
    assert not root.exists()


def test_what_a_link_leads_to_stays(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path / "precious")
    remove_tree(root)
    (tmp_path / "link").symlink_to(tmp_path / "precious")
    remove_tree(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "precious"]


def test_a_file_is_removed_and_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    remove_tree(tmp_path / "file")
    remove_tree(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o555])
def test_closed_folders_are_removed_by_their_owner(tmp_path: Path, mode: int) -> None:
    def make_and_remove() -> None:
        root = tmp_path / "root"
        (root / "inner").mkdir(parents=True)
        (root / "inner" / "file").touch()
        (root / "inner").chmod(mode)
        root.chmod(mode)
        remove_tree(root)

    as_ordinary(tmp_path, make_and_remove)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_moved_away_meanwhile_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "a" / "b" / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    walk = below(tmp_path / "root")
    assert next(walk).name == "file"
    (tmp_path / "root" / "a" / "b").rename(tmp_path / "elsewhere" / "b")
    with pytest.raises(OSError, match="moved while"):
        next(walk)


def test_what_cannot_be_removed_is_told_and_the_rest_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "root" / name).touch()
    unlink: Callable[..., None] = os.unlink

    def refuse(name: str, **more: int) -> None:
        if name == "b":
            raise PermissionError(1, "refused", name)
        unlink(name, **more)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(PermissionError):
        remove_tree(tmp_path / "root")
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["b"]
