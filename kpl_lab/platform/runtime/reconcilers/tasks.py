"""Tasks: admitted in order, started, followed, ended; outputs become models and datasets."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kpl_lab.engines.spec import (
    Capacity,
    Cause,
    Handle,
    Input,
    Kind,
    Limits,
    RelayTarget,
    Replica,
    ReplicaState,
    Workload,
)
from kpl_lab.errors import Unavailable
from kpl_lab.platform import auth
from kpl_lab.platform.domain import access, contract, distributed, server_queue, shutdown, tasks
from kpl_lab.platform.domain.capacity import books, held_for_servers
from kpl_lab.platform.domain.code import Code, load_code
from kpl_lab.platform.domain.faults import BY_CODE, explain_fault, explain_refusal
from kpl_lab.platform.domain.kept_files import input_folders
from kpl_lab.platform.domain.ledgers import Amounts, explain_impossible
from kpl_lab.platform.runtime.world import (
    CANNOT_START,
    Key,
    World,
    ended,
    is_no_room,
    labels,
    stored_handle,
)
from kpl_lab.platform.storage.records.steps import TaskStep
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView
from kpl_lab.schemas.tasks import TaskState

AFTER_CLOSING_SECONDS = 1.0


def workload_name(task: TaskRecord | TaskStep) -> str:
    """Return the name of a task's workload."""
    return f"task-{task.id}-{task.attempt}"


def input_sources(world: World, inputs: list[Any]) -> tuple[Input, ...]:
    """Return the folders of resolved inputs."""
    folders = input_folders(world.context.files, inputs)
    return tuple(
        Input(key=entry["key"], source=str(folder))
        for entry, folder in zip(inputs, folders, strict=True)
    )


class TaskReconciler:
    """Brings tasks forward."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Take the next step of one task."""
        task = await self._world.read(lambda store: store.tasks.get(id))
        if task is None or self._world.is_at(Key("outputs", id)):
            return None  # who keeps its outputs asks for a look at it afterwards
        if task.desired == "delete":
            await self._delete(task)
        elif task.state in tasks.FINAL:
            await self._world.forget(workload_name(task), task.handle)
        elif task.state in ("preparing", "running", "stopping"):
            await self._advance(task)
        return None

    async def _advance(self, task: TaskRecord) -> None:
        name = workload_name(task)
        seen = self._world.seen.get(name)
        if seen is None or not seen.replicas:
            if task.ending is not None:
                await self._finish(task, ())
            elif task.desired == "stop" and (task.handle is None or self._world.is_synced):
                # It never ran, was stopped half-way into its start, or is gone: it is stopped.
                await self._world.forget(name, task.handle)
                await self._world.write(lambda s: tasks.end(s, task, TaskState.STOPPED, None))
            elif task.state == "preparing":
                await self._start(task)
            elif self._world.is_synced:
                await self._lost(task)
            return
        if ended(seen) is not None:
            await self._finish(task, seen.replicas)
            return
        if task.state in tasks.ON_THE_WAY:
            await self._follow(task, seen.replicas)
        if task.desired == "stop":
            await self._world.engine.stop(self._world.handle(name, task.handle))

    async def _follow(self, task: TaskRecord, replicas: Sequence[Replica]) -> None:
        """Note how its start goes: its first, or one more, where the cluster has ended that."""
        is_starting = any(one.state is ReplicaState.STARTING for one in replicas)
        waits = next((one.waits for one in replicas if one.waits is not None), None)
        if waits is not None:
            text, is_progress = waits.text, waits.is_progress
            await self._world.write(lambda s: tasks.waits(s, task, text, is_progress=is_progress))
        elif task.state == "preparing" and not is_starting and len(replicas) == task.nodes:
            await self._world.write(lambda s: self._note_running(s, task, replicas[0]))
        elif task.message is not None:
            await self._world.write(lambda s: tasks.waits_no_more(s, task))

    @staticmethod
    def _note_running(store: Store, task: TaskRecord, replica: Replica) -> None:
        started_at = replica.started_at or store.now()
        tasks.move(store, task, "running", started_at=started_at, message=None)

    async def _lost(self, task: TaskRecord) -> None:
        """End a task of which the engine knows nothing."""
        explanation = explain_fault(BY_CODE["gone"], {})
        await self._world.write(lambda s: tasks.end(s, task, TaskState.FAILED, explanation))

    async def _start(self, task: TaskRecord) -> None:
        files = self._world.context.files
        try:
            lack = await self._world.fetches.lacking(
                [files.code(task.code_digest), *input_folders(files, task.inputs)],
                Key("tasks", task.id),
            )
            if lack is not None:
                text, is_progress = lack.text, lack.is_progress
                await self._world.write(
                    lambda s: tasks.waits(s, task, text, is_progress=is_progress)
                )
                return
            code = await asyncio.to_thread(load_code, files, task.code_digest)
            token = await self._world.write(lambda s: self._issue(s, task))
            login = await self._world.login(task.image or "")
            workload = replace(self._workload(task, code, token), login=login)
            async for handle in self._world.engine.run(workload):
                await self._world.write(partial(self._keep_handle, id=task.id, handle=handle))
            if task.message is not None:  # what it waited for before is there
                await self._world.write(lambda s: tasks.waits_no_more(s, task))
        except Unavailable as error:
            text = error.message
            await self._world.write(lambda s: tasks.waits(s, task, text, is_progress=False))
            raise
        except CANNOT_START as error:
            if is_no_room(error):
                await self._wait_again(task)
                return
            explanation = explain_refusal(error)
            await self._world.write(lambda s: tasks.end(s, task, TaskState.FAILED, explanation))
            # What there is of it by then is removed: the engine tells nothing of it by itself.
            self._world.add(Key("tasks", task.id))

    async def _wait_again(self, task: TaskRecord) -> None:
        """Bring a task back into the queue; it is admitted again with the next look at that."""
        await self._world.forget(workload_name(task), task.handle)
        await self._world.write(lambda s: tasks.wait_again(s, task))

    @staticmethod
    def _keep_handle(store: Store, id: int, handle: Handle) -> None:
        store.tasks.update(id, handle=stored_handle(handle))

    def _issue(self, store: Store, task: TaskRecord) -> str:
        key = self._world.context.jwt_key
        return auth.issue(store, key, "task", task.id, task.owner)

    def _workload(self, task: TaskRecord, code: Code, token: str) -> Workload:
        context = self._world.context
        function = code.environment.function(task.function)
        facts = self._facts(task, function, token)
        is_several, line = distributed.is_distributed(task), function.cmd
        of_nodes = distributed.variables(task) if is_several else contract.single_node(task.gpu)
        filled = distributed.TEMPLATES if is_several else contract.SINGLE_NODE_TEMPLATES
        return Workload(
            name=workload_name(task),
            kind=Kind.TASK,
            labels=labels(context, "tasks", task.id, task.owner),
            image=task.image or "",
            command=distributed.command(line) if is_several else ("/bin/sh", "-c", line),
            identity=f"task:{task.id}",
            limits=Limits(cpu=task.cpu, memory_mb=task.memory, gpu=task.gpu, shm_mb=task.shm),
            pool=task.pool,
            code=str(code.folder),
            environment={
                **task.environment,
                **of_nodes,
                **contract.variables(facts),
            },
            templates=(*contract.TEMPLATES, *filled),
            replicas=task.nodes,
            meeting_ports=distributed.meeting_ports(task) if is_several else 0,
            secrets={contract.TOKEN_FILE: token},
            inputs=input_sources(self._world, task.inputs),
            outputs=tuple(facts.outputs),
            relay=RelayTarget(
                url=context.settings.runtime_url,
                token=token,
                metric_token=facts.metric_token,
                task_id=task.id,
            ),
            time_limit_seconds=task.time_limit_seconds,
        )

    def _facts(self, task: TaskRecord, function: FunctionView, token: str) -> contract.Facts:
        """Return what the program is told of its task."""
        given = [entry["key"] for entry in task.inputs]
        return contract.Facts(
            kind="pipeline",
            id=task.id,
            token=token,
            api_url="{{relay}}",
            metric_token=hashlib.sha256(f"metric {token}".encode()).hexdigest()[:32],
            parameters=task.parameters,
            inputs=given,
            outputs=[port.key for port in function.outputs],
            absent_inputs=[p.key for p in function.inputs if p.key not in given],
            gpus=task.gpu,
            code_limit_mb=self._world.context.options.code_limit_mb,
        )

    async def _finish(self, task: TaskRecord, replicas: Sequence[Replica]) -> None:
        """Say why it ended and keep its log; its outputs are kept, and it ends, beside the queue.

        Each step may be taken again.
        """
        handle = self._world.handle(workload_name(task), task.handle)
        if task.ending is None:
            await self._note_end(task, replicas, handle)
        for node in range(task.nodes):
            kept = self._world.context.files.task_log(task.id, node)
            await self._world.keep_log(handle, kept, node)
        self._world.add(Key("outputs", task.id))

    async def _note_end(
        self, task: TaskRecord, replicas: Sequence[Replica], handle: Handle
    ) -> None:
        """Record how the command ended before anything is done about it."""
        replica = replicas[0]
        is_success = replica.exit_code == 0 and replica.cause in (None, Cause.EXIT)
        if is_success:
            state, why = "succeeded", None
        elif task.desired == "stop" or replica.cause is Cause.STOPPED:
            state, why = "stopped", None
        else:
            state, why = "failed", await self._world.explain(replica, handle)
        ending: dict[str, Any] = {
            "state": state,
            "why": {"reason": why.reason, "message": _where(task, replica) + why.message}
            if why
            else None,
            "remedy": why.remedy.model_dump() if why else None,
            "cause": replica.cause.value if replica.cause else None,
            "detail": dict(replica.detail),
            "usage": {
                "cpu_seconds": sum(one.cpu_seconds or 0.0 for one in replicas),
                "memory_peak": max((one.memory_peak_mb or 0 for one in replicas), default=0)
                or None,
            },
        }
        started = replica.started_at or task.started_at
        await self._world.write(
            lambda s: s.tasks.update(
                task.id, ending=ending, exit_code=replica.exit_code, started_at=started
            )
        )

    async def _delete(self, task: TaskRecord) -> None:
        await self._world.forget(workload_name(task), task.handle)
        await self._world.write(lambda s: self._remove(s, task))
        files = self._world.context.files
        for node in range(task.nodes):
            await asyncio.to_thread(files.remove, files.task_log(task.id, node))
        await asyncio.to_thread(files.remove, files.path("outputs", task.id))

    @staticmethod
    def _remove(store: Store, task: TaskRecord) -> None:
        auth.revoke(store, "task", task.id)
        store.metrics.delete_of(task.id)
        if store.tasks.delete(task.id):
            store.events.write(access.subject("tasks", task), "deleted")


def _where(task: TaskRecord, replica: Replica) -> str:
    """Return which of several nodes failed, as a sentence before why it did."""
    node = replica.detail.get("replica")
    return "" if task.nodes == 1 or node is None else f"Node {node} failed first. "


class TaskScheduler:
    """Admits servers that wait, for somebody sits before each of them, then queued tasks.

    Tasks by priority, then by age; a task never overtakes what it would starve.
    """

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, id: int) -> float | None:
        """Admit what fits now."""
        del id
        if shutdown.is_closing(self._world.context.settings.home):
            return AFTER_CLOSING_SECONDS
        if not await self._world.read(lambda s: s.tasks.has_queued() or s.servers.waiting()):
            return None
        capacity = await self._world.engine.capacity()
        admitted = await self._world.write(lambda s: self._admit(s, capacity))
        for key in admitted:
            self._world.add(key)
        return None

    def _admit(self, store: Store, capacity: Capacity) -> list[Key]:
        context = self._world.context
        admitted = [Key("servers", id) for id in server_queue.admit(store, context, capacity)]
        found = books(store, context, capacity)
        blocked = held_for_servers(store, found)
        for task in store.tasks.queued():
            build = store.builds.get(task.build_id) if task.build_id else None
            if build is not None and build.state == "failed":  # a draft sees its end only now
                tasks.fail_for_build(store, task, build.message)
            if build is not None and build.state != "succeeded":
                continue
            wanted = Amounts.of(task.resources, task.nodes)
            never = found.never(task.pool, task.owner, wanted, is_queued=True)
            if never is not None:  # the machine or the quota became smaller since it was submitted
                tasks.end(store, task, TaskState.FAILED, explain_impossible(never, task.pool))
                continue
            lacking = found.shortage(task.pool, task.owner, wanted)
            if lacking is not None:
                # Who waits for a kind must not be overtaken by later ones that take of it.
                blocked.add(lacking)
                continue
            if blocked.of(task.pool, task.owner, wanted):
                continue
            image = build.image if build is not None else task.image
            if tasks.move(store, task, "preparing", image=image):
                found = found.with_use(task.pool, task.owner, wanted)
                admitted.append(Key("tasks", task.id))
        return admitted
