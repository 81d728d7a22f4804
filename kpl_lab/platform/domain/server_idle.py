"""Idle stop: for how long a server may have nothing to do, and what it says of that itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl_lab.errors import Conflict
from kpl_lab.platform.domain import server_events, servers
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.records.work import ServerRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.servers import IdleReport

REASON = "idle"
MINUTES, WARNING, GPUS = "KPL_IDLE_STOP_MINUTES", "KPL_IDLE_WARNING_MINUTES", "KPL_SERVER_GPUS"
GPU_MINUTES = "KPL_IDLE_GPU_MINUTES"
# What is told of a warning and of the end, by what is idle.
_EVENTS = {
    "server": (server_events.IDLE_SOON, server_events.IDLE_STOPPED),
    "gpu": (server_events.GPU_IDLE_SOON, server_events.GPU_IDLE_STOPPED),
}


def minutes(options: PlatformOptions, wish: float | None) -> float:
    """Return after how many minutes without work a server is stopped; 0: never.

    Parameters
    ----------
    wish
        The user's own choice; None: none was made.
    """
    default = options.idle_stop_minutes
    if wish is None:
        return default
    if default > 0 and options.idle_stop_is_ceiling:
        return min(wish, default) if wish > 0 else default
    return wish


def variables(
    options: PlatformOptions, launch: Mapping[str, Any], gpus: int, gpu_minutes: float
) -> dict[str, str]:
    """Return the variables by which a server knows of it; none where it is off.

    Parameters
    ----------
    gpu_minutes
        After how many minutes a server is stopped whose GPUs compute nothing; 0: never.
    """
    allowed = minutes(options, launch.get("idle_stop_minutes"))
    reclaimed = gpu_minutes if gpus else 0.0
    if allowed <= 0 and reclaimed <= 0:
        return {}
    found = {WARNING: f"{_warning(options, allowed or reclaimed):g}", GPUS: str(gpus)}
    if allowed > 0:
        found[MINUTES] = f"{allowed:g}"
    if reclaimed > 0:
        found[GPU_MINUTES] = f"{reclaimed:g}"
    return found


def _warning(options: PlatformOptions, allowed: float) -> float:
    """Return how long before the end a warning comes: after at least half of the time."""
    return min(options.idle_warning_minutes, allowed / 2)


def report(store: Store, server: ServerRecord, said: IdleReport) -> None:
    """Take up what a server says of its own idleness; stop it when its time is over.

    Raises
    ------
    Conflict
        It does not run.
    """
    if server.state == "stopping" and said.state == "over":
        return
    if server.state != "running":
        raise Conflict("The notebook server does not run.", code="server_not_running")
    soon, stopped = _EVENTS[said.what]
    if said.state == "warned":
        server_events.tell(store, server, soon, time=_words(said.minutes))
    elif said.state == "kept":
        server_events.tell(store, server, server_events.KEPT_RUNNING)
    else:
        idle = _words(said.minutes)
        server_events.tell(store, server, stopped, time=idle)
        servers.stop(store, server.id, REASON, stopped.text.format(time=idle))


def _words(minutes: float) -> str:
    """Return a length of time as people say it."""
    if minutes < 1:
        return f"{round(minutes * 60)} seconds"
    whole = round(minutes)
    return "1 minute" if whole == 1 else f"{whole} minutes"
