"""An engine that runs nothing: workloads live in memory and follow a script.

For demos and for tests of everything above the engines. It keeps the whole contract of
:class:`~kpl_lab.engines.base.Engine` (the shared suite runs against it), can be slow, and can
fail at a chosen stage.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.engines.base import Engine
from kpl_lab.engines.spec import (
    Capacity,
    Cause,
    Handle,
    ImageFacts,
    Kind,
    LogChunk,
    MountResult,
    Observation,
    Recipe,
    RegistryLogin,
    Replica,
    ReplicaState,
    Usage,
    Workload,
)
from kpl_lab.errors import EngineError


class Stage(StrEnum):
    """Where a :class:`FakeEngine` can be told to raise ``EngineError``."""

    CREATE = "create"
    START = "start"
    STOP = "stop"
    DELETE = "delete"
    COLLECT = "collect"
    MOUNT = "mount"
    BUILD = "build"


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a workload does.

    Attributes
    ----------
    start_seconds
        From started to running (services and servers: ready).
    run_seconds
        From running to its end; None: until stopped. Services and servers never end by themselves.
    exit_code, cause, detail
        How it ends.
    log
        What each replica prints as soon as it runs.
    outputs
        Files by output key and path below it.
    is_stubborn
        It ignores the polite stop and ends after the grace only.
    """

    start_seconds: float = 0.0
    run_seconds: float | None = 0.0
    exit_code: int = 0
    cause: Cause | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    log: bytes = b""
    outputs: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)
    is_stubborn: bool = False


@dataclass
class _Life:
    """One workload in memory."""

    workload: Workload
    script: Script
    replicas: dict[int, Replica] = field(default_factory=dict)
    logs: dict[int, bytes] = field(default_factory=dict)
    mounts: dict[str, Path] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    is_stopping: bool = False

    def observe(self) -> Observation:
        ordered = tuple(self.replicas[i] for i in sorted(self.replicas))
        return Observation(name=self.workload.name, labels=self.workload.labels, replicas=ordered)


# Enough of a Python environment for a notebook server.
NOTEBOOK_IMAGE = ImageFacts(
    packages={"python": "3.11.9", "jupyterlab": "4.4.1", "kpl-lab": "0.1.0", "numpy": "2.2.0"}
)
SYNCED = Observation(name="", labels={}, replicas=())


class FakeEngine(Engine):
    """Plays workloads from scripts.

    Parameters
    ----------
    script
        What workloads do: one script for all, or a function from the workload.
    delay_seconds
        How long every call takes.
    fail_at
        Stages that raise; the set may be changed at any time.
    capacity
        What :meth:`capacity` answers.
    clock
        Source of ``started_at`` and ``ended_at``.

    Attributes
    ----------
    catalog
        What is in an image, or why it cannot be had; what it does not name has JupyterLab.
    logins
        With what each image was asked for.
    recipes
        What each build was to make.
    """

    name = "fake"

    def __init__(
        self,
        script: Script | Callable[[Workload], Script] | None = None,
        *,
        delay_seconds: float = 0.0,
        fail_at: set[Stage] | None = None,
        capacity: Capacity | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.script = script or Script()
        self.delay_seconds = delay_seconds
        self.fail_at = fail_at if fail_at is not None else set()
        self.images: dict[str, str] = {}
        self.catalog: dict[str, ImageFacts | EngineError] = {}
        self.logins: dict[str, RegistryLogin | None] = {}
        self.recipes: dict[str, Recipe] = {}
        self._capacity = capacity or Capacity(cpu=8.0, memory_mb=16384, gpu=2)
        self._clock = clock
        self._lives: dict[str, _Life] = {}
        self._watchers: set[asyncio.Queue[Observation]] = set()
        self._changed = asyncio.Condition()

    @property
    def workloads(self) -> Mapping[str, Workload]:
        """Everything that exists now, by name."""
        return {name: life.workload for name, life in self._lives.items()}

    async def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Start ``workload`` or bring it to its number of replicas."""
        await self._enter(Stage.CREATE)
        life = self._lives.get(workload.name)
        if life is None:
            life = _Life(workload, self._script_of(workload))
            self._lives[workload.name] = life
        life.workload = replace(life.workload, replicas=workload.replicas)
        yield self._handle(workload.name)
        await self._enter(Stage.START)
        await self._scale(life)
        yield self._handle(workload.name, started=True)

    async def stop(self, handle: Handle, *, grace_seconds: float | None = None) -> None:
        """Let the workload end as stopped."""
        await self._enter(Stage.STOP)
        life = self._lives.get(handle.name)
        if life is None or life.is_stopping:
            return
        life.is_stopping = True
        grace = life.workload.grace_seconds if grace_seconds is None else grace_seconds
        self._spawn(life, self._end_all(life, grace if life.script.is_stubborn else 0.0))

    async def delete(self, handle: Handle) -> None:
        """Forget the workload."""
        await self._enter(Stage.DELETE)
        life = self._lives.pop(handle.name, None)
        if life is None:
            return
        for task in life.tasks:
            task.cancel()
        await self._publish(replace(life.observe(), replicas=(), gone=True))

    async def watch(self) -> AsyncIterator[Observation]:
        """Yield all that exists, then every change."""
        queue: asyncio.Queue[Observation] = asyncio.Queue()
        for life in self._lives.values():
            queue.put_nowait(life.observe())
        queue.put_nowait(SYNCED)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    async def logs(
        self, handle: Handle, *, replica: int = 0, offset: int = 0, follow: bool = False
    ) -> AsyncIterator[LogChunk]:
        """Yield what the replica has printed."""
        while True:
            life = self._lives.get(handle.name)
            data = life.logs.get(replica, b"")[offset:] if life else b""
            if data:
                yield LogChunk(data=data, offset=offset)
                offset += len(data)
            elif not follow or life is None or self._has_ended(life, replica):
                return
            else:
                async with self._changed:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.1)

    async def usage(self, handle: Handle, *, replica: int = 0) -> Usage | None:
        """Return the same numbers for everything that runs."""
        life = self._lives.get(handle.name)
        if life is None or self._has_ended(life, replica):
            return None
        return Usage(cpu=0.5, cpu_seconds=1.0, memory_mb=64, memory_peak_mb=80, processes=1)

    async def capacity(self) -> Capacity:
        """Return what the constructor was given."""
        return self._capacity

    async def collect(self, handle: Handle, output: str, target: Path) -> int:
        """Write the script's files for ``output`` into ``target``."""
        await self._enter(Stage.COLLECT)
        life = self._lives.get(handle.name)
        if life is None:
            raise EngineError(f"{handle.name} is not there any more.", code="gone")
        return await asyncio.to_thread(_write, life.script.outputs.get(output, {}), target)

    async def mount(self, handle: Handle, source: Path, name: str) -> MountResult:
        """Note the mount."""
        await self._enter(Stage.MOUNT)
        life = self._lives.get(handle.name)
        if life is None or self._has_ended(life, 0):
            raise EngineError(f"The server {handle.name} does not run.", code="not_running")
        life.mounts[name] = source
        return MountResult(path=f"~/datasets/{name}", enforced=True)

    async def unmount(self, handle: Handle, name: str) -> None:
        """Forget the mount."""
        await self._enter(Stage.MOUNT)
        life = self._lives.get(handle.name)
        if life is not None:
            life.mounts.pop(name, None)

    async def build(self, name: str, recipe: Recipe) -> AsyncIterator[Handle]:
        """Run the build as a workload; its image exists when it has ended well."""
        await self._enter(Stage.BUILD)
        self.recipes[name] = recipe
        workload = Workload(
            name=name,
            kind=Kind.BUILD,
            labels=recipe.labels,
            image=recipe.base,
            command=("/bin/sh", "-c", " && ".join(recipe.runs) or "true"),
            identity=f"build:{name}",
            limits=recipe.limits,
            environment={"KPL_DIGEST": recipe.digest},
        )
        async for handle in self.run(workload):
            yield handle

    async def find_image(self, digest: str) -> str | None:
        """Return the reference of what a build made."""
        return self.images.get(digest)

    async def inspect_image(
        self, reference: str, *, login: RegistryLogin | None = None
    ) -> ImageFacts:
        """Return what ``catalog`` holds of it; what it does not name is like the default."""
        self.logins[reference] = login
        found = self.catalog.get(reference, NOTEBOOK_IMAGE)
        if isinstance(found, EngineError):
            raise found
        return found

    async def close(self) -> None:
        """Cancel what is still being played."""
        for life in self._lives.values():
            for task in life.tasks:
                task.cancel()

    async def say(self, name: str, text: bytes, *, replica: int = 0) -> None:
        """Let a replica print ``text``."""
        life = self._lives[name]
        life.logs[replica] = life.logs.get(replica, b"") + text
        async with self._changed:
            self._changed.notify_all()

    async def set_replica(self, name: str, replica: Replica) -> None:
        """Let the engine see ``replica``; for states that no script leads to."""
        life = self._lives[name]
        life.replicas[replica.index] = replica
        await self._publish(life.observe())

    async def finish(
        self, name: str, *, replica: int = 0, exit_code: int = 0, cause: Cause = Cause.EXIT
    ) -> None:
        """End a replica now."""
        await self._end(self._lives[name], replica, exit_code=exit_code, cause=cause)

    async def forget(self, name: str) -> None:
        """Lose a workload without a word, as a machine that is switched off."""
        life = self._lives.pop(name)
        for task in life.tasks:
            task.cancel()

    async def _enter(self, stage: Stage) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if stage in self.fail_at:
            raise EngineError(
                f"The fake engine was told to fail at {stage.value}.", code=f"fake_{stage.value}"
            )

    def _script_of(self, workload: Workload) -> Script:
        return self.script(workload) if callable(self.script) else self.script

    def _handle(self, name: str, **data: bool) -> Handle:
        return Handle(engine=self.name, name=name, data=data)

    def _has_ended(self, life: _Life, index: int) -> bool:
        found = life.replicas.get(index)
        return found is None or found.state is ReplicaState.EXITED

    async def _scale(self, life: _Life) -> None:
        for index in [i for i in life.replicas if i >= life.workload.replicas]:
            del life.replicas[index]
        for index in range(life.workload.replicas):
            if index not in life.replicas:
                life.replicas[index] = Replica(index=index, state=ReplicaState.STARTING)
                self._spawn(life, self._play(life, index))
        await self._publish(life.observe())

    def _spawn(self, life: _Life, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        life.tasks.add(task)
        task.add_done_callback(life.tasks.discard)

    async def _play(self, life: _Life, index: int) -> None:
        script, workload = life.script, life.workload
        await asyncio.sleep(script.start_seconds)
        if self._has_ended(life, index):
            return
        serves = workload.kind in (Kind.SERVICE, Kind.SERVER)
        life.replicas[index] = Replica(
            index=index,
            state=ReplicaState.READY if serves else ReplicaState.RUNNING,
            address=f"127.0.0.1:{20000 + index}" if serves else None,
            started_at=self._clock.now(),
        )
        await self.say(workload.name, script.log, replica=index)
        await self._publish(life.observe())
        if serves or script.run_seconds is None:
            return
        await asyncio.sleep(script.run_seconds)
        await self._end(life, index, exit_code=script.exit_code, cause=script.cause or Cause.EXIT)

    async def _end_all(self, life: _Life, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for index in list(life.replicas):
            await self._end(
                life, index, exit_code=-9 if life.script.is_stubborn else -15, cause=Cause.STOPPED
            )

    async def _end(self, life: _Life, index: int, *, exit_code: int, cause: Cause) -> None:
        if self._has_ended(life, index):
            return
        now: dt.datetime = self._clock.now()
        life.replicas[index] = replace(
            life.replicas[index],
            state=ReplicaState.EXITED,
            ended_at=now,
            exit_code=exit_code,
            cause=cause,
            detail=dict(life.script.detail),
        )
        if life.workload.kind is Kind.BUILD and exit_code == 0 and cause is Cause.EXIT:
            digest = life.workload.environment["KPL_DIGEST"]
            self.images[digest] = f"fake:{digest}"
        await self._publish(life.observe())

    async def _publish(self, observation: Observation) -> None:
        for queue in self._watchers:
            queue.put_nowait(observation)
        async with self._changed:
            self._changed.notify_all()


def _write(files: Mapping[str, bytes], target: Path) -> int:
    """Write ``files`` below a fresh ``target``; return their bytes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path, content in files.items():
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return sum(len(content) for content in files.values())
