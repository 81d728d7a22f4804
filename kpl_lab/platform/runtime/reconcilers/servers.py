"""Notebook servers and the datasets mounted into them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path

from kpl_lab.engines.spec import (
    Cause,
    Handle,
    Kind,
    Limits,
    MountResult,
    Replica,
    ReplicaState,
    Workload,
)
from kpl_lab.errors import KplError, Unavailable
from kpl_lab.platform import auth
from kpl_lab.platform.domain import (
    contract,
    images,
    pools,
    server_events,
    server_idle,
    server_memory,
    servers,
)
from kpl_lab.platform.domain.faults import explain_refusal
from kpl_lab.platform.runtime.world import (
    CANNOT_START,
    NO_ROOM_SECONDS,
    Key,
    World,
    ended,
    is_no_room,
    labels,
    stored_handle,
    waits_for,
)
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.records.steps import ServerStep
from kpl_lab.platform.storage.records.work import MountRecord, ServerRecord
from kpl_lab.platform.storage.store import Store

_PROGRESS_SECONDS = 2.0


def workload_name(server: ServerRecord | ServerStep) -> str:
    """Return the name of a server's workload."""
    return f"server-{server.id}"


class ServerReconciler:
    """Brings notebook servers forward."""

    def __init__(self, world: World) -> None:
        self._world = world
        # How many parts of each server memory has cost, of which its history knows.
        self._kills: dict[int, int] = {}

    async def reconcile(self, id: int) -> float | None:
        """Take the next step of one server."""
        server = await self._world.read(lambda s: s.servers.get(id))
        if server is None:
            return None
        name = workload_name(server)
        seen = self._world.seen.get(name)
        if server.state not in servers.ALIVE:
            self._kills.pop(id, None)
            await self._world.forget(name, server.handle)
            return None
        replica = ended(seen)
        if replica is not None:
            await self._end(server, replica)
        elif server.state == "stopping":
            await self._stop(server, name)
        elif seen is None or not seen.replicas:
            return await self._start_or_lose(server)
        else:
            if server.state == "starting":
                await self._follow_start(server, seen.replicas[0])
            await self._note_kills(server, seen.replicas[0])
        return None

    async def _note_kills(self, server: ServerRecord, replica: Replica) -> None:
        kills = int(replica.detail.get("oom_kills", 0))
        if kills > self._kills.get(server.id, 0):
            limit = int(replica.detail.get("limit_mb", server.memory))
            await self._world.write(lambda s: server_memory.note_kills(s, server, kills, limit))
        # Who counts may have begun anew, with its own process.
        self._kills[server.id] = kills

    async def _follow_start(self, server: ServerRecord, replica: Replica) -> None:
        pull = replica.detail.get("pull")
        if pull:
            done, total = int(pull["done"]), int(pull["total"])
            await self._world.write(lambda s: servers.pulling(s, server, done, total))
            return
        waits = replica.waits
        if waits is not None:
            await self._world.write(lambda s: servers.waits(s, server, waits))
        elif server.reason is not None:
            await self._world.write(lambda s: servers.waits_no_more(s, server))
        if replica.state is ReplicaState.READY:
            await self._world.write(lambda s: self._ready(s, server, replica.address))

    @staticmethod
    def _ready(store: Store, server: ServerRecord, address: str | None) -> None:
        servers.running(store, server, address)
        fresh = store.servers.get(server.id)
        if fresh is not None:
            servers.mount_at_start(store, fresh)

    async def _stop(self, server: ServerRecord, name: str) -> None:
        if name in self._world.seen:
            await self._world.engine.stop(self._world.handle(name, server.handle))
        elif self._world.is_synced:
            await self._world.forget(name, server.handle)
            await self._world.write(
                lambda s: servers.end(s, server, "stopped", server.reason, server.message)
            )

    async def _start_or_lose(self, server: ServerRecord) -> float | None:
        if server.state == "starting" and server.launch is not None:
            return await self._start(server)
        if server.state == "running" and self._world.is_synced:
            message = "The server vanished; the machine may have been restarted. Start it again."
            await self._world.write(lambda s: servers.end(s, server, "failed", "lost", message))
        return None

    async def _start(self, server: ServerRecord) -> float | None:
        try:
            image = await self._world.read(lambda s: images.of_server(s, server.image_id))
            token = await self._world.write(lambda s: self._issue(s, server))
            login = await self._world.login(image.reference)
            workload = replace(self._workload(server, image, token), login=login)
            async for handle in self._world.engine.run(workload):
                await self._world.write(partial(self._keep_handle, id=server.id, handle=handle))
        except Unavailable as error:
            waits = waits_for(error)
            await self._world.write(lambda s: servers.waits(s, server, waits))
            raise
        except CANNOT_START as error:
            if is_no_room(error):
                return NO_ROOM_SECONDS
            why = explain_refusal(error)
            await self._world.write(lambda s: servers.end_explained(s, server, why))
            self._world.add(Key("servers", server.id))  # for what there is of it by then
        return None

    @staticmethod
    def _keep_handle(store: Store, id: int, handle: Handle) -> None:
        store.servers.update(id, handle=stored_handle(handle))

    def _issue(self, store: Store, server: ServerRecord) -> str:
        key = self._world.context.jwt_key
        return auth.issue(store, key, "notebook", server.id, server.user)

    def _workload(self, server: ServerRecord, image: ImageRecord, token: str) -> Workload:
        context = self._world.context
        launch = server.launch or {}
        facts = contract.Facts(
            kind="notebook",
            id=server.id,
            token=token,
            api_url=context.settings.runtime_url,
            metric_token="none",  # noqa: S106 (notebooks have no metrics; the variable must be set)
            parameters={},
            gpus=server.gpu,
        )
        return Workload(
            name=workload_name(server),
            kind=Kind.SERVER,
            labels=labels(context, "servers", server.id, server.user),
            image=image.reference,
            command=tuple(launch["command"]),
            identity=f"user:{server.user}",
            pool=server.pool,
            limits=Limits(
                cpu=server.cpu, memory_mb=server.memory, gpu=server.gpu, shm_mb=server.shm
            ),
            home=server.user,
            skeleton=launch.get("skeleton"),
            environment={
                **image.variables,
                **launch["environment"],
                **contract.variables(facts),
                **server_idle.variables(
                    context.options,
                    launch,
                    server.gpu,
                    pools.idle_gpu_minutes(context, server.pool),
                ),
                "KPL_IMAGE_NAME": image.name,
            },
            secrets={contract.TOKEN_FILE: token},
            port=0,
        )

    async def _end(self, server: ServerRecord, replica: Replica) -> None:
        name = workload_name(server)
        handle = self._world.handle(name, server.handle)
        # Before the end is noted: what has ended is looked at no more.
        files = self._world.context.files
        await self._world.keep_log(handle, files.path("logs", "servers", f"{server.id}.log"))
        is_asked = server.desired == "stop" or replica.cause is Cause.STOPPED
        is_clean = replica.exit_code == 0 and replica.cause in (None, Cause.EXIT)
        if is_asked or (is_clean and server.state == "running"):
            await self._world.write(
                lambda s: servers.end(s, server, "stopped", server.reason, server.message)
            )
        else:
            why = await self._world.explain(replica, handle)
            await self._world.write(lambda s: servers.end_explained(s, server, why))
        await self._world.forget(name, server.handle)


class MountReconciler:
    """Brings datasets into running servers and out of them."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Take the next step of one mount."""
        mount = await self._world.read(lambda s: s.mounts.get(id))
        if mount is None or mount.state not in ("mounting", "unmounting"):
            return None
        server = await self._world.read(lambda s: s.servers.get(mount.server_id))
        if server is None or server.state not in servers.ALIVE:
            await self._world.write(lambda s: s.mounts.delete(id))
            return None
        if server.state != "running":
            return 0.5
        handle = self._world.handle(workload_name(server), server.handle)
        folder = mount.path.removeprefix(f"{servers.MOUNT_ROOT}/")
        if mount.state == "unmounting":
            await self._world.engine.unmount(handle, folder)
            await self._world.write(lambda s: self._unmounted(s, server, mount))
            return None
        source = self._world.context.files.dataset(mount.dataset_id, mount.version)
        try:
            lack = await self._world.fetches.lacking([source], Key("mounts", id))
            if lack is not None:
                await self._note_wait(mount, lack.text)
                return None
            result = await self._mount(mount, handle, source, folder)
        except CANNOT_START as error:
            text = error.message
            await self._world.write(lambda s: self._failed(s, server, mount, text))
        else:
            await self._world.write(lambda s: self._mounted(s, server, mount, result))
        return None

    async def _mount(
        self, mount: MountRecord, handle: Handle, source: Path, folder: str
    ) -> MountResult:
        """Mount, and note meanwhile how far that is."""
        engine = self._world.engine
        mounting = asyncio.create_task(engine.mount(handle, source, folder))
        try:
            while not (await asyncio.wait({mounting}, timeout=_PROGRESS_SECONDS))[0]:
                with contextlib.suppress(KplError):
                    if (found := await engine.mounting(handle, folder)) is not None:
                        done, all = (count >> 20 for count in found)
                        await self._note_wait(mount, f"{done} of {all} MiB are on its node.")
            return mounting.result()
        finally:
            mounting.cancel()

    async def _note_wait(self, mount: MountRecord, text: str) -> None:
        where = {"state": "mounting"}
        await self._world.write(lambda s: s.mounts.update(mount.id, where=where, message=text))

    @staticmethod
    def _mounted(
        store: Store, server: ServerRecord, mount: MountRecord, result: MountResult
    ) -> None:
        changed = store.mounts.update(
            mount.id,
            where={"state": "mounting"},
            state="mounted",
            enforced=result.enforced,
            message=result.note or None,
        )
        if changed:
            event = server_events.MOUNTED
            server_events.tell(store, server, event, dataset=mount.dataset, path=mount.path)

    @staticmethod
    def _unmounted(store: Store, server: ServerRecord, mount: MountRecord) -> None:
        store.mounts.delete(mount.id)
        server_events.tell(store, server, server_events.UNMOUNTED, dataset=mount.dataset)

    @staticmethod
    def _failed(store: Store, server: ServerRecord, mount: MountRecord, message: str) -> None:
        values = {"state": "failed", "reason": "mount_failed", "message": message}
        if store.mounts.update(mount.id, where={"state": "mounting"}, **values):
            server_events.tell(store, server, server_events.NOT_MOUNTED, message=message)
