"""``.kplignore``: what of a code folder does not count as code."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.errors import Invalid
from kpl_lab.formats.ignore import ignored


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def left_out(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in ignored(folder)}


def test_caches_and_repositories_never_count(tmp_path: Path) -> None:
    make(
        tmp_path,
        "train.py",
        "sub/__pycache__/x.pyc",
        ".git/config",
        ".ipynb_checkpoints/x",
        "git/kept",
    )
    assert left_out(tmp_path) == {"sub/__pycache__", ".git", ".ipynb_checkpoints"}


def test_patterns_are_those_of_gitignore(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "keep.log", "data/x", "sub/data/y", "数据/z.bin")
    (tmp_path / ".kplignore").write_text("# mine\n*.log\n!keep.log\n/data/\n数据/\n")
    assert left_out(tmp_path) == {"a.log", "data", "数据"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "code/a.py", "outside/__pycache__/x")
    (tmp_path / "code" / "link").symlink_to(tmp_path / "outside")
    assert left_out(tmp_path / "code") == set()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"!\n"])
def test_what_cannot_be_understood_is_told(content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".kplignore").write_bytes(content)
    with pytest.raises(Invalid, match=r"\.kplignore"):
        left_out(tmp_path)
