"""Ends processes by their records, in the reverse order of their start."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence

from kpl_lab.settings import Home
from kpl_lab.supervisor import records
from kpl_lab.supervisor.keeper import end
from kpl_lab.supervisor.plan import Plan

SUPERVISOR_GRACE_SECONDS = 5.0


def end_supervisor(home: Home) -> None:
    """End the supervisor alone; what it keeps runs on. No-op when none runs."""
    identity = records.read(home, records.SUPERVISOR).identity
    if identity is not None:
        asyncio.run(end(identity, SUPERVISOR_GRACE_SECONDS))
    records.remove(home, records.SUPERVISOR)


def rest_supervisor(home: Home) -> None:
    """Have the supervisor start nothing any more, while it reaps what ends. No-op without one."""
    identity = records.read(home, records.SUPERVISOR).identity
    if identity is not None:
        identity.kill(signal.SIGUSR1)


def end_processes(
    home: Home, plans: Sequence[Plan], say: Callable[[str], None] = lambda _: None
) -> None:
    """End what runs of ``plans``, last started first; forget it when it is gone."""
    for plan in reversed(plans):
        identity = records.read(home, plan.name).identity
        if identity is not None:
            say(plan.name)
            asyncio.run(end(identity, plan.grace_seconds))
        records.remove(home, plan.name)
