"""The networks on which an installation's containers are: one of all, and one per task of several replicas."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.daemon import Daemon, to_its_end
from kpl_lab.engines.docker.guard import Guard
from kpl_lab.engines.spec import Workload
from kpl_lab.errors import KplError
from kpl_lab.retry import backoff

_IN_USE = ("created", "running", "paused", "restarting")
_TRIES = 5


class Network:
    """Bridges of the installation's own, made when needed, or one that was chosen.

    On the common one containers do not reach one another; the replicas of a task that meet have
    one of their own, on which they do.

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
        self._installation = installation
        self._labels = {names.INSTALLATION: installation}
        self._is_own = not chosen
        # Docker makes a second one of the same name without a word.
        self._lock = asyncio.Lock()
        self.name = chosen or names.network(installation)

    def of(self, workload: Workload) -> str:
        """Return the name of the network that a workload is on."""
        return name_for(self._installation, workload, "" if self._is_own else self.name)

    async def make(self, workload: Workload) -> None:
        """Make a workload's network where it is not there, and guard it."""
        name = self.of(workload)
        async with self._lock:
            if self._is_own and await self._daemon.network(name) is None:
                is_shared = name != self.name
                making = self._daemon.make_network(name, self._labels, is_shared)
                await to_its_end(making)
            await self._guard.ensure(name)

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

    async def left(self, workload: Workload, is_unused: Callable[[], bool]) -> None:
        """Remove the network of a workload that has gone; the common one, and the guard, if nobody needs them."""
        async with self._lock:
            if (name := self.of(workload)) != self.name:
                await self._remove_one(name)
            if is_unused():
                await self._remove()

    async def sweep(self, workloads: Iterable[Workload]) -> None:
        """Remove networks of workloads that are none of these: a runner before us did not come to it."""
        async with self._lock:
            kept = {self.name, *(self.of(one) for one in workloads)}
            for found in await self._daemon.networks(self._labels):
                if found["Name"] not in kept:
                    await self._remove_one(str(found["Name"]))

    async def _remove(self) -> None:
        for found in await self._daemon.networks(self._labels) if self._is_own else ():
            await self._remove_one(str(found["Name"]))
        await self._guard.lower()

    async def _remove_one(self, name: str) -> None:
        waits = backoff(0.1, max_seconds=0.5)
        await self._guard.forget(name)
        for _ in range(_TRIES):
            await self._daemon.remove_network(name)
            if await self._daemon.network(name) is None:
                return
            # Docker refuses it until the last container has let go.
            await asyncio.sleep(next(waits))


def name_for(installation: str, workload: Workload, chosen: str) -> str:
    """Return the name of the network that a workload is on; ``chosen``: of the one for all."""
    return chosen or names.network(installation, workload.name if workload.meeting_ports else "")
