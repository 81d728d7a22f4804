"""What was asked a moment ago, for everybody who asks again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """An answer that may be some seconds old; it is asked for once, however many want it.

    Parameters
    ----------
    ask
        Gets it; what it raises is raised to whoever asked, and the next one asks again.
    """

    def __init__(self, seconds: float, ask: Callable[[], Awaitable[T]]) -> None:
        self._seconds = seconds
        self._ask = ask
        self._known: tuple[float, T] | None = None
        self._asking = asyncio.Lock()

    async def get(self) -> T:
        """Return it."""
        async with self._asking:
            if self._known is None or time.monotonic() - self._known[0] >= self._seconds:
                self._known = time.monotonic(), await self._ask()
            return self._known[1]
