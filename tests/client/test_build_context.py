"""What of a folder goes into a build's context: as ``docker build`` has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.client.build_context import scan_context
from kpl_lab.errors import Invalid

FILES = ("Dockerfile", "a.py", "temp1", "dir/a.py", "dir/keep.md", "dir/sub/x.pyc", "b/temp2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for name in FILES:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def names(root: Path, *rules: str, own: str | None = None) -> list[str]:
    if rules:
        (root / ".dockerignore").write_text("\n".join(rules) + "\n")
    if own is not None:
        (root / "Dockerfile.dockerignore").write_text(own)
    found = scan_context(root, root / "Dockerfile").entries
    return [one.name for one in found if not one.is_folder and "dockerignore" not in one.name]


def test_everything_goes_in_where_nothing_is_said(folder: Path) -> None:
    assert sorted(names(folder)) == sorted(FILES)


def test_patterns_begin_at_the_root(folder: Path) -> None:
    assert "dir/a.py" in names(folder, "a.py")
    assert "a.py" not in names(folder, "a.py")
    assert "a.py" not in names(folder, "/a.py")


def test_a_star_stands_for_one_folder_and_two_for_any(folder: Path) -> None:
    assert {"temp1", "b/temp2"} & set(names(folder, "*/temp*")) == {"temp1"}
    assert not [one for one in names(folder, "**/*.pyc", "# b", "") if one.endswith(".pyc")]


def test_the_last_rule_that_fits_decides_also_within_a_folder(folder: Path) -> None:
    kept = names(folder, "dir", "!dir/keep.md")
    assert [one for one in kept if one.startswith("dir")] == ["dir/keep.md"]
    assert [one for one in names(folder, "dir", "!dir/keep.md", "dir/*.md") if "dir" in one] == []


def test_a_file_of_the_dockerfile_s_own_goes_before_the_folder_s(folder: Path) -> None:
    found = names(folder, "dir", own="b\n")
    assert "dir/a.py" in found
    assert "b/temp2" not in found


def test_what_cannot_be_packed_is_named_with_the_file_that_leaves_it_out(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "dir")
    with pytest.raises(Invalid, match=r"link is a link to a folder.*\.dockerignore"):
        names(folder)
    assert "a.py" in names(folder, "link")


def test_a_rule_that_is_no_rule_is_refused(folder: Path) -> None:
    (folder / ".dockerignore").write_bytes(b"\xff\xfe")
    with pytest.raises(Invalid, match="save it as UTF-8"):
        names(folder)
