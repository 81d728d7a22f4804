"""Services: as many healthy replicas as wanted, and the way to them through the front door."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

from kpl_lab.engines.spec import (
    Cause,
    Handle,
    Kind,
    Limits,
    Observation,
    Replica,
    ReplicaState,
    Workload,
)
from kpl_lab.errors import Unavailable
from kpl_lab.platform import auth
from kpl_lab.platform.domain import contract, service_plans, service_revisions, service_states
from kpl_lab.platform.domain.code import Code, load_code
from kpl_lab.platform.domain.faults import Explanation, explain_refusal
from kpl_lab.platform.domain.kept_files import input_folders
from kpl_lab.platform.runtime.reconcilers.tasks import input_sources
from kpl_lab.platform.runtime.world import (
    CANNOT_START,
    NO_ROOM_SECONDS,
    Key,
    World,
    is_no_room,
    labels,
    stored_handle,
)
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView

# Ends that are not the service's own doing: it is started again.
_NOT_ITS_FAULT = (Cause.STOPPED, Cause.LOST, Cause.KILLED)
ROUTES = Key("routes")
# So long a replaced revision answers what it was asked before the front door knew another.
DRAIN_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.1


def _with_good_end(replica: Replica) -> Replica:
    """Note of a command that ended by itself and well that this was its fault."""
    if replica.exit_code != 0 or replica.cause not in (None, Cause.EXIT):
        return replica
    return replace(replica, cause=Cause.EXIT, detail={**replica.detail, "ended_well": True})


def workload_name(service: ServiceRecord) -> str:
    """Return the name of a service's workload; each start has its own."""
    return f"service-{service.run_id}-{service.revision}"


def _is_alive(seen: Observation | None) -> bool:
    return seen is not None and any(r.state is not ReplicaState.EXITED for r in seen.replicas)


class ServiceReconciler:
    """Brings services forward."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Take the next step of one service, or of one further revision.

        What is seen of the latter is told of their service, so that they are looked at with it.
        """
        service, others = await self._world.read(
            lambda s: (s.services.get(id), s.services.others(id))
        )
        for other in others:
            self._world.add(Key("services", other.id))
        if service is None:
            return None
        await self._forget_others(service)
        name = workload_name(service)
        seen = self._world.seen.get(name)
        if service.is_deleted or await self._is_left_over(service):
            await self._world.forget(name, service.handle)
            await self._world.write(lambda s: s.services.delete(id))
            self._world.add(ROUTES)
        elif not service.is_wanted:
            return await self._stop(service, name, seen)
        elif service.state != "failed":
            return await self._advance(service, name, seen)
        else:
            await self._end_failed(service, name, seen)
        return None

    async def _is_left_over(self, service: ServiceRecord) -> bool:
        """Say whether it is a further revision of a service that is not there any more."""
        of = service.service_id
        return of is not None and await self._world.read(lambda s: s.services.get(of)) is None

    async def _forget_others(self, service: ServiceRecord) -> None:
        """Remove workloads of earlier starts."""
        mine = f"service-{service.run_id}-"
        for name in [n for n in self._world.seen if n.startswith(mine)]:
            if name != workload_name(service):
                await self._world.forget(name, None)

    async def _stop(
        self, service: ServiceRecord, name: str, seen: Observation | None
    ) -> float | None:
        if _is_alive(seen):
            seconds = await self._called_seconds(service)
            if seconds is None:
                await self._world.engine.stop(self._world.handle(name, service.handle))
            return seconds
        is_dropped = service.role == service_states.DROPPED
        if not self._world.is_synced or (service.state == "stopped" and not is_dropped):
            return None
        await self._world.forget(name, service.handle)
        note = service_revisions.forget if is_dropped else service_states.note_stopped
        await self._world.write(lambda s: note(s, service))
        self._world.add(ROUTES)
        return None

    async def _called_seconds(self, service: ServiceRecord) -> float | None:
        """Return after how long to look again whether calls may be at a revision; None: none are.

        One that another has replaced ends when the front door has gone over to that, and what was
        asked of it before is answered. With the service itself it ends at once.
        """
        head = await self._world.read(lambda s: s.services.get(service.service_id or 0))
        if head is None or head.is_deleted or not head.is_wanted:
            return None
        ready = {i.get("address") for i in service.instances if i["state"] == "ready"}
        led = self._world.led
        is_led = led is None or workload_name(service) in led.get(head.id, frozenset())
        if is_led or ready & self._world.routed.get(head.id, frozenset()):
            return LOOK_AGAIN_SECONDS
        age = (self._world.context.clock.now() - service.updated_at).total_seconds()
        return DRAIN_SECONDS - age if ready and age < DRAIN_SECONDS else None

    async def _end_failed(
        self, service: ServiceRecord, name: str, seen: Observation | None
    ) -> None:
        """End what still runs of a service that has failed as a whole."""
        if _is_alive(seen):
            await self._world.engine.stop(self._world.handle(name, service.handle))
        elif self._world.is_synced:
            await self._world.write(lambda s: service_states.note_ended(s, service, seen))

    async def _advance(
        self, service: ServiceRecord, name: str, seen: Observation | None
    ) -> float | None:
        is_due = service.is_promoted_when_ready and service.state == "running"
        if is_due and await self._world.write(
            lambda s: service_revisions.promote_when_ready(s, service)
        ):
            self._world.add(ROUTES)
            return None
        if seen is None or not seen.replicas or len(seen.replicas) != service.replicas:
            if seen is None and service.handle is not None and not self._world.is_synced:
                return None
            return await self._run(service, name)
        exited = [r for r in seen.replicas if r.state is ReplicaState.EXITED]
        if len(exited) == len(seen.replicas) and all(r.cause in _NOT_ITS_FAULT for r in exited):
            await self._world.write(lambda s: service_states.start_anew(s, service))
            self._world.add(Key("services", service.id))
            return None
        why: Explanation | None = None
        troubled = exited or [r for r in seen.replicas if r.restarts and r.cause]
        if troubled:
            handle = self._world.handle(name, service.handle)
            why = await self._world.explain(_with_good_end(troubled[0]), handle)
        changed = await self._world.write(
            lambda s: service_states.record_observation(
                s, service, seen, why, is_routed=self._is_routed(service, seen)
            )
        )
        if changed:
            self._world.add(ROUTES)
            if service.is_promoted_when_ready:
                self._world.add(Key("services", service.id))
        return None

    def _is_routed(self, service: ServiceRecord, seen: Observation) -> bool:
        """Say whether calls reach it; a candidate may well be there for none."""
        return service.service_id is not None or self._world.is_routed(service.id, seen)

    async def _run(self, service: ServiceRecord, name: str) -> float | None:
        image = await self._image(service)
        if image is None:
            return None
        files = self._world.context.files
        try:
            lack = await self._world.fetches.lacking(
                [files.code(service.code_digest), *input_folders(files, service.inputs)],
                Key("services", service.id),
            )
            if lack is not None:
                text, is_progress = lack.text, lack.is_progress
                await self._world.write(
                    lambda s: service_states.waits(s, service, text, is_progress=is_progress)
                )
                return None
            code = await asyncio.to_thread(load_code, files, service.code_digest)
            token = await self._world.write(lambda s: self._issue(s, service))
            login = await self._world.login(image)
            workload = replace(self._workload(service, code, image, token), login=login)
            async for handle in self._world.engine.run(workload):
                await self._world.write(partial(self._keep_handle, service=service, handle=handle))
            await self._world.write(lambda s: service_states.waits_no_more(s, service))
        except Unavailable as error:
            absent = error.message
            await self._world.write(
                lambda s: service_states.waits(s, service, absent, is_progress=False)
            )
            raise
        except CANNOT_START as error:
            if is_no_room(error):
                return NO_ROOM_SECONDS
            why = explain_refusal(error)
            await self._world.write(lambda s: service_states.fail(s, service, why))
            if not _is_alive(self._world.seen.get(name)):
                await self._world.forget(name, service.handle)
        return None

    async def _image(self, service: ServiceRecord) -> str | None:
        """Return the environment to run in; None while it is being built, or has failed."""
        if service.build_id is None:
            return service.image or ""
        build = await self._world.read(lambda s: s.builds.get(service.build_id or 0))
        if build is None or build.state == "failed":
            # It ended while the service was being deployed, so that it was not told.
            message = build.message if build else None
            await self._world.write(lambda s: service_states.fail_for_build(s, service, message))
            return None
        return build.image if build.state == "succeeded" else None

    @staticmethod
    def _keep_handle(store: Store, service: ServiceRecord, handle: Handle) -> None:
        # What runs may have been promoted since: then it is another row's.
        by_run = {"origin_id": service.origin_id, "revision": service.revision}
        store.services.update(service.id, where=by_run, handle=stored_handle(handle))

    def _issue(self, store: Store, service: ServiceRecord) -> str:
        key = self._world.context.jwt_key
        return auth.issue(store, key, "service", service.run_id, service.owner)

    def _workload(self, service: ServiceRecord, code: Code, image: str, token: str) -> Workload:
        context = self._world.context
        function = code.environment.function(service_plans.FUNCTION)
        facts = self._facts(service, function, token)
        return Workload(
            name=workload_name(service),
            kind=Kind.SERVICE,
            labels=labels(context, "services", service.public_id, service.owner),
            image=image,
            command=("/bin/sh", "-c", function.cmd),
            identity=f"service:{service.run_id}",
            pool=service.pool,
            limits=Limits(
                cpu=service.cpu, memory_mb=service.memory, gpu=service.gpu, shm_mb=service.shm
            ),
            code=str(code.folder),
            environment={
                **service.environment,
                **contract.variables(facts),
                "PORT": "{{port}}",
                "KPL_ENV_SERVICE_PORT": "{{port}}",
            },
            templates=(*contract.TEMPLATES, "PORT", "KPL_ENV_SERVICE_PORT"),
            secrets={contract.TOKEN_FILE: token},
            inputs=input_sources(self._world, service.inputs),
            outputs=tuple(facts.outputs),
            replicas=service.replicas,
            port=function.port,
            health=function.health,
        )

    def _facts(self, service: ServiceRecord, function: FunctionView, token: str) -> contract.Facts:
        """Return what the program is told of its service."""
        given = [entry["key"] for entry in service.inputs]
        return contract.Facts(
            kind="deploy",
            id=service.id,
            token=token,
            api_url=self._world.context.settings.runtime_url,
            metric_token="none",  # noqa: S106 (services have no metrics; the variable must be set)
            parameters=service.parameters,
            inputs=given,
            outputs=[port.key for port in function.outputs],
            absent_inputs=[p.key for p in function.inputs if p.key not in given],
            gpus=service.gpu,
        )
