"""Idle stop inside a notebook server: when it has nothing to do, for how long, and what follows.

The server itself knows its kernels, terminals and GPUs, so it is measured here; the platform
stops it and keeps the history. Why: ``docs/decisions/0013-idle-stop-is-measured-inside.md``.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from kpl_lab.clock import Clock
from kpl_lab.errors import KplError
from kpl_lab.schemas.servers import IdleReport

# As the platform's domain/server_idle.py sets them.
MINUTES, WARNING = "KPL_IDLE_STOP_MINUTES", "KPL_IDLE_WARNING_MINUTES"
GPU_MINUTES = "KPL_IDLE_GPU_MINUTES"
LONGEST_LOOK_SECONDS = 30.0
LOOKS_UNTIL_THE_END = 12

Report = Callable[[IdleReport], Awaitable[None]]


@dataclass(frozen=True)
class IdlePolicy:
    """After how many seconds without work the server is stopped, and how long before it warns.

    ``what`` has to be used: anything of the server, or its GPUs, whatever else runs.
    """

    stop_seconds: float
    warning_seconds: float
    what: Literal["server", "gpu"] = "server"

    @property
    def look_seconds(self) -> float:
        """How often is looked: often enough that a warning comes in time."""
        shortest = min(self.stop_seconds, self.warning_seconds or self.stop_seconds)
        return min(LONGEST_LOOK_SECONDS, shortest / LOOKS_UNTIL_THE_END)


def policies_of(environment: Mapping[str, str]) -> list[IdlePolicy]:
    """Return what the platform has set for this server; nothing where it never stops by itself."""
    try:
        warning = float(environment.get(WARNING, "0"))
        whole, gpu = (float(environment.get(name, "0")) for name in (MINUTES, GPU_MINUTES))
    except ValueError:
        return []
    found = []
    if whole > 0:
        found.append(IdlePolicy(whole * 60, min(warning, whole) * 60))
    if gpu > 0:
        found.append(IdlePolicy(gpu * 60, min(warning, gpu / 2) * 60, "gpu"))
    return found


class Stage(StrEnum):
    """How far idleness is."""

    WORK = "work"
    IDLE = "idle"
    WARNING = "warning"
    OVER = "over"


@dataclass(frozen=True)
class Work:
    """What keeps a server alive: in words, and how many seconds ago it was last seen."""

    what: str
    seconds_ago: float = 0.0


class Measure(Protocol):
    """Looks for work."""

    async def look(self) -> Work | None:
        """Return the latest work; None where none is known."""
        ...


class IdleView(BaseModel):
    """``GET local/idle``."""

    minutes: float | None = Field(description="without work after which it stops; null: never")
    what: Literal["server", "gpu"] = Field("server", description="of what nothing is used")
    stage: Stage = Stage.WORK
    work: str | None = Field(None, description="what keeps it running just now")
    seconds_left: float | None = Field(None, description="until it is stopped, if nothing is done")
    warning_seconds: float | None = None
    look_again_seconds: float | None = Field(None, description="when there may be news")


class IdleWatch:
    """Keeps the time since there was work.

    Parameters
    ----------
    clock
        Its monotonic seconds count; a machine that sleeps makes nothing idle.
    """

    def __init__(self, policy: IdlePolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._since = clock.monotonic()
        self._work: str | None = None

    def note(self, work: Work | None) -> Stage:
        """Take up what a look has found; return how far it is now."""
        self._work = None
        if work is not None:
            seen = self._clock.monotonic() - max(0.0, work.seconds_ago)
            self._since = max(self._since, seen)
            if work.seconds_ago <= 0:
                self._work = work.what
        return self.stage

    def keep(self) -> None:
        """Begin anew: somebody asked for it."""
        self._since = self._clock.monotonic()

    @property
    def idle_seconds(self) -> float:
        """For how long there has been no work."""
        return self._clock.monotonic() - self._since

    @property
    def seconds_left(self) -> float:
        """Until it is stopped, if nothing is done."""
        return max(0.0, self._policy.stop_seconds - self.idle_seconds)

    @property
    def stage(self) -> Stage:
        """How far it is."""
        if self._work is not None:
            return Stage.WORK
        if self.idle_seconds >= self._policy.stop_seconds:
            return Stage.OVER
        if self.seconds_left <= self._policy.warning_seconds:
            return Stage.WARNING
        return Stage.IDLE

    def view(self) -> IdleView:
        """Return what the page is told."""
        policy = self._policy
        until_warning = self.seconds_left - policy.warning_seconds
        again = until_warning if until_warning > 0 else self.seconds_left / LOOKS_UNTIL_THE_END
        return IdleView(
            minutes=policy.stop_seconds / 60,
            what=policy.what,
            stage=self.stage,
            work=self._work,
            seconds_left=self.seconds_left,
            warning_seconds=policy.warning_seconds,
            look_again_seconds=min(LONGEST_LOOK_SECONDS, max(0.5, again)),
        )


class IdleStop:
    """Looks now and then, tells the platform of a warning, and asks it for the stop.

    Parameters
    ----------
    report
        Tells the platform; raises ``KplError`` where it does not answer, and is asked again then.
    """

    def __init__(
        self,
        policy: IdlePolicy,
        measure: Measure,
        report: Report,
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._policy = policy
        self._measure = measure
        self._report = report
        self._log = log
        self._told = Stage.WORK
        self.watch = IdleWatch(policy, clock)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._policy.look_seconds)

    async def look(self) -> Stage:
        """Look once."""
        stage = self.watch.note(await self._measure.look())
        if stage in (Stage.WORK, Stage.IDLE):
            self._told = Stage.WORK
        elif stage is not self._told:
            await self._tell(stage)
        return stage

    async def keep(self) -> None:
        """Begin anew because somebody asked for it."""
        # The page looks at the watch itself, and may be ahead of what the platform was told.
        was_warned = self._told is not Stage.WORK or self.watch.stage is Stage.WARNING
        self.watch.keep()
        self._told = Stage.WORK
        if was_warned:
            try:
                said = IdleReport(state="kept", what=self._policy.what, minutes=0)
                await self._report(said)
            except KplError as error:
                self._log.warning("the platform was not told: %s", error.message)

    async def _tell(self, stage: Stage) -> None:
        if stage is Stage.WARNING:
            state, seconds = "warned", self.watch.seconds_left
        else:
            state, seconds = "over", self._policy.stop_seconds
        said = IdleReport(state=state, what=self._policy.what, minutes=seconds / 60)
        try:
            await self._report(said)
        except KplError as error:
            # The next look tries again; until then it runs on.
            self._log.warning("the platform was not told of idleness: %s", error.message)
        else:
            self._told = stage


class IdleStops:
    """All of a server's: that of the whole server, and that of its GPUs.

    Parameters
    ----------
    stops
        At least one.
    """

    def __init__(self, stops: Sequence[IdleStop]) -> None:
        self._stops = stops

    async def run(self) -> None:
        """Look until cancelled."""
        await asyncio.gather(*(one.run() for one in self._stops))

    async def keep(self) -> None:
        """Begin anew because somebody asked for it."""
        for one in self._stops:
            await one.keep()

    def view(self) -> IdleView:
        """Return what the page is told: of what comes to its end first."""
        return min((one.watch.view() for one in self._stops), key=_seconds_left)


def _seconds_left(view: IdleView) -> float:
    # What is at work has no end in sight, however short its time is.
    is_at_work = view.stage is Stage.WORK
    return math.inf if is_at_work or view.seconds_left is None else view.seconds_left
