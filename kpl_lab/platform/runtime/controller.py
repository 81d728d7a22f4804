"""The controller: looks at what is wanted and what is there, and brings the two together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial

from kpl_lab.engines.running.client import note_capacity
from kpl_lab.errors import KplError
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import housekeeping
from kpl_lab.platform.events import CONTROLLER, hearing
from kpl_lab.platform.runtime.bucket_tidying import tidy_bucket
from kpl_lab.platform.runtime.catalog import CatalogFollower
from kpl_lab.platform.runtime.frontdoor import RouteReconciler
from kpl_lab.platform.runtime.lease import Fence, Unfenced
from kpl_lab.platform.runtime.reconcilers.builds import BuildReconciler
from kpl_lab.platform.runtime.reconcilers.images import ImageReconciler
from kpl_lab.platform.runtime.reconcilers.imports import ImportReconciler
from kpl_lab.platform.runtime.reconcilers.outputs import OutputReconciler
from kpl_lab.platform.runtime.reconcilers.passes import PassReconciler
from kpl_lab.platform.runtime.reconcilers.servers import MountReconciler, ServerReconciler
from kpl_lab.platform.runtime.reconcilers.services import ServiceReconciler
from kpl_lab.platform.runtime.reconcilers.tasks import TaskReconciler, TaskScheduler
from kpl_lab.platform.runtime.tidying import remove_unused_images
from kpl_lab.platform.runtime.wishes import strangers, wishes
from kpl_lab.platform.runtime.workqueue import WorkQueue
from kpl_lab.platform.runtime.world import FrontDoor, Key, Reconciler, World
from kpl_lab.platform.telemetry import controller_socket, telling
from kpl_lab.telemetry.instruments import QUEUE_DEPTH, reconcile

log = logging.getLogger(__name__)
RESYNC_SECONDS = 5.0
TIDY_SECONDS = 3600.0
WATCH_AGAIN_SECONDS = 0.5
MAX_PAUSE_SECONDS = 0.5
# What moves whole datasets and models takes minutes. It has workers of its own, so that tasks,
# servers and routes never wait for it; few, because all of them share one disk.
IMPORTS_AT_ONCE = 2
PULLS_AT_ONCE = 2
COLLECTIONS_AT_ONCE = 2
# What each queue is measured as, by something that goes through it.
_QUEUES = {
    "tasks": "quick",
    "dataset_versions": "imports",
    "outputs": "outputs",
    "images": "images",
}


class Controller:
    """Runs all reconcilers: what is quick over one work queue, what is long over others.

    Parameters
    ----------
    context
        The platform's parts; its engine is watched.
    front_door
        Tells which routes are taken up; None: nobody asks.
    fence
        Keeps it from acting once another one does; None: there is no other.
    resync_seconds
        How often everything is looked at even though nothing was heard: the safety net.
    """

    def __init__(
        self,
        context: Context,
        *,
        front_door: FrontDoor | None = None,
        fence: Fence | None = None,
        resync_seconds: float = RESYNC_SECONDS,
    ) -> None:
        self._resync_seconds = resync_seconds
        self.world = World(context, fence or Unfenced(), front_door=front_door)
        self.queue: WorkQueue[Key] = WorkQueue(self._handle)
        imports: WorkQueue[Key] = WorkQueue(self._handle, IMPORTS_AT_ONCE)
        self._long: Mapping[str, WorkQueue[Key]] = {
            "dataset_versions": imports,
            "model_versions": imports,
            "outputs": WorkQueue(self._handle, COLLECTIONS_AT_ONCE),
            "images": WorkQueue(self._handle, PULLS_AT_ONCE),
        }
        for resource, name in _QUEUES.items():
            queue = self._queue_of(Key(resource))
            QUEUE_DEPTH.labels(name).set_function(partial(getattr, queue, "depth"))
        self.world.add = self.add
        self.world.is_at = lambda key: self._queue_of(key).is_at(key)
        self._nudged = asyncio.Event()
        self._reconcilers: Mapping[str, Reconciler] = {
            "tasks": TaskReconciler(self.world),
            "outputs": OutputReconciler(self.world),
            "schedule": TaskScheduler(self.world),
            "services": ServiceReconciler(self.world),
            "servers": ServerReconciler(self.world),
            "mounts": MountReconciler(self.world),
            "builds": BuildReconciler(self.world),
            "images": ImageReconciler(self.world),
            "dataset_versions": ImportReconciler(self.world, "dataset"),
            "model_versions": ImportReconciler(self.world, "model"),
            "routes": RouteReconciler(self.world),
            "passes": PassReconciler(self.world),
        }

    def add(self, key: Key) -> None:
        """Have ``key`` looked at soon."""
        self._queue_of(key).add(key)

    def _queue_of(self, key: Key) -> WorkQueue[Key]:
        return self._long.get(key.resource, self.queue)

    async def _handle(self, key: Key) -> float | None:
        with reconcile(key.resource):
            return await self._reconcilers[key.resource].reconcile(key.id)

    async def run(self) -> None:
        """Work until cancelled."""
        database, home = self.world.context.database, self.world.context.settings.home
        async with (
            hearing(database, home.run / CONTROLLER, self._nudged.set),
            telling(controller_socket(home)),
            asyncio.TaskGroup() as group,
        ):
            for queue in {self.queue, *self._long.values()}:
                group.create_task(queue.run())
            group.create_task(self.world.fetches.queue.run())
            group.create_task(tidy_bucket(self.world))
            group.create_task(self._watch())
            group.create_task(self._look())
            group.create_task(self._tidy())
            group.create_task(self._note_capacity())
            group.create_task(CatalogFollower(self.world).run())

    async def _tidy(self) -> None:
        """Look now and then for what interrupted work and time leave behind."""
        context = self.world.context
        while True:
            try:
                await self.world.write(
                    lambda store: housekeeping.clean(store, context.files, context.options)
                )
                await remove_unused_images(self.world)
            except (KplError, OSError) as error:
                log.warning("what is left behind could not be cleaned up: %s", error)
            await asyncio.sleep(TIDY_SECONDS)

    async def _watch(self) -> None:
        """Follow the engine; when the connection breaks, learn everything anew."""
        while True:
            try:
                await self._watch_once()
            except KplError as error:
                log.warning("the engine does not answer: %s", error.message)
            await asyncio.sleep(WATCH_AGAIN_SECONDS)

    async def _watch_once(self) -> None:
        fresh: set[str] = set()
        async for seen in self.world.engine.watch():
            if not seen.name:
                for name in [n for n in self.world.seen if n not in fresh]:
                    del self.world.seen[name]
                # An engine that came back tells everything once more: what it tells of from here
                # on is what counts then.
                fresh.clear()
                self.world.is_synced = True
                self._nudged.set()
                continue
            fresh.add(seen.name)
            if seen.gone:
                self.world.seen.pop(seen.name, None)
            else:
                self.world.seen[seen.name] = seen
            self._add_seen(seen.labels)

    def _add_seen(self, labels: Mapping[str, str]) -> None:
        is_ours = labels.get("instance") == self.world.context.settings.instance
        resource, id = labels.get("resource", ""), labels.get("id", "")
        if is_ours and resource in self._reconcilers and id.isdigit():
            self.add(Key(resource, int(id)))
            if resource == "tasks":
                self.add(Key("schedule"))

    async def _look(self) -> None:
        """Look at the whole table of wishes when nudged, and now and then."""
        clock = self.world.context.clock
        tidied_at = -self._resync_seconds
        while True:
            self._nudged.clear()
            began = clock.monotonic()
            try:
                for key in await self.world.read(partial(wishes, self.world)):
                    self.add(key)
                if began - tidied_at >= self._resync_seconds:
                    # A nudge tells of rows that are new, and not of workloads without one.
                    tidied_at = began
                    await self._collect_orphans()
            except KplError as error:
                log.warning("%s", error.message)
            # However many nudges come, others get their turn.
            await asyncio.sleep(min(clock.monotonic() - began, MAX_PAUSE_SECONDS))
            try:
                async with asyncio.timeout(self._resync_seconds):
                    await self._nudged.wait()
            except TimeoutError:
                continue

    async def _note_capacity(self) -> None:
        """Tell API processes on other machines what there is: they have no runner to ask."""
        home = self.world.context.settings.home
        while self.world.context.database.is_shared:
            try:
                found = await self.world.engine.capacity()
                await asyncio.to_thread(note_capacity, home, found)
            except (KplError, OSError) as error:
                log.warning("the capacity could not be noted: %s", error)
            await asyncio.sleep(self._resync_seconds)

    async def _collect_orphans(self) -> None:
        """Remove workloads of ours that no row knows: a deletion was cut short."""
        if not self.world.is_synced:
            return
        instance = self.world.context.settings.instance
        ours = {
            name: (seen.labels.get("resource", ""), seen.labels.get("id", ""))
            for name, seen in self.world.seen.items()
            if seen.labels.get("instance") == instance
        }
        for name in await self.world.read(lambda store: strangers(store, ours)):
            log.info("removing the orphan %s", name)
            await self.world.forget(name, None)
