"""A cluster for tests of the client: the double, and a client whose waits pass at once."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.transport import Patience, Transport
from tests.doubles.kubernetes import TOKEN, Server, api_server

NS = "kpl-lab"


class Naps:
    """Stands in for waiting: time passes at once."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.waits: list[float] = []
        # What is to happen in the nap of a number.
        self.after: dict[int, Callable[[], Awaitable[None]]] = {}

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        if len(self.waits) in self.after:
            await self.after[len(self.waits)]()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with api_server() as found:
        yield found


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def cluster(server: Server, naps: Naps) -> AsyncIterator[Cluster]:
    access = Access(host=server.url, authorization=f"Bearer {TOKEN}")

    async def source() -> Access:
        return dataclasses.replace(access, authorization=f"Bearer {sorted(server.tokens)[0]}")

    transport = Transport(
        source, access, patience=Patience(total=20), clock=naps.clock, sleep=naps.sleep
    )
    found = Cluster(transport, NS)
    yield found
    await found.close()


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    }


def job(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {"backoffLimit": 0, "template": {"spec": {"containers": []}}},
    }
