"""What was asked a moment ago, for everybody who asks again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kpl_lab.clock import SYSTEM_CLOCK, Clock

T = TypeVar("T")


class Recent(Generic[T]):
    """An answer that may be some seconds old; it is asked for once, however many want it.

    Parameters
    ----------
    seconds
        How old it may be, from the moment at which it was asked for.
    ask
        Gets it. What it raises is raised to all who wait for this answer; the next one asks again.
    """

    def __init__(
        self, seconds: float, ask: Callable[[], Awaitable[T]], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._seconds = seconds
        self._ask = ask
        self._clock = clock
        self._known: tuple[float, T] | None = None
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return it."""
        if self._known is not None and self._clock.monotonic() - self._known[0] < self._seconds:
            return self._known[1]
        if self._asking is None:
            self._asking = asyncio.create_task(self._renew())
        # Who gives up takes the answer from nobody else.
        return await asyncio.shield(self._asking)

    async def _renew(self) -> T:
        asked = self._clock.monotonic()
        try:
            found = await self._ask()
        finally:
            self._asking = None
        self._known = asked, found
        return found
