"""The folder that a Dockerfile copies from: packed as ``docker build`` packs it.

Rules of ``.dockerignore``: https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any

import pathspec

from kpl_lab.client.packing import Entry, Folder, entry_of
from kpl_lab.errors import Invalid

IGNORE_FILE = ".dockerignore"


def ignore_rules(root: Path, dockerfile: Path) -> list[str]:
    """Return the patterns that count for a Dockerfile: its own, else those of the folder.

    Raises
    ------
    Invalid
        The file cannot be read.
    """
    own = dockerfile.with_name(dockerfile.name + IGNORE_FILE)
    for path in (own, root / IGNORE_FILE):
        try:
            return path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(
                f"{path} cannot be read ({error}); save it as UTF-8 text.", code="unreadable"
            ) from error
    return []


def spec_of(lines: list[str]) -> pathspec.PathSpec[Any]:
    """Return Docker's patterns, which all begin at the root, as rules.

    Raises
    ------
    Invalid
        One cannot be understood.
    """
    rules = []
    for line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        sign, pattern = ("!", text[1:].strip()) if text.startswith("!") else ("", text)
        clean = posixpath.normpath(pattern.lstrip("/"))
        if clean != ".":  # Docker's way of naming everything; it leaves nothing out
            rules.append(f"{sign}/{clean}")
    try:
        return pathspec.PathSpec.from_lines("gitignore", rules)
    except ValueError as error:
        raise Invalid(
            f"{IGNORE_FILE} holds a pattern that cannot be understood: {error}.",
            code="bad_ignore_file",
        ) from error


def scan_context(root: Path, dockerfile: Path) -> Folder:
    """Return what of ``root`` goes into a build's context.

    Raises
    ------
    Invalid
        The folder, or its ``.dockerignore``, cannot be read; or it holds what cannot be packed.
    """
    lines = ignore_rules(root, dockerfile)
    spec, has_exceptions = spec_of(lines), any(line.strip().startswith("!") for line in lines)
    entries: list[Entry] = []

    def add(path: Path, name: str, *, is_folder: bool) -> None:
        entries.append(entry_of(path, name, is_folder=is_folder, ignore_file=IGNORE_FILE))

    def refuse(error: OSError) -> None:
        raise Invalid(
            f"{error.filename} cannot be read: {error.strerror}. Change its permissions, or name "
            f"it in {IGNORE_FILE}.",
            code="unreadable",
        )

    for folder, names, files in os.walk(root, onerror=refuse):
        relative = Path(folder).relative_to(root).as_posix()
        prefix = "" if relative == "." else f"{relative}/"
        kept = sorted(name for name in names if not spec.match_file(prefix + name))
        for name in kept:
            add(Path(folder, name), prefix + name, is_folder=True)
        # Behind an exception, something of a folder that is left out may be wanted all the same.
        names[:] = (
            sorted(n for n in names if not Path(folder, n).is_symlink()) if has_exceptions else kept
        )
        for name in sorted(files):
            if not spec.match_file(prefix + name):
                add(Path(folder, name), prefix + name, is_folder=False)
    return Folder(root, tuple(entries))
