"""Builds of environments: made once per recipe; whoever waits for one is told."""

from __future__ import annotations

from functools import partial

from kpl_lab.engines.spec import Capacity, Cause, Handle, Limits, Recipe, Replica
from kpl_lab.errors import EngineError
from kpl_lab.platform.domain import algorithms, builds, services, tasks
from kpl_lab.platform.domain.capacity import build_resources, why_build_waits
from kpl_lab.platform.runtime.world import Key, World, ended, labels, stored_handle
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.store import Store


def workload_name(build: BuildRecord) -> str:
    """Return the name of a build's workload."""
    return f"build-{build.id}"


class BuildReconciler:
    """Brings builds forward."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Take the next step of one build."""
        build = await self._world.read(lambda s: s.builds.get(id))
        if build is None:
            return None
        name = workload_name(build)
        if build.state == "queued":
            await self._start(build, name)
        elif build.state == "running":
            replica = ended(self._world.seen.get(name))
            if replica is not None:
                await self._finish(build, name, replica)
            elif name not in self._world.seen and self._world.is_synced:
                await self._start(build, name)
        else:
            await self._world.forget(name, build.handle)
        return None

    async def _start(self, build: BuildRecord, name: str) -> None:
        image = await self._world.engine.find_image(build.digest)
        if image is not None:
            await self._end(build, image=image, cached=build.state == "queued")
            return
        capacity = await self._world.engine.capacity()
        if build.state == "queued" and not await self._world.write(
            lambda s: self._admit(s, build, capacity)
        ):
            return
        ceilings = build_resources(capacity, self._world.context.options)
        recipe = Recipe(
            digest=build.digest,
            workspace=str(build.workspace_id),
            base=build.base,
            runs=tuple(build.runs),
            limits=Limits(cpu=ceilings.cpu, memory_mb=ceilings.memory, shm_mb=ceilings.shm),
            labels=labels(self._world.context, "builds", build.id, build.owner),
        )
        try:
            async for handle in self._world.engine.build(name, recipe):
                await self._world.write(partial(self._keep_handle, id=build.id, handle=handle))
        except EngineError as error:
            await self._end(build, reason="start_failed", message=error.message)
            self._world.add(Key("builds", build.id))  # for what there is of it by then

    def _admit(self, store: Store, build: BuildRecord, capacity: Capacity) -> bool:
        """Let a build begin where there is room; else note why it waits."""
        waits = why_build_waits(store, build, capacity, self._world.context.options)
        if waits is None:
            values = {"state": "running", "message": None}
            return store.builds.update(build.id, where={"state": "queued"}, **values)
        if waits != build.message:
            store.builds.update(build.id, where={"state": "queued"}, message=waits)
            store.events.write(builds.subject(build), "updated", waits)
        return False

    @staticmethod
    def _keep_handle(store: Store, id: int, handle: Handle) -> None:
        store.builds.update(id, handle=stored_handle(handle))

    async def _finish(self, build: BuildRecord, name: str, replica: Replica) -> None:
        handle = self._world.handle(name, build.handle)
        log = self._world.context.files.path("logs", "builds", f"{build.id}.log")
        await self._world.keep_log(handle, log)
        image = await self._world.engine.find_image(build.digest)
        if replica.exit_code == 0 and replica.cause in (None, Cause.EXIT) and image is not None:
            await self._end(build, image=image)
        else:
            why = await self._world.explain(replica, handle)
            message = f"The environment could not be built: {why.message}"
            await self._end(build, reason="build_failed", message=message)
        await self._world.forget(name, build.handle)

    async def _end(
        self,
        build: BuildRecord,
        *,
        image: str | None = None,
        cached: bool = False,
        reason: str | None = None,
        message: str | None = None,
    ) -> None:
        def change(store: Store) -> list[Key]:
            store.builds.update(
                build.id,
                state="succeeded" if image else "failed",
                image=image,
                cached=cached,
                reason=reason,
                message=message,
                finished_at=store.now(),
            )
            ended_build = store.builds.get(build.id)
            assert ended_build is not None  # noqa: S101 (changed just above)
            level = "normal" if image else "error"
            store.events.write(builds.subject(build), "state", message or "Built.", level=level)
            algorithms.build_finished(store, ended_build)
            return self._tell_waiting(store, ended_build)

        for key in await self._world.write(change):
            self._world.add(key)

    @staticmethod
    def _tell_waiting(store: Store, build: BuildRecord) -> list[Key]:
        """Let go on, or fail, what waits for the build."""
        keys = [Key("schedule")]
        keys += [Key("builds", b.id) for b in store.builds.active() if b.state == "queued"]
        for task in store.tasks.waiting_for(build.id):
            if build.state == "failed" and task.state == "queued":
                tasks.fail_for_build(store, task, build.message)
        for service in store.services.every():
            if service.build_id != build.id or service.state != "deploying":
                continue
            if build.state == "failed":
                services.fail_for_build(store, service, build.message)
            keys.append(Key("services", service.id))
        return keys
