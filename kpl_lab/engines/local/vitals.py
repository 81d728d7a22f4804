"""What one run of a command uses, and what its end means."""

from __future__ import annotations

import signal
import time
from typing import Any

from kpl_lab.engines.local.cage import Cage
from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.running.rules import signal_name
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause

_MEASURE_SECONDS = 1.0


class Vitals:
    """Measures memory, and counts what the kernel has killed for lack of it."""

    def __init__(self, plan: Plan, cage: Cage) -> None:
        self._cage = cage
        self._limit_mb = plan.ceilings.memory_mb
        self._is_watchdog = not plan.cgroups
        self.pause_seconds = plan.timing.watchdog if self._is_watchdog else _MEASURE_SECONDS
        self._next = 0.0
        self._kills_before = 0
        self._kills_told = 0
        self.peak_mb = 0

    def begin(self) -> None:
        """Note where the counters stand when a command starts."""
        self._kills_before = self._kills_told = self._cage.oom_kills()

    def look(self) -> Doom | None:
        """Measure when it is time; returns why the command must end, if it must."""
        moment = time.monotonic()
        if moment < self._next:
            return None
        self._next = moment + self.pause_seconds
        used = self._cage.memory_mb()
        self.peak_mb = max(self.peak_mb, used)
        if self._is_watchdog and used > self._limit_mb and not self._cage.relieve():
            return Doom(Cause.OUT_OF_MEMORY, self.numbers(), is_polite=False)
        return None

    def news(self) -> dict[str, Any] | None:
        """Return what to tell when a part was killed for memory while the rest lives on.

        A notebook's kernel, a worker of a data loader: the owner must be told.
        """
        kills = self._cage.oom_kills()
        if kills == self._kills_told:
            return None
        self._kills_told = kills
        self.peak_mb = max(self.peak_mb, self._limit_mb)
        return {"oom_kills": kills, **self.numbers()}

    def numbers(self) -> dict[str, Any]:
        """Return use and limit in MiB."""
        return {"used_mb": self.peak_mb, "limit_mb": self._limit_mb}

    def was_short_of_memory(self) -> bool:
        """Say whether the kernel has killed in this run for lack of memory."""
        if self._cage.oom_kills() <= self._kills_before:
            return False
        self.peak_mb = max(self.peak_mb, self._limit_mb)
        return True


def cause_of(
    exit_code: int | None, doom: Doom | None, vitals: Vitals, *, is_disk_full: bool
) -> Doom:
    """Return why a run has ended, with the numbers behind it.

    What the supervisor decided counts first; then what the kernel did; then how the command left.
    """
    short = vitals.was_short_of_memory()
    if doom is not None:
        return doom
    if exit_code == 0:
        return Doom(Cause.EXIT)
    if short:
        return Doom(Cause.OUT_OF_MEMORY, vitals.numbers())
    if is_disk_full:
        return Doom(Cause.DISK_FULL)
    if exit_code is not None and exit_code < 0:
        is_kill = -exit_code == signal.SIGKILL
        cause = Cause.KILLED if is_kill else Cause.SIGNAL
        return Doom(cause, {"signal": signal_name(-exit_code)})
    return Doom(Cause.EXIT)
