"""Ends what runs for users when the installation goes down."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx

from kpl_lab.errors import KplError
from kpl_lab.settings import Secret, Settings
from kpl_lab.supervisor import records
from kpl_lab.supervisor.plan import CONTROLLER, PLATFORM

SHUTDOWN_SECONDS = 40.0


def end_workloads(settings: Settings, say: Callable[[str], None]) -> None:
    """Ask the platform to end tasks, services and servers with their reasons, and wait for it.

    Where the platform does not run, nothing is asked; what still runs then is ended by the
    engine's own sweep.
    """
    home = settings.home
    if not all(records.read(home, name).identity for name in (PLATFORM, CONTROLLER)):
        return
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    try:
        token = home.read_secret(Secret.HUB_TO_PLATFORM)
        with httpx.Client(
            base_url=settings.platform_url,
            headers={"Authorization": f"token {token}"},
            timeout=SHUTDOWN_SECONDS,
            trust_env=False,
        ) as client:
            while time.monotonic() < deadline:
                answer = client.post("/internal/shutdown")
                if answer.status_code >= 300:
                    say(f"the platform could not end what runs ({answer.status_code})")
                    return
                left = int(answer.json().get("running", 0))
                if not left:
                    return
                say(f"waiting for {left} running workloads to end")
                time.sleep(0.5)
    except (httpx.HTTPError, KplError, ValueError) as error:
        say(f"the platform could not be asked to end what runs ({error})")
