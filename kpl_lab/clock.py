"""Time as a value that can be handed in, so that tests need not wait."""

from __future__ import annotations

import datetime as dt
import time
from typing import Protocol


class Clock(Protocol):
    """What code that looks at the time takes as an argument."""

    def now(self) -> dt.datetime:
        """Return the present as an aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never jump, for durations."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> dt.datetime:
        """Return the present as an aware UTC time."""
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump, for durations."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to go on.

    Parameters
    ----------
    start
        Aware time that the clock shows first.
    """

    def __init__(self, start: dt.datetime | None = None) -> None:
        self._now = start or dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self._monotonic = 0.0

    def now(self) -> dt.datetime:
        """Return the time that was set."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds that were let pass."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._now += dt.timedelta(seconds=seconds)
        self._monotonic += seconds


SYSTEM_CLOCK = SystemClock()
