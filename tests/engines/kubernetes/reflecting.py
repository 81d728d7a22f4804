"""What tests of a reflector share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kpl_lab.clock import ManualClock
from kpl_lab.engines.kubernetes.reflector import Pace, Reflector, Timing, bare
from kpl_lab.engines.kubernetes.words import Json
from kpl_lab.errors import KplError
from tests.doubles.kubernetes import Server

NS = "kpl-lab"
SELECTOR = "kpl-lab.io/installation=one"


class Nap:
    """Stands in for waiting between tries: short, and counted."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0.002)


class Seen:
    """What a reflector has told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, str | None]] = []
        self.troubles: list[tuple[str, str | None]] = []

    def change(self, kind: str, obj: Json | None, name: str) -> None:
        version = obj["metadata"]["resourceVersion"] if obj is not None else None
        self.changes.append((kind, name, version))

    def trouble(self, kind: str, error: KplError | None) -> None:
        self.troubles.append((kind, error.code if error is not None else None))

    def names(self) -> list[str]:
        """Names as they came; ``-name`` for what went."""
        return [name if version else f"-{name}" for _, name, version in self.changes]


@asynccontextmanager
async def running(
    source: Any,
    seen: Seen,
    nap: Nap,
    *kinds: str,
    clock: ManualClock | None = None,
    **pace: Any,
) -> AsyncIterator[Reflector]:
    """Run a reflector, synced, for the time of a block."""
    reflector = Reflector(
        source,
        dict.fromkeys(kinds or ("Pod",), bare),
        SELECTOR,
        seen.change,
        on_trouble=seen.trouble,
        timing=Timing(
            pace=Pace(**{"shortest": 0.0, **pace}), clock=clock or ManualClock(), sleep=nap
        ),
    )
    task = asyncio.ensure_future(reflector.run())
    try:
        await asyncio.wait(
            {task, asyncio.ensure_future(reflector.synced.wait())},
            timeout=20,
            return_when="FIRST_COMPLETED",
        )
        yield reflector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def obj(name: str, kind: str = "Pod", installation: str = "one") -> Json:
    api = {"Pod": "v1", "Job": "batch/v1"}[kind]
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": NS,
            "labels": {"kpl-lab.io/installation": installation},
        },
        "spec": {},
    }


def touch(server: Server, name: str, kind: str = "Pod", **labels: str) -> str:
    changed = server.store.merge((kind, NS, name), {"metadata": {"labels": labels}})
    return str(changed["metadata"]["resourceVersion"])


def same(reflector: Reflector, server: Server, kind: str = "Pod") -> bool:
    """Say whether the copy is what the server has."""
    mine = {
        o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in reflector.objects(kind)
    }
    return mine == {
        o["metadata"]["name"]: o["metadata"]["resourceVersion"]
        for o in server.store.all(kind, NS)
        if o["metadata"]["labels"]["kpl-lab.io/installation"] == "one"
    }
