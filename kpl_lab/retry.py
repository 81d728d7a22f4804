"""Waiting again: one helper for back-off with jitter, per call and never shared."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(
    first_seconds: float = 0.05, *, factor: float = 2.0, max_seconds: float = 5.0
) -> Iterator[float]:
    """Yield how long to wait before each further try, growing, with +-25 % jitter, for ever."""
    wait = first_seconds
    while True:
        # Spreading load, not a secret: the ordinary generator is the right one.
        yield wait * (0.75 + random.random() / 2)  # noqa: S311
        wait = min(wait * factor, max_seconds)
