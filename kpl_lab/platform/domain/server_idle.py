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


def variables(options: PlatformOptions, launch: Mapping[str, Any], gpus: int) -> dict[str, str]:
    """Return the variables by which a server knows of it; none where it is off."""
    allowed = minutes(options, launch.get("idle_stop_minutes"))
    if allowed <= 0:
        return {}
    # At least half of the time passes before anybody is warned.
    warning = min(options.idle_warning_minutes, allowed / 2)
    return {MINUTES: f"{allowed:g}", WARNING: f"{warning:g}", GPUS: str(gpus)}


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
    if said.state == "warned":
        server_events.tell(store, server, server_events.IDLE_SOON, time=_words(said.minutes))
    elif said.state == "kept":
        server_events.tell(store, server, server_events.KEPT_RUNNING)
    else:
        event, idle = server_events.IDLE_STOPPED, _words(said.minutes)
        server_events.tell(store, server, event, time=idle)
        servers.stop(store, server.id, REASON, event.text.format(time=idle))


def _words(minutes: float) -> str:
    """Return a length of time as people say it."""
    if minutes < 1:
        return f"{round(minutes * 60)} seconds"
    whole = round(minutes)
    return "1 minute" if whole == 1 else f"{whole} minutes"
