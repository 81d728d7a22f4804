"""Builds of environments: made once per recipe; whoever waits for one is told."""

from __future__ import annotations

from functools import partial

from kpl_lab.engines.spec import Capacity, Cause, Handle, Limits, Recipe, Replica, Waits
from kpl_lab.errors import KplError, Unavailable
from kpl_lab.platform.domain import algorithms, builds, image_builds, service_states, tasks
from kpl_lab.platform.domain.capacity import build_resources, why_build_waits
from kpl_lab.platform.runtime.world import Key, World, ended, labels, stored_handle, waits_for
from kpl_lab.platform.settings import GIB
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.telemetry.instruments import BUILD_SECONDS

STOPPED = "stopped"
BEING_MADE = "build_running"
AGAIN_SECONDS = 2.0
_STOPPED = "The build was stopped."


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
        replica = ended(self._world.seen.get(name))
        if build.state not in ("queued", "running"):
            await self._world.forget(name, build.handle)
        elif replica is not None:
            await self._finish(build, name, replica)
        elif build.desired == "stop":
            await self._stop(build, name)
        elif build.state == "queued" or (name not in self._world.seen and self._world.is_synced):
            async with self._world.image_lock:
                return await self._start_or_wait(build, name)
        elif (seen := self._world.seen.get(name)) is not None and seen.replicas:
            waits = seen.replicas[0].waits
            await self._world.write(lambda s: self._note_wait(s, build, waits))
        return None

    async def _stop(self, build: BuildRecord, name: str) -> None:
        if name in self._world.seen:
            await self._world.engine.stop(self._world.handle(name, build.handle))
        elif build.state == "queued" or self._world.is_synced:
            await self._end(build, reason=STOPPED, message=_STOPPED)

    async def _start_or_wait(self, build: BuildRecord, name: str) -> float | None:
        try:
            return await self._start(build, name)
        except Unavailable as error:
            waits = waits_for(error)
            await self._world.write(lambda s: self._note_wait(s, build, waits))
            raise  # a part is away for a moment: the queue tries again

    async def _start(self, build: BuildRecord, name: str) -> float | None:
        image = await self._world.engine.find_image(build.digest)
        if image is not None and not build.request.get("push"):
            await self._end(build, image=image, cached=build.state == "queued")
            return None
        capacity = await self._world.engine.capacity()
        if build.state == "queued" and not await self._world.write(
            lambda s: self._admit(s, build, capacity)
        ):
            return None
        try:
            recipe = self._recipe(build, capacity)
            async for handle in self._world.engine.build(name, recipe):
                await self._world.write(partial(self._keep_handle, id=build.id, handle=handle))
        except Unavailable:
            raise
        except KplError as error:
            if error.code == BEING_MADE:  # by a build of another name: its result will be ours
                return AGAIN_SECONDS
            await self._end(build, reason="start_failed", message=error.message)
            self._world.add(Key("builds", build.id))  # for what there is of it by then
        return None

    def _recipe(self, build: BuildRecord, capacity: Capacity) -> Recipe:
        options = self._world.context.options
        ceilings = build_resources(capacity, options)
        extras = image_builds.extras(self._world.context, build)
        return Recipe(
            digest=build.digest,
            workspace=str(build.workspace_id),
            base=build.base,
            runs=tuple(build.runs),
            limits=Limits(cpu=ceilings.cpu, memory_mb=ceilings.memory, shm_mb=ceilings.shm),
            labels=labels(self._world.context, "builds", build.id, build.owner),
            files=extras.files,
            dockerfile=extras.dockerfile,
            archive=extras.archive,
            push=extras.push,
            max_bytes=int(options.image_limit_gb * GIB) or None,
            time_limit_seconds=int(options.build_limit_minutes * 60),
        )

    def _admit(self, store: Store, build: BuildRecord, capacity: Capacity) -> bool:
        """Let a build begin where there is room; else note why it waits."""
        waits = why_build_waits(store, self._world.context, build, capacity)
        if waits is None:
            values = {"state": "running", "message": None}
            return store.builds.update(build.id, where={"state": "queued"}, **values)
        if waits != build.message:
            store.builds.update(build.id, where={"state": "queued"}, message=waits)
            store.events.write(builds.subject(build), "updated", waits)
        return False

    @staticmethod
    def _note_wait(store: Store, build: BuildRecord, waits: Waits | None) -> None:
        """Note what a build waits for where it is to run; None: it runs."""
        text = waits.text if waits else None
        changed = text != build.message and store.builds.update(
            build.id, where={"state": ("queued", "running")}, message=text
        )
        if changed:
            is_bad = waits is not None and not waits.is_progress
            kind, level = ("waiting", "warning") if is_bad else ("updated", "normal")
            store.events.write(builds.subject(build), kind, text or "", level=level)

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
            await self._end_badly(build, handle, replica)
        await self._world.forget(name, build.handle)

    async def _end_badly(self, build: BuildRecord, handle: Handle, replica: Replica) -> None:
        if replica.cause is Cause.STOPPED and build.desired == "stop":
            await self._end(build, reason=STOPPED, message=_STOPPED)
            return
        why = await self._world.explain(replica, handle)
        what = "image" if build.name else "environment"
        message = f"The {what} could not be built: {why.message}"
        await self._end(build, reason="build_failed", message=message)

    async def _end(
        self,
        build: BuildRecord,
        *,
        image: str | None = None,
        cached: bool = False,
        reason: str | None = None,
        message: str | None = None,
    ) -> None:
        state = "succeeded" if image else STOPPED if reason == STOPPED else "failed"

        def change(store: Store) -> list[Key]:
            store.builds.update(
                build.id,
                state=state,
                sealed=None,
                image=image,
                cached=cached,
                reason=reason,
                message=message,
                finished_at=store.now(),
            )
            ended_build = store.builds.get(build.id)
            assert ended_build is not None  # noqa: S101 (changed just above)
            level = "error" if state == "failed" else "normal"
            store.events.write(builds.subject(build), "state", message or "Built.", level=level)
            algorithms.build_finished(store, ended_build)
            made = image_builds.finished(store, ended_build, image) if image else None
            store.after_commit(partial(image_builds.discard, self._world.context.files, build))
            if not cached:
                took = max((store.now() - build.created_at).total_seconds(), 0.0)
                store.after_commit(partial(BUILD_SECONDS.labels(state).observe, took))
            shown = [Key("images", made.id)] if made else []
            if state == "failed":
                image_builds.failed(store, ended_build, message or "")
            return shown + self._tell_waiting(store, ended_build)

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
                service_states.fail_for_build(store, service, build.message)
            keys.append(Key("services", service.id))
        return keys
