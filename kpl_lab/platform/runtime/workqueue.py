"""A queue of things to look at: duplicates merge, one look at a time per thing, back-off per thing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from kpl_lab.errors import KplError
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)
K = TypeVar("K")

# What a look may come to nothing by, and is then tried again. Anything else is a fault of ours,
# is logged with its traceback, and is tried again too: one bad row must not stop the others.
MAX_BACKOFF_SECONDS = 30.0


class WorkQueue(Generic[K]):
    """Calls ``handle`` for each key that was added, with a bounded number of workers.

    Parameters
    ----------
    handle
        Looks at one thing; returns seconds after which to look again, or None.
    workers
        How many looks may go on at once.
    """

    def __init__(self, handle: Callable[[K], Awaitable[float | None]], workers: int = 8) -> None:
        self._handle = handle
        self._workers = workers
        self._waiting: dict[K, None] = {}
        self._running: set[K] = set()
        self._again: set[K] = set()
        self._backoff: dict[K, Iterator[float]] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        # An event and no condition: all happens on one loop, and a condition's lock can be lost
        # when its waiters are cancelled together (Python 3.11), which would hang the end.
        self._added = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, key: K) -> None:
        """Have ``key`` looked at soon; while it is being looked at, once more afterwards."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        self._idle.clear()
        if key in self._running:
            self._again.add(key)
            return
        self._waiting[key] = None
        self._added.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Have ``key`` looked at after so long, unless it is added before."""
        if key in self._waiting or key in self._timers:
            return
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    @property
    def depth(self) -> int:
        """How many keys wait for their look."""
        return len(self._waiting)

    def is_at(self, key: K) -> bool:
        """Say whether ``key`` is being looked at just now."""
        return key in self._running

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def settled(self) -> None:
        """Wait until nothing is waiting or being looked at (timers aside)."""
        await self._idle.wait()

    async def _next(self) -> K:
        while not self._waiting:
            self._added.clear()
            await self._added.wait()
        key = next(iter(self._waiting))
        del self._waiting[key]
        self._running.add(key)
        return key

    async def _work(self) -> None:
        while True:
            key = await self._next()
            try:
                after = await self._handle(key)
            except KplError as error:
                log.warning("%s: %s", key, error.message)
                self._try_again(key)
            except Exception:
                log.exception("%s failed", key)
                self._try_again(key)
            else:
                self._backoff.pop(key, None)
                if after is not None:
                    self.add_after(key, after)
            finally:
                self._running.discard(key)
            if key in self._again:
                self._again.discard(key)
                self.add(key)
            if not self._waiting and not self._running:
                self._idle.set()

    def _try_again(self, key: K) -> None:
        waits = self._backoff.setdefault(key, backoff(0.2, max_seconds=MAX_BACKOFF_SECONDS))
        self.add_after(key, next(waits))
