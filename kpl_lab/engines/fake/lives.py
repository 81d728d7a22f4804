"""Lives of workloads in memory, played by their scripts."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from kpl_lab.clock import Clock
from kpl_lab.engines.fake.script import Script
from kpl_lab.engines.running.together import condemned, joined
from kpl_lab.engines.spec import (
    Cause,
    Kind,
    LogChunk,
    Observation,
    Replica,
    ReplicaState,
    Workload,
)

SYNCED = Observation(name="", labels={}, replicas=())


def _ports() -> Iterator[int]:
    """Return the first ports of one workload after another."""
    return itertools.cycle(range(20_000, 60_000, 64))


@dataclass
class Life:
    """One workload in memory."""

    workload: Workload
    script: Script
    replicas: dict[int, Replica] = field(default_factory=dict)
    logs: dict[int, bytes] = field(default_factory=dict)
    mounts: dict[str, Path] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    is_stopping: bool = False
    first_port: int = field(default_factory=_ports().__next__)

    def observe(self) -> Observation:
        """Return it as an engine sees it."""
        ordered = [self.replicas[i] for i in sorted(self.replicas)]
        told = joined(self.workload, ordered)
        return Observation(name=self.workload.name, labels=self.workload.labels, replicas=told)

    def has_ended(self, index: int) -> bool:
        """Say whether a replica runs no more, or never has."""
        found = self.replicas.get(index)
        return found is None or found.state is ReplicaState.EXITED

    def cancel(self) -> None:
        """Play no further."""
        for task in self.tasks:
            task.cancel()


class Lives:
    """Everything that exists in one engine, and who watches it.

    Attributes
    ----------
    by_name
        The lives.
    images
        What builds have made: reference by digest.
    """

    def __init__(self, clock: Clock) -> None:
        self.by_name: dict[str, Life] = {}
        self.images: dict[str, str] = {}
        self._clock = clock
        self._watchers: set[asyncio.Queue[Observation]] = set()
        self._changed = asyncio.Condition()

    async def watch(self) -> AsyncIterator[Observation]:
        """Yield all that exists, then every change."""
        queue: asyncio.Queue[Observation] = asyncio.Queue()
        for life in self.by_name.values():
            queue.put_nowait(life.observe())
        queue.put_nowait(SYNCED)
        self._watchers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.discard(queue)

    async def log(
        self, name: str, index: int, offset: int, *, follow: bool
    ) -> AsyncIterator[LogChunk]:
        """Yield what a replica has printed from ``offset`` on."""
        while True:
            life = self.by_name.get(name)
            data = life.logs.get(index, b"")[offset:] if life else b""
            if data:
                yield LogChunk(data=data, offset=offset)
                offset += len(data)
            elif not follow or life is None or life.has_ended(index):
                return
            else:
                async with self._changed:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.1)

    async def say(self, life: Life, text: bytes, index: int) -> None:
        """Let a replica print ``text``."""
        life.logs[index] = life.logs.get(index, b"") + text
        async with self._changed:
            self._changed.notify_all()

    async def has_begun(self, life: Life, index: int) -> None:
        """Wait until there is a replica."""
        async with self._changed:
            await self._changed.wait_for(lambda: index in life.replicas)

    async def scale(self, life: Life) -> None:
        """Bring a life to its number of replicas."""
        for index in [i for i in life.replicas if i >= life.workload.replicas]:
            del life.replicas[index]
        for index in range(life.workload.replicas):
            if index not in life.replicas:
                life.replicas[index] = Replica(index=index, state=ReplicaState.STARTING)
                self._spawn(life, self._play(life, index))
        await self.publish(life.observe())

    def stop(self, life: Life, seconds: float) -> None:
        """End all replicas after so many seconds."""
        self._spawn(life, self._end_all(life, seconds))

    def _spawn(self, life: Life, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        life.tasks.add(task)
        task.add_done_callback(life.tasks.discard)

    async def _play(self, life: Life, index: int) -> None:
        script, workload = life.script, life.workload
        await asyncio.sleep(script.start_seconds)
        if life.has_ended(index):
            return
        serves = workload.kind in (Kind.SERVICE, Kind.SERVER)
        life.replicas[index] = Replica(
            index=index,
            state=ReplicaState.READY if serves else ReplicaState.RUNNING,
            address=f"127.0.0.1:{life.first_port + index}" if serves else None,
            started_at=self._clock.now(),
        )
        await self.say(life, script.log, index)
        await self.publish(life.observe())
        if serves or script.run_seconds is None:
            return
        await asyncio.sleep(script.run_seconds)
        await self.end(life, index, exit_code=script.exit_code, cause=script.cause or Cause.EXIT)

    async def _end_all(self, life: Life, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for index in list(life.replicas):
            await self.end(
                life, index, exit_code=-9 if life.script.is_stubborn else -15, cause=Cause.STOPPED
            )

    async def end(self, life: Life, index: int, *, exit_code: int, cause: Cause) -> None:
        """End a replica, unless it has ended."""
        if life.has_ended(index):
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
        await self.publish(life.observe())
        for other in condemned(life.workload, list(life.replicas.values())):
            await self.end(life, other, exit_code=-15, cause=Cause.STOPPED)

    async def publish(self, observation: Observation) -> None:
        """Let everybody who watches see this."""
        for queue in self._watchers:
            queue.put_nowait(observation)
        async with self._changed:
            self._changed.notify_all()
