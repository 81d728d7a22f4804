"""Lives of replicas, and the daemon's events that drive them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.builds import BuildLife
from kpl_lab.engines.docker.daemon import DaemonGone, Event
from kpl_lab.engines.docker.ledger import Entry, Ledger, Status
from kpl_lab.engines.docker.life import Life, Tools
from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.local import mounts
from kpl_lab.engines.running.status import reserve_room
from kpl_lab.engines.spec import Kind
from kpl_lab.errors import EngineError
from kpl_lab.retry import backoff
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)
# Docker takes seconds for each container where the disk is slow; the supervisor waits longer.
_CLEAR_SECONDS = 25.0


class Living(Protocol):
    """A life, of a container or a build."""

    def wake(self) -> None:
        """Look at what was asked for."""

    def look(self) -> None:
        """Ask Docker how it stands."""

    def tell(self, event: Event) -> None:
        """Take an event of its container."""

    def tell_beside(self, role: Role, event: Event) -> None:
        """Take an event of a container beside it."""

    async def run(self) -> None:
        """Live to the end."""


class Keeper:
    """Starts lives, follows the daemon, and removes what belongs to nobody."""

    def __init__(self, ledger: Ledger, tools: Tools) -> None:
        self._ledger = ledger
        self._tools = tools
        self._daemon = tools.daemon
        self._lives: dict[tuple[str, int], Living] = {}
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._others: set[asyncio.Task[None]] = set()
        self._labels = {names.INSTALLATION: tools.planner.installation}
        self._since = time.time_ns()

    def begin(self) -> None:
        """Adopt everything that the ledger knows, and follow the daemon."""
        for entry in list(self._ledger.entries.values()):
            for index in sorted({*entry.statuses, *range(entry.workload.replicas)}):
                self._adopt(entry, index)
        self._spawn(self._listen())

    async def close(self) -> None:
        """Let go of everything: containers go on, and what has ended is cleared away first."""
        ended = [task for (name, index), task in self._tasks.items() if self._is_over(name, index)]
        if ended:
            await asyncio.wait(ended, timeout=_CLEAR_SECONDS)
        tasks = [*self._tasks.values(), *self._others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, entry: Entry, index: int, *, restarts: int = 0) -> None:
        """Begin a replica.

        Raises
        ------
        EngineError
            There are no GPUs for it.
        OSError
            No room.
        """
        gpus = self._tools.planner.pick_gpus(entry.workload.limits.gpu, self._gpus_in_use())
        place = entry.place(index)
        place.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        place.stop.unlink(missing_ok=True)
        reserve_room(place.root)
        status = Status(index=index, restarts=restarts, gpus=gpus)
        status.write(place.root)
        entry.statuses[index] = status
        self._live(entry, index)
        self._tools.publish(entry)

    def ask_to_stop(self, entry: Entry, index: int, grace_seconds: float | None) -> None:
        """Ask a replica to end; again, with less grace, is fine."""
        life = self._lives.get((entry.name, index))
        if entry.ask_to_stop(index, grace_seconds) and life is not None:
            life.wake()

    def retire(self, entry: Entry, index: int) -> None:
        """End a replica that is one too many, and forget it afterwards."""
        if entry.statuses[index].is_final:
            self._spawn(self._retire(entry, index))
        else:
            self.ask_to_stop(entry, index, None)

    async def destroy(self, entry: Entry, index: int) -> None:
        """Remove a replica: its life, its containers, its folder."""
        task = self._tasks.get((entry.name, index))
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        labels = {**self._labels, names.WORKLOAD: entry.name, names.REPLICA: str(index)}
        for found in await self._daemon.containers(labels):
            await self._daemon.remove(found["Id"])
        await asyncio.to_thread(remove_tree, entry.place(index).root)
        entry.statuses.pop(index, None)

    def _is_over(self, name: str, index: int) -> bool:
        entry = self._ledger.entries.get(name)
        status = entry.statuses.get(index) if entry is not None else None
        return status is not None and status.is_final

    def _gpus_in_use(self) -> set[int]:
        return {
            gpu
            for entry in self._ledger.entries.values()
            for status in entry.statuses.values()
            if not status.is_final
            for gpu in status.gpus
        }

    def _adopt(self, entry: Entry, index: int) -> None:
        if index in entry.statuses:
            self._live(entry, index)
            return
        try:
            self.start(entry, index)
        except (EngineError, OSError):
            log.exception("%s/%s could not be started", entry.name, index)

    def _live(self, entry: Entry, index: int) -> None:
        key = (entry.name, index)
        life: Living
        if entry.recipe is None:
            life = Life(entry, index, self._tools)
        else:
            life = BuildLife(entry, entry.recipe, self._tools)
        before = self._tasks.get(key)
        self._lives[key] = life
        task = asyncio.create_task(self._run(entry, index, life, before))
        self._tasks[key] = task

    async def _run(
        self, entry: Entry, index: int, life: Living, before: asyncio.Task[None] | None
    ) -> None:
        """Run a life after the one before it, which may still wait for its relay."""
        key = (entry.name, index)
        if before is not None:
            before.cancel()
            await asyncio.wait({before})
        try:
            await life.run()
        except OSError:
            log.exception("%s/%s cannot go on", *key)
        if self._lives.get(key) is life:
            del self._lives[key], self._tasks[key]
        if entry.is_deleting:
            return
        if index >= entry.workload.replicas:
            self._spawn(self._retire(entry, index))
        elif entry.workload.kind is Kind.SERVER:
            async with entry.lock:
                await asyncio.to_thread(mounts.remove_root, entry.mounts)

    async def _retire(self, entry: Entry, index: int) -> None:
        async with entry.lock:
            if not entry.is_deleting and index >= entry.workload.replicas:
                await self.destroy(entry, index)
                self._tools.publish(entry)

    async def _listen(self) -> None:
        """Follow the daemon's events for ever; after a gap, everything is looked at."""
        waits, is_told = backoff(max_seconds=2.0), False
        while True:
            try:
                async with self._daemon.events(self._labels, self._since) as events:
                    if is_told:
                        log.info("the daemon's events come again")
                    is_told = False
                    await self._look_at_all()
                    async for event in events:
                        waits = backoff(max_seconds=2.0)
                        self._since = max(self._since, event.nanoseconds + 1)
                        self._on_event(event)
            except (DaemonGone, EngineError) as error:
                if not is_told:
                    log.warning("the daemon's events are lost: %s", error.message)
                is_told = True
            await asyncio.sleep(next(waits))

    def _on_event(self, event: Event) -> None:
        address = Address.of_labels(event.attributes)
        life = None if address is None else self._lives.get((address.workload, address.index))
        if address is None or life is None:
            return
        if address.role is Role.COMMAND:
            life.tell(event)
        else:
            life.tell_beside(address.role, event)

    async def _look_at_all(self) -> None:
        """Let every life look for itself, and remove containers of workloads that are not ours."""
        for life in list(self._lives.values()):
            life.look()
        for found in await self._daemon.containers(self._labels):
            if self._is_orphan(found):
                log.warning("removing %s: its workload is gone", found["Names"])
                await self._daemon.remove(found["Id"])
        await self._tools.network.sweep(one.workload for one in self._ledger.entries.values())

    def _is_orphan(self, container: dict[str, Any]) -> bool:
        address = Address.of_labels(container["Labels"])
        return address is not None and address.workload not in self._ledger.entries

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._others.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of the runner failed", exc_info=error)
