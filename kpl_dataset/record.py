"""Types of values and the size from which files are kept beside the records."""

from __future__ import annotations

from kpl_dataset.schema import BasicType, FileType

__all__ = ["BasicType", "FileType", "set_size_threshold", "size_threshold"]

_threshold = [50 << 20]


def set_size_threshold(size: int) -> None:
    """Set up to how many bytes a ``File`` is kept in its record (50 MiB by default).

    It holds for every writer of this process, from the next record on.
    """
    _threshold[0] = size


def size_threshold() -> int:
    """Return up to how many bytes a ``File`` is kept in its record."""
    return _threshold[0]
