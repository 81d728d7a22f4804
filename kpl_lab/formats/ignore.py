"""``.kplignore``: what of a code folder stays at home, written as in ``.gitignore``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pathspec

from kpl_lab.errors import Invalid

FILE = ".kplignore"
ALWAYS = ("__pycache__/", ".git/", ".ipynb_checkpoints/")


def rules(folder: Path, always: tuple[str, ...] = ALWAYS) -> pathspec.GitIgnoreSpec:
    """Return what of ``folder`` is left out: ``always``, and what its ``.kplignore`` names.

    Raises
    ------
    Invalid
        The file is not UTF-8 text, or holds a pattern that cannot be understood.
    """
    lines = list(always)
    path = folder / FILE
    try:
        if path.is_file():
            lines += path.read_text("utf-8-sig").splitlines()
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError) as error:
        raise Invalid(
            f"{FILE} cannot be used: {error}. Write one pattern a line, as in .gitignore.",
            code="bad_ignore_file",
            detail={"file": FILE},
        ) from error


def patterns(lines: Iterable[str]) -> pathspec.GitIgnoreSpec:
    """Return rules that stand in no file."""
    return pathspec.GitIgnoreSpec.from_lines(lines)


def ignored(folder: Path) -> Iterator[Path]:
    """Yield the files and folders below ``folder`` that are to be left out, folders first."""
    spec = rules(folder)
    yield from _ignored(folder, folder, spec)


def _ignored(root: Path, here: Path, spec: pathspec.GitIgnoreSpec) -> Iterator[Path]:
    for path in sorted(here.iterdir()):
        is_folder = path.is_dir() and not path.is_symlink()
        name = path.relative_to(root).as_posix()
        if spec.match_file(f"{name}/" if is_folder else name):
            yield path
        elif is_folder:
            yield from _ignored(root, path, spec)
