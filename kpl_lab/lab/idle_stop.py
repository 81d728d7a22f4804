"""Idle stop as this server needs it: measured here, told to the platform."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from kpl_lab.client.failures import error_from
from kpl_lab.clock import SYSTEM_CLOCK
from kpl_lab.lab.client import Door, Outgoing
from kpl_lab.lab.idle import IdleStop, IdleStops, policies_of
from kpl_lab.lab.work import SERVER_ID, ServerWork, gpus_of
from kpl_lab.schemas.servers import IdleReport


def idle_stop_of(
    app: Any,  # noqa: ANN401 (the Jupyter server is untyped)
    door: Door,
    environment: Mapping[str, str],
    log: logging.Logger,
) -> IdleStops | None:
    """Return what stops this server when it is idle; None where it never stops by itself."""
    policies, server = policies_of(environment), environment.get(SERVER_ID, "")
    if not policies or not server.isdecimal():
        return None

    async def report(said: IdleReport) -> None:
        await _tell(door, int(server), said)

    stops = []
    for policy in policies:
        measure = (
            gpus_of(environment)
            if policy.what == "gpu"
            else ServerWork(app, os.getpid(), environment, SYSTEM_CLOCK)
        )
        stops.append(IdleStop(policy, measure, report, SYSTEM_CLOCK, log))
    return IdleStops(stops)


async def _tell(door: Door, server: int, said: IdleReport) -> None:
    body = said.model_dump_json().encode()

    async def content() -> AsyncIterator[bytes]:
        yield body

    url = f"{door.credentials.api_url}/servers/{server}/idle"
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    answer = await door.send(Outgoing("POST", url, headers, content()))
    try:
        await answer.aread()
    finally:
        await answer.aclose()
    if answer.status_code >= 300:
        raise error_from(answer)
