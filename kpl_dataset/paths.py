"""Where a stored ``file_path`` may lead: into the dataset's folder, nowhere else."""

from __future__ import annotations

import os
from pathlib import Path


def is_inside(path: str) -> bool:
    """Tell whether a relative path, as it is written, stays in the folder it starts from."""
    if not path or path[0] in "/\\" or "\0" in path or ":" in path.split("/", 1)[0]:
        return False
    return ".." not in path.replace("\\", "/").split("/")


def resolve_inside(folder: Path, path: str) -> Path | None:
    """Return the real path of a file below a folder, or None where a link leads out of it."""
    if not is_inside(path):
        return None
    root = os.path.realpath(folder)
    target = os.path.realpath(folder / path)
    return Path(target) if target.startswith(root + os.sep) else None
