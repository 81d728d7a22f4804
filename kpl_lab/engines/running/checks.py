"""What a runner refuses: names and paths that could reach outside a workload's folders."""

from __future__ import annotations

import re
from pathlib import Path

from kpl_lab.engines.spec import Workload
from kpl_lab.errors import EngineError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def check_name(name: str) -> str:
    """Return a workload's name, or refuse what is no slug (it becomes a folder)."""
    if not _NAME.fullmatch(name):
        raise EngineError(f"{name!r} cannot be the name of a workload.", code="invalid_name")
    return name


def check_digest(digest: str) -> str:
    """Return an environment's digest, or refuse what cannot be a folder."""
    if not _DIGEST.fullmatch(digest):
        raise EngineError(f"{digest!r} cannot name an environment.", code="invalid_name")
    return digest


def check_segment(text: str, what: str) -> str:
    """Return ``text``, or refuse what is not one segment of a path."""
    if not text or text in (".", "..") or "/" in text or "\0" in text:
        raise EngineError(f"{text!r} cannot be a {what}: it is no plain name.", code="invalid_name")
    return text


def check_source(source: Path, storage: Path) -> Path:
    """Return a folder of the store, resolved; refuse what lies elsewhere or is not there."""
    resolved = source.resolve()
    if storage.resolve() not in resolved.parents:
        raise EngineError(f"{source} does not lie in the store.", code="outside_store")
    if not resolved.exists():
        raise EngineError(f"{source} is not in the store any more.", code="source_gone")
    return resolved


def check_target(target: Path, storage: Path) -> Path:
    """Return a folder to be made in the store; refuse what lies elsewhere."""
    parent = target.parent.resolve()
    if storage.resolve() not in (parent, *parent.parents):
        raise EngineError(f"{target} does not lie in the store.", code="outside_store")
    return target


def check_paths(workload: Workload, storage: Path) -> None:
    """Refuse a workload that could reach outside its folders.

    Raises
    ------
    EngineError
        A name that is no plain name, or a source outside the store.
    """
    check_name(workload.name)
    for key in (*(one.key for one in workload.inputs), *workload.outputs, *workload.secrets):
        check_segment(key, "key")
    if workload.home is not None:
        check_segment(workload.home, "home")
    for source in (*(one.source for one in workload.inputs), workload.code):
        if source is not None:
            check_source(Path(source), storage)
