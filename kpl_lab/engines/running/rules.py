"""Decisions about a replica that are the same on every engine with a runner."""

from __future__ import annotations

from kpl_lab.engines.running.options import RunningOptions
from kpl_lab.engines.running.service_watch import Timing
from kpl_lab.engines.spec import Kind, Workload
from kpl_lab.errors import EngineError

USER_PREFIX = "user:"


def identity_of(workload: Workload, index: int) -> str:
    """Return whose account a replica has: each replica of a service has its own."""
    if workload.kind is Kind.SERVICE:
        return f"{workload.identity}/{index}"
    return workload.identity


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
            f"{count} GPUs are asked for and {len(free)} of {total} are free; "
            "wait, or ask for fewer.",
            code="no_gpu",
            detail={"asked": count, "free": len(free), "total": total},
        )
    return free[:count]
