"""Temporary folders in which whole installations can live."""

from __future__ import annotations

import tempfile
from pathlib import Path


def passable(folder: Path) -> Path:
    """Let every account pass ``folder`` and what lies above it; return it.

    pytest's folders are closed to others, and workloads have accounts of their own. With mount
    namespaces they would find their way nonetheless; in most containers there are none.
    """
    top = Path(tempfile.gettempdir()).resolve()
    for one in (folder, *folder.parents):
        if top in one.resolve().parents:
            one.chmod(one.stat().st_mode | 0o011)
    return folder
