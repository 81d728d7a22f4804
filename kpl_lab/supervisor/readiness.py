"""Waits until the platform answers through its front door."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from kpl_lab.errors import EngineError
from kpl_lab.settings import Home, Settings
from kpl_lab.supervisor import records

LOOK_SECONDS = 0.1
LOG_LINES = 12
SUPERVISOR_SECONDS = 30.0


@dataclass(frozen=True)
class Check:
    """Something that has to answer: ``path`` behind the front door, and whose it is."""

    process: str
    path: str


CHECKS = (
    Check("hub", "/hub/health"),
    Check("platform", "/kpl/api/v1/readyz"),
)


def wait_kept(home: Home, supervisor: subprocess.Popen[bytes]) -> None:
    """Return when the supervisor has begun to keep things.

    Raises
    ------
    EngineError
        It ended, or says nothing for long; ends with the last lines of its log.
    """
    deadline = time.monotonic() + SUPERVISOR_SECONDS
    while records.read(home, records.SUPERVISOR).pid != supervisor.pid:
        if supervisor.poll() is not None:
            raise _not_ready(home, records.SUPERVISOR, "and has ended")
        if time.monotonic() > deadline:
            raise _not_ready(home, records.SUPERVISOR, f"within {SUPERVISOR_SECONDS:g} seconds")
        time.sleep(LOOK_SECONDS / 2)


def wait_ready(settings: Settings, *, seconds: float, say: Callable[[str], None]) -> None:
    """Return when hub and platform answer through the front door.

    Raises
    ------
    EngineError
        They do not in time, or one of them keeps dying; ends with the last lines of its log.
    """
    deadline = time.monotonic() + seconds
    with httpx.Client(base_url=settings.public_url, timeout=5.0, trust_env=False) as client:
        for check in CHECKS:
            while not _answers(client, check):
                _fail_early(settings.home)
                if time.monotonic() > deadline:
                    raise _not_ready(settings.home, check.process, f"within {seconds:g} seconds")
                time.sleep(LOOK_SECONDS)
            say(f"{check.process} answers")


def _answers(client: httpx.Client, check: Check) -> bool:
    try:
        return client.get(check.path).status_code == 200
    except httpx.HTTPError:
        return False


def _fail_early(home: Home) -> None:
    for name in ("frontdoor", "hub", "platform", "controller", "runner"):
        if records.read(home, name).state == "failing":
            raise _not_ready(home, name, "and keeps ending")


def _not_ready(home: Home, process: str, how: str) -> EngineError:
    path = home.logs / f"{process}.log"
    return EngineError(
        f"The process {process} does not answer {how}. The end of {path}:\n{_tail(path)}",
        code="not_ready",
        detail={"process": process},
    )


def _tail(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        return f"(it cannot be read: {error})"
    return "\n".join(f"  {line}" for line in lines[-LOG_LINES:]) or "  (empty)"
