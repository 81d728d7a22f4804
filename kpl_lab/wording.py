"""What sentences and tables have in common."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number of things: ``1 GPU``, ``2 GPUs``, ``0 GPUs``.

    Parameters
    ----------
    one
        What a single one is called.
    many
        What several are called, where it is more than an ``s`` at the end.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"
