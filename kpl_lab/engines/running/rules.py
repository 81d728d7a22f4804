"""Decisions about a replica that are the same on every engine with a runner."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kpl_lab.engines.running.service_watch import Timing
from kpl_lab.engines.running.status import Status
from kpl_lab.engines.spec import Cause, Kind, Workload
from kpl_lab.errors import EngineError
from kpl_lab.wording import counted

if TYPE_CHECKING:
    # Supervisors start fast because they import the standard library alone.
    from kpl_lab.engines.running.options import RunningOptions
    from kpl_lab.settings import Ports

USER_PREFIX = "user:"
_LITTLE_ROOM_BYTES = 1024 * 1024
_DEFAULT_PORT = 8080  # of the runtime contract
# Where replicas meet that have networks of their own: PyTorch's default.
MEETING_PORT = 29500


def identity_of(workload: Workload, index: int) -> str:
    """Return whose account a replica has: each replica of a service has its own."""
    if workload.kind is Kind.SERVICE:
        return f"{workload.identity}/{index}"
    return workload.identity


def user_of(identity: str) -> str:
    """Return the user name that a replica sees: a person's own, or one for all others."""
    return identity.removeprefix(USER_PREFIX) if identity.startswith(USER_PREFIX) else "kpl"


def doors_of(kind: Kind, ports: Ports) -> list[int]:
    """Return the ports of the platform that a workload calls by their address on the loopback.

    Tasks call their relay alone. The front door is for servers: a service may itself listen on the
    port that the front door has outside.
    """
    found = {
        Kind.SERVER: [ports.hub, ports.platform, ports.public],
        Kind.SERVICE: [ports.platform],
    }
    return found.get(kind, [])


def port_of(workload: Workload, doors: Sequence[int]) -> int | None:
    """Return where it listens, in a network of its own, where the doors are too."""
    if workload.kind not in (Kind.SERVICE, Kind.SERVER):
        return None
    if workload.port:
        return workload.port
    return next(port for port in itertools.count(_DEFAULT_PORT) if port not in doors)


def timing_of(workload: Workload, options: RunningOptions, *, watchdog: float) -> Timing:
    """Return the seconds of a replica's life."""
    return Timing(
        time_limit=workload.time_limit_seconds,
        grace=workload.grace_seconds,
        start_timeout=workload.start_timeout_seconds,
        health=options.health_seconds,
        health_timeout=options.health_timeout_seconds,
        health_failures=options.health_failures,
        unhealthy_restart=options.unhealthy_restart_seconds,
        wrong_port=options.wrong_port_seconds,
        restarts_max=options.restarts_max,
        restart_first=options.restart_first_seconds,
        restart_last=options.restart_last_seconds,
        relay_wait=options.relay_wait_seconds,
        watchdog=watchdog,
    )


def pick_gpus(count: int, total: int, in_use: set[int]) -> list[int]:
    """Return the indices of ``count`` GPUs that nobody has.

    Raises
    ------
    EngineError
        There are not that many.
    """
    free = [i for i in range(total) if i not in in_use]
    if len(free) < count:
        raise EngineError(
            f"It asks for {counted(count, 'GPU')}, with {len(free)} of {total} free; "
            "wait, or ask for fewer.",
            code="no_gpu",
            detail={"asked": count, "free": len(free), "total": total},
        )
    return free[:count]


def may_try_again(status: Status, *, was_ready: bool, restarts_max: int) -> bool:
    """Say whether a service that has ended by itself is started again, and count the try.

    One that was ready is, for ever; one that never was is given up after some tries.
    """
    if status.cause in (Cause.STOPPED, Cause.WRONG_PORT, Cause.NEVER_LISTENED):
        return False
    if was_ready:
        status.detail.pop("tries", None)
        return True
    tries = int(status.detail.get("tries", 0)) + 1
    status.detail["tries"] = tries
    return tries <= restarts_max


def restart_wait(status: Status, timing: Timing) -> float:
    """Return the seconds to wait before the next try."""
    tries = int(status.detail.get("tries", 1))
    return float(min(timing.restart_first * 2 ** (tries - 1), timing.restart_last))


def signal_name(number: int) -> str:
    """Return how a signal is called."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def has_little_room(folder: Path) -> bool:
    """Say whether the disk of ``folder`` is as good as full."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize < _LITTLE_ROOM_BYTES
