"""The network on which an installation's containers are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.daemon import Daemon, to_its_end
from kpl_lab.engines.docker.guard import Guard
from kpl_lab.errors import KplError
from kpl_lab.retry import backoff

_IN_USE = ("created", "running", "paused", "restarting")
_TRIES = 5


class Network:
    """A bridge of the installation's own, made when needed, or one that was chosen.

    Parameters
    ----------
    guard
        Keeps what is on it from some addresses.
    chosen
        Name of a network that is there; empty: our own.
    """

    def __init__(self, daemon: Daemon, installation: str, guard: Guard, chosen: str = "") -> None:
        self._daemon = daemon
        self._guard = guard
        self._labels = {names.INSTALLATION: installation}
        self._is_own = not chosen
        # Docker makes a second one of the same name without a word.
        self._lock = asyncio.Lock()
        self.name = chosen or names.network(installation)

    async def make(self) -> None:
        """Make it where it is not there, and guard it."""
        async with self._lock:
            if self._is_own and await self._daemon.network(self.name) is None:
                await to_its_end(self._daemon.make_network(self.name, self._labels))
            await self._guard.ensure(self.name)

    async def guard(self, name: str) -> None:
        """Guard another network, on which something of ours is about to begin."""
        async with self._lock:
            await self._guard.ensure(name)

    async def remove_if_empty(self) -> None:
        """Remove it where it is ours, and the guard, if no container is there any more.

        A daemon that is away keeps both.
        """
        async with self._lock:
            with contextlib.suppress(KplError):
                found = await self._daemon.containers(self._labels)
                # One that is being removed at this moment is no reason to keep it.
                if not any(one["State"] in _IN_USE for one in found):
                    await self._remove()

    async def remove_if(self, is_unused: Callable[[], bool]) -> None:
        """Remove it where it is ours, and the guard, if nobody needs them."""
        async with self._lock:
            if is_unused():
                await self._remove()

    async def _remove(self) -> None:
        waits = backoff(0.1, max_seconds=0.5)
        for _ in range(_TRIES if self._is_own else 0):
            await self._daemon.remove_network(self.name)
            if await self._daemon.network(self.name) is None:
                break
            # Docker refuses it until the last container has let go.
            await asyncio.sleep(next(waits))
        await self._guard.lower()
