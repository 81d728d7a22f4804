"""One run of a command: followed from its start to its end, and ended when it must end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.docker import ports, vitals
from kpl_lab.engines.docker.daemon import Daemon, Event
from kpl_lab.engines.docker.ledger import Status
from kpl_lab.engines.docker.plan import Plan
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.running.ends import memory_numbers
from kpl_lab.engines.running.listening import Listening
from kpl_lab.engines.running.logfile import LogFile
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.service_watch import Doom, ServiceWatch
from kpl_lab.engines.spec import Cause, ReplicaState

_KILL_AGAIN_SECONDS = 5.0
_PAUSE_SECONDS = 5.0


def time_of(text: str) -> str:
    """Return a time of Docker's as a status holds it; such times are in order as texts are."""
    found = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    return found.isoformat(timespec="microseconds")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A replica, as its runs need it.

    Attributes
    ----------
    container
        Its name.
    status
        Kept true; ``save`` is called when it has changed.
    woken
        Set when there is something to look at.
    """

    container: str
    daemon: Daemon
    plan: Plan
    place: Place
    status: Status
    log: LogFile
    woken: asyncio.Event
    save: Callable[[], None]


class Following:
    """What is seen of a run, and done to it.

    Parameters
    ----------
    info
        What Docker says of the container as it runs.
    """

    def __init__(self, subject: Subject, info: dict[str, Any]) -> None:
        self._container, self._daemon = subject.container, subject.daemon
        self._plan, self._place, self._status = subject.plan, subject.place, subject.status
        self._log, self._woken, self._save = subject.log, subject.woken, subject.save
        self.has_ended = False
        self.doom: Doom | None = None
        self.oom_kills = 0
        self.is_foreign = False
        self.is_unseen = False
        self._must_look = False
        self._is_gap = False
        self._kill_at: float | None = None
        self._asked: float | None = None
        started = dt.datetime.fromisoformat(info["State"]["StartedAt"])
        self._started_nanoseconds = int(started.timestamp() * 10**6) * 1000
        self._measure_wait = 1.0
        self._next_measure = time.monotonic() + self._measure_wait
        self._listening = Listening(int(info["State"]["Pid"]), frozenset(self._plan.doors))
        self._watch: ServiceWatch | None = None
        self._begin(info)

    def _begin(self, info: dict[str, Any]) -> None:
        plan, status = self._plan, self._status
        status.container = info["Id"]
        status.started_at, status.ended_at = time_of(info["State"]["StartedAt"]), None
        status.exit_code, status.cause = None, None
        if plan.port is None:
            status.state = ReplicaState.RUNNING
        else:
            host = ports.address_of(info, plan.network)
            status.address = f"{host}:{plan.port}"
            self._watch = ServiceWatch(
                plan, plan.port, self._listening.all, host=host, state=status.state
            )
        self._save()

    @property
    def was_ready(self) -> bool:
        """Whether calls have ever reached it."""
        return self._watch is not None and self._watch.was_ready

    def close(self) -> None:
        """Give up the check under way."""
        if self._watch is not None:
            self._watch.close()

    def look(self, *, is_gap: bool = False) -> None:
        """Ask Docker how it stands; with ``is_gap`` because events may have been missed."""
        self._must_look = True
        self._is_gap |= is_gap

    def tell(self, event: Event) -> None:
        """Take an event of its container."""
        if event.nanoseconds < self._started_nanoseconds:
            return  # of an earlier run
        if event.action in ("die", "destroy"):
            self.has_ended = True
        elif event.action == "oom":
            self.oom_kills += 1
        elif event.action == "kill" and self.doom is None:
            self.is_foreign = True

    async def step(self) -> None:
        """Do what is due, then wait until something happens or is due."""
        await self._judge()
        await self._look_at_service()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            await self._daemon.kill(self._container, "SIGKILL")
            self._kill_at = time.monotonic() + _KILL_AGAIN_SECONDS
        if time.monotonic() >= self._next_measure:
            await self._measure()
        await self._wait(self._pause())

    async def _judge(self) -> None:
        grace = self._place.grace_asked(self._plan.timing.grace)
        if grace is not None:
            await self._end(Doom(Cause.STOPPED), grace=grace)
        limit = self._plan.timing.time_limit
        if limit is not None and self._seconds() > limit:
            await self._end(Doom(Cause.TIME_LIMIT, {"limit_seconds": limit}))
        if self.oom_kills and self.oom_kills != self._status.detail.get("oom_kills"):
            numbers = memory_numbers(self._plan.limits.memory_mb)
            self._status.detail |= {"oom_kills": self.oom_kills, **numbers}
            self._save()

    async def _look_at_service(self) -> None:
        if self._watch is None or self.doom is not None:
            return
        doom = self._watch.step()
        if doom is not None:
            if self._plan.port in self._listening.on_loopback():
                doom.detail["loopback"] = True
                self._log.note(
                    f"it listens on port {self._plan.port} of 127.0.0.1, where nobody reaches it; "
                    "let it listen on 0.0.0.0 (the variable HOST says so)"
                )
            await self._end(doom)
        elif self._watch.state is not self._status.state:
            self._status.state = self._watch.state
            self._save()

    async def _measure(self) -> None:
        self._measure_wait = min(self._measure_wait * 2, self._plan.timing.watchdog)
        self._next_measure = time.monotonic() + self._measure_wait
        found = vitals.measured(await self._daemon.stats(self._container))
        if found is not None:
            before = self._status.memory_peak_mb or 0
            self._status.memory_peak_mb = max(before, found.memory_peak_mb)
            self._status.cpu_seconds = found.cpu_seconds

    async def _end(self, doom: Doom, *, grace: float | None = None) -> None:
        """Begin to end the command; the first reason stays, a shorter grace wins."""
        wait = (self._plan.timing.grace if grace is None else grace) if doom.is_polite else 0.0
        kill_at = time.monotonic() + wait
        if self.doom is None:
            self.doom, self._kill_at, self._asked = doom, kill_at, grace
            if wait > 0:
                await self._daemon.kill(self._container, "SIGTERM")
        elif doom.cause is self.doom.cause and grace != self._asked:
            # A second stop, with less patience.
            self._asked = grace
            self._kill_at = min(self._kill_at or kill_at, kill_at)

    def _seconds(self) -> float:
        """Return how long it has run, by the clock on the wall: runs outlive runners."""
        started = dt.datetime.fromisoformat(self._status.started_at or statuses.now())
        return (dt.datetime.now(dt.UTC) - started).total_seconds()

    def _pause(self) -> float:
        pause = _PAUSE_SECONDS if self._watch is None else self._watch.wait_seconds
        now = time.monotonic()
        moments = [self._next_measure - now]
        if self._kill_at is not None:
            moments.append(self._kill_at - now)
        if self._plan.timing.time_limit is not None and self.doom is None:
            moments.append(self._plan.timing.time_limit - self._seconds())
        return max(0.02, min(pause, *moments))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        if self._must_look:
            self._must_look = False
            info = await self._daemon.inspect(self._container)
            if info is None or not info["State"]["Running"]:
                self.has_ended, self.is_unseen = True, self._is_gap
            self._is_gap = False
