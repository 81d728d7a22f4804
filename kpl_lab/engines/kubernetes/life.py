"""One workload from its objects to its end: what its pods say, its log, its stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.ending import over
from kpl_lab.engines.kubernetes.gate import Caller, Line
from kpl_lab.engines.kubernetes.heard import report_of
from kpl_lab.engines.kubernetes.ledger import Entry, Status
from kpl_lab.engines.kubernetes.names import object_name
from kpl_lab.engines.kubernetes.numbers import numbered
from kpl_lab.engines.kubernetes.observe import Seen, Subject, is_disrupted, look
from kpl_lab.engines.kubernetes.planner import Planner
from kpl_lab.engines.kubernetes.pods import OBJECT_OF, Json, Pods, is_leaving
from kpl_lab.engines.kubernetes.pump import Pump, run_of
from kpl_lab.engines.kubernetes.reach import Reach
from kpl_lab.engines.kubernetes.readings import (
    end_after,
    ended,
    is_suspended,
    is_well,
    rank,
    told,
    verdict_of,
    without_witness,
)
from kpl_lab.engines.kubernetes.stopping import Stopping
from kpl_lab.engines.kubernetes.waiting import Waiting
from kpl_lab.engines.kubernetes.words import Missing
from kpl_lab.engines.running.logfile import LogFile
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.running.status import reserve_room
from kpl_lab.engines.spec import Cause, Kind, ReplicaState
from kpl_lab.errors import KplError
from kpl_lab.retry import backoff
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)

_LOOK_SECONDS, _STOP_LOOK_SECONDS = 5.0, 0.5
# Of one that runs well everything is told: this look is only for what may have been missed.
_CALM_LOOK_SECONDS = 60.0
_CALM = (ReplicaState.RUNNING, ReplicaState.READY)
# What agents measure changes all the time and is no news: it counts at the end.
_MEASURES = frozenset({"memory_mb", "memory_peak_mb", "cpu", "cpu_seconds", "processes"})
# So long the end of a replica waits for the last lines of its log.
_LOG_SECONDS = 15.0
# Objects are looked for so long after they were made before they count as gone.
_BIRTH_SECONDS = 10.0
# A pod that has not begun its command has nothing to lose, but its agent says goodbye.
_EARLY_GRACE_SECONDS = 1
# Pods of a workload that are not its replicas' present ones and yet may say something.
_MORE_REPORTS = 20


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What lives need."""

    cluster: Cluster
    planner: Planner
    pods: Pods
    publish: Callable[[Entry], None]
    reach: Reach


class Life:
    """Watches one workload.

    Parameters
    ----------
    entry
        It; its statuses are kept true.
    """

    def __init__(self, entry: Entry, tools: Tools) -> None:
        self._entry, self._tools = entry, tools
        self._stopping = Stopping(tools.cluster)
        self._waiting = Waiting(tools.cluster, tools.planner.claim(entry.workload))
        self._lines: dict[str, Line] = {}
        self._reports: dict[str, Json] = {}
        self._pumps: dict[int, Pump] = {}
        # What was seen of replicas whose last output still comes: their pods may go meanwhile.
        self._ends: dict[int, Seen] = {}
        self._ended_since: dict[int, float] = {}
        self._begun = time.monotonic()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    def linked(self, pod: str, line: Line) -> None:
        """Take the connection of a pod's agent."""
        self._lines[pod] = line
        self._stopping.linked(pod, line)

    def unlinked(self, pod: str, line: Line) -> None:
        """Let it go."""
        if self._lines.get(pod) is line:
            del self._lines[pod]

    def reported(self, pod: str, report: Json) -> None:
        """Take what an agent says; the command may lie in its name."""
        before = self._reports.pop(pod, None)
        found = self._reports[pod] = report_of(report)
        while len(self._reports) > self._entry.workload.replicas + _MORE_REPORTS:
            del self._reports[next(iter(self._reports))]
        if before is None or _news(before) != _news(found):
            self.wake()

    def line(self, index: int = 0) -> Line | None:
        """Return the connection to the agent of a replica."""
        status = self._entry.statuses.get(index)
        return self._lines.get(status.pod or "") if status is not None else None

    def report(self, index: int = 0) -> Json | None:
        """Return what the agent of a replica said last."""
        status = self._entry.statuses.get(index)
        return self._reports.get(status.pod or "") if status is not None else None

    async def run(self) -> None:
        """Watch until everything has ended."""
        waits = backoff()
        try:
            while not self._is_over():
                self._woken.clear()
                try:
                    pause = await self._step()
                    waits = backoff()
                except (KplError, OSError) as error:
                    log.warning("%s: %s", self._entry.name, error)
                    pause = next(waits)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            for pump in self._pumps.values():
                await pump.close()

    def _is_over(self) -> bool:
        entry = self._entry
        indices = {*entry.statuses, *range(entry.workload.replicas)}
        return all(
            index in entry.statuses
            and entry.statuses[index].is_final
            and index < entry.workload.replicas
            for index in indices
        )

    async def _step(self) -> float:
        entry = self._entry
        indices = sorted({*entry.statuses, *range(entry.workload.replicas)})
        for index in indices:
            if index not in entry.statuses:
                self._begin(index)
        tools = self._tools
        pods = await numbered(tools.cluster, tools.pods, entry.workload, entry.over)
        for index in sorted(indices, key=lambda one: rank(pods.get(one))):
            status, pod = entry.statuses[index], pods.get(index)
            if status.is_final:
                continue
            if pod is None or self._is_of_before(status, pod):
                await self._without_pod(status)
            else:
                await self._with_pod(status, pod)
        is_stopping = any(entry.place(i).stop.exists() for i in entry.statuses)
        states = {status.state for status in entry.statuses.values()}
        if is_stopping or ReplicaState.STARTING in states:
            return _STOP_LOOK_SECONDS
        is_calm = states <= {*_CALM} and not self._ends and len(pods) == len(indices)
        # Not all of them at once.
        return random.uniform(0.5, 1) * _CALM_LOOK_SECONDS if is_calm else _LOOK_SECONDS  # noqa: S311

    def _is_of_before(self, status: Status, pod: Json) -> bool:
        """Say whether a pod is what a stop has left of a service that was started again."""
        is_service = self._entry.workload.kind is Kind.SERVICE
        return is_service and status.pod is None and is_leaving(pod)

    def _begin(self, index: int) -> None:
        place = self._entry.place(index)
        place.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        reserve_room(place.root)
        status = Status(index=index)
        status.write(place.root)
        self._entry.statuses[index] = status
        self._ends.pop(index, None)
        self._tools.publish(self._entry)

    # --- a pod is there ---------------------------------------------------------------------------

    async def _with_pod(self, status: Status, pod: Json) -> None:
        name = str(pod["metadata"]["name"])
        self._note_pod(status, name)
        pump = self._pump(status.index)
        pump.look(pod)
        seen = look(pod, self._reports.get(name), self._subject(status))
        if not seen.is_final and seen.started_at is None:
            seen = told(seen, await self._waiting.look(pod))
        grace = self._entry.place(status.index).grace_asked(self._entry.workload.grace_seconds)
        if grace is not None and not seen.is_final:
            await self._press(pod, grace)
        if seen.is_final and (job := await self._remaker(status, pod, seen)):
            why = over(pod) or await self._waiting.look_at_owner(job)
            seen = told(Seen(started_at=None), why)
        if not seen.is_final:
            self._keep(status, await self._reachable(status, seen, name))
            return
        self._ends[status.index] = seen
        if self._is_log_whole(status.index, pump, pod):
            await self._end(status, seen)

    async def _remaker(self, status: Status, pod: Json, seen: Seen) -> Json | None:
        """Return the Job that makes another pod in the place of one that was taken; None: none does."""
        entry = self._entry
        if status.doom is not None or entry.place(status.index).stop.exists():
            return None
        job = self._tools.pods.object_of(entry.name, entry.workload.kind)
        if job is None or job["kind"] != "Job" or verdict_of(job):
            return None
        if is_suspended(job, pod):
            return job
        if is_disrupted(pod):
            # The Job of several nodes ends with the first that is lost.
            return job if entry.workload.replicas == 1 and not is_well(seen, pod) else None
        if not is_leaving(pod):
            return None
        # Somebody ends the pod: that the Job is suspended may be news that comes later than its pod's.
        now = await self._tools.cluster.get("Job", object_name_of(self._tools.planner, entry))
        return job if now is not None and is_suspended(now, pod) else None

    def _note_pod(self, status: Status, name: str) -> None:
        if status.pod is not None and status.pod != name:
            self._tools.reach.forget(Caller(self._entry.name, status.pod))
            self._reports.pop(status.pod, None)
            self._stopping.forget(status.pod)
            self._ends.pop(status.index, None)
            self._ended_since.pop(status.index, None)
            status.doom = None
            if self._entry.workload.kind is not Kind.SERVICE:
                status.replaced += 1
        status.pod = name

    async def _reachable(self, status: Status, seen: Seen, pod: str) -> Seen:
        """Give one that is ready the address at which it can be reached from here."""
        if seen.address is None:
            return seen
        if seen.state not in (ReplicaState.READY, ReplicaState.UNHEALTHY):
            return replace(seen, address=None)
        caller = Caller(self._entry.name, pod)
        address = await self._tools.reach.address(caller, seen.address, status.address)
        return replace(seen, address=address)

    async def _press(self, pod: Json, grace: float) -> None:
        if run_of(pod):
            await self._stopping.press(pod, grace, self._lines.get(pod["metadata"]["name"]))
        else:
            await self.remove_objects()
            name = str(pod["metadata"]["name"])
            await self._tools.cluster.delete("Pod", name, grace_seconds=_EARLY_GRACE_SECONDS)

    def _subject(self, status: Status) -> Subject:
        workload = self._entry.workload
        planner = self._tools.planner
        doom = status.doom
        return Subject(
            kind=workload.kind,
            limits=workload.limits,
            port=planner.port(workload),
            is_stopped=self._entry.place(status.index).stop.exists(),
            was_ready=status.was_ready,
            doom=None if doom is None else Doom(Cause(doom["cause"]), dict(doom["detail"])),
            restarts_max=planner.options.restarts_max,
        )

    def _pump(self, index: int) -> Pump:
        if index not in self._pumps:
            options = self._tools.planner.options
            file = LogFile(
                self._entry.place(index).log,
                max_bytes=options.log_max_bytes,
                gid=self._tools.planner.platform.gid,
            )
            self._pumps[index] = Pump(file, self._tools.cluster, self.wake)
        return self._pumps[index]

    def _is_log_whole(self, index: int, pump: Pump, pod: Json) -> bool:
        """Say whether the end may be told: all output was taken, or it has taken too long."""
        if pump.is_through or not run_of(pod):
            return True
        since = self._ended_since.setdefault(index, time.monotonic())
        return time.monotonic() - since > _LOG_SECONDS

    async def _end(self, status: Status, seen: Seen) -> None:
        if seen.exit_code is None and seen.cause is Cause.START_FAILED:
            self._pump(status.index).note(f"could not be started: {seen.detail.get('error', '')}")
        self._keep(status, seen)
        if seen.exit_code is None or self._entry.workload.kind in (Kind.SERVICE, Kind.SERVER):
            # What holds a node's room without a command, or would be started for ever.
            await self.remove_objects()

    # --- there is none ----------------------------------------------------------------------------

    async def _without_pod(self, status: Status) -> None:
        entry = self._entry
        if status.index >= entry.workload.replicas:
            await self._retire(status)
            return
        if (seen := self._ends.get(status.index)) is not None:
            await self._end(status, seen)
            return
        place = entry.place(status.index)
        if place.stop.exists():
            if entry.workload.kind is not Kind.SERVICE:
                await self.remove_objects()
            await self._end(status, ended(Cause.STOPPED, {}))
            return
        found = self._tools.pods.object_of(entry.name, entry.workload.kind)
        if found is None and time.monotonic() - self._begun > _BIRTH_SECONDS:
            name = object_name_of(self._tools.planner, entry)
            found = await self._tools.cluster.get(OBJECT_OF[entry.workload.kind], name)
            if found is None:
                text = "its object in the cluster was deleted by somebody else"
                await self._end(status, ended(Cause.LOST, {"error": text}))
        elif found is not None and (conditions := verdict_of(found)):
            await self._end(status, without_witness(found, conditions))
        elif found is not None and found["kind"] != "Pod":
            seen = told(Seen(was_ready=status.was_ready), await self._waiting.look_at_owner(found))
            self._keep(status, seen)

    async def _retire(self, status: Status) -> None:
        """Forget a replica that was one too many and has gone."""
        self._tools.reach.forget(Caller(self._entry.name, status.pod or ""))
        pump = self._pumps.pop(status.index, None)
        if pump is not None:
            await pump.close()
        await asyncio.to_thread(remove_tree, self._entry.place(status.index).root)
        self._entry.statuses.pop(status.index, None)
        self._tools.publish(self._entry)

    async def remove_objects(self) -> None:
        """Let nothing of the workload run any more: its pods go with its object."""
        entry, cluster = self._entry, self._tools.cluster
        kind, name = entry.workload.kind, object_name_of(self._tools.planner, entry)
        if kind is Kind.SERVICE:
            wanted = {"spec": {"replicas": entry.still_wanted}}
            with contextlib.suppress(Missing):
                await cluster.patch("Deployment", name, wanted)
        else:
            await cluster.delete(OBJECT_OF[kind], name, grace_seconds=0)

    def _keep(self, status: Status, seen: Seen) -> None:
        """Write down what was seen, and tell of it where it is news."""
        before = _news(vars(status))
        for name in ("state", "address", "exit_code", "cause", "is_final"):
            setattr(status, name, getattr(seen, name))
        status.restarts = seen.restarts + status.replaced
        status.started_at = seen.started_at or status.started_at
        status.ended_at = seen.ended_at or (end_after(status) if seen.is_final else None)
        status.was_ready = status.was_ready or seen.was_ready
        status.memory_peak_mb = max(seen.memory_peak_mb or 0, status.memory_peak_mb or 0) or None
        status.cpu_seconds = seen.cpu_seconds or status.cpu_seconds
        if seen.doom is not None:
            status.doom = {"cause": seen.doom.cause.value, "detail": seen.doom.detail}
        status.detail = dict(seen.detail)
        if status.is_final:
            status.state, status.address = ReplicaState.EXITED, None
            self._tools.reach.forget(Caller(self._entry.name, status.pod or ""))
        if _news(vars(status)) != before:
            status.write(self._entry.place(status.index).root)
            self._tools.publish(self._entry)


def _news(found: Mapping[str, Any]) -> Json:
    """Return a report or a status without what was measured."""
    return {key: value for key, value in found.items() if key not in _MEASURES}


def object_name_of(planner: Planner, entry: Entry) -> str:
    """Return the name of a workload's object."""
    return object_name(planner.installation, entry.name)
