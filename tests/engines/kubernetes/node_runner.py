"""A runner behind a real gate, for the tests of node agents: orders, and what comes back."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kpl_lab.engines.kubernetes.gate import Caller, Gate, Line
from kpl_lab.errors import EngineError
from tests.engines.kubernetes.nodes import NAME, TOKEN, UID, Node

KEY = b"k" * 32


class Runner:
    """What stands behind the gate of these tests: orders, and what comes back."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.line: Line | None = None
        self.links = 0
        self.reports: list[dict[str, Any]] = []
        self.fetched: list[str] = []
        self.number = 0
        self._hold = asyncio.Event()
        self._gate: Gate | None = None
        self.port = 0

    async def open(self) -> None:
        """Open the gate, at the same port each time."""
        (self.store / "token").write_text(TOKEN)
        self._gate = Gate(KEY, self, self.store / "token")
        self.port = await self._gate.open("127.0.0.1", self.port)

    async def close(self) -> None:
        """Close the gate."""
        if self._gate is not None:
            await self._gate.close()
            self._gate, self.line = None, None

    def version(self, version: str, files: dict[str, bytes]) -> None:
        """Put a version into the store."""
        for name, content in files.items():
            place = self.store / version / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)

    def order(self, pods: dict[str, dict[str, str]]) -> None:
        """Say what is to be shown."""
        assert self.line is not None
        self.number += 1
        self.line.order({"do": "show", "id": self.number, "pods": pods})

    async def showing(self, state: str, uid: str = UID, name: str = NAME) -> dict[str, Any]:
        """Wait until the last order has come so far."""

        def found() -> dict[str, Any] | None:
            if not self.reports or self.reports[-1]["heard"] != self.number:
                return None
            one: dict[str, Any] = self.reports[-1]["pods"].get(uid, {}).get(name, {})
            return one if one.get("state") == state else None

        await until(found)
        return found() or {}

    # --- of a Host

    def source(self, caller: Caller, what: str, key: str) -> Path:
        assert (caller.node, what) == ("node-1", "version")
        self.fetched.append(key)
        if not (self.store / key).exists():
            raise EngineError(f"{key} is not to be shown.", code="no_source")
        return self.store / key

    def place_for(self, caller: Caller, output: str) -> Path:
        raise AssertionError(output)

    def may_call(self, caller: Caller, port: int) -> bool:
        return True

    def arrived(self, number: str, streams: object) -> bool:
        return True

    def linked(self, caller: Caller, line: Line) -> None:
        self.line = line
        self.links += 1

    def unlinked(self, caller: Caller, line: Line) -> None:
        if self.line is line:
            self.line = None

    def reported(self, caller: Caller, report: dict[str, Any]) -> None:
        self.reports.append(report)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition; fails when it does not come."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (what is waited for knows nothing of us)
            await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Runner]:
    """Give a runner whose gate is open."""
    (root / "store").mkdir()
    found = Runner(root / "store")
    await found.open()
    yield found
    await found.close()
    for _ in range(10):
        await asyncio.sleep(0)


async def started(node: Node, runner: Runner, **options: int) -> subprocess.Popen[bytes]:
    """Start the agent; wait until it has said what there is."""
    links, said = runner.links, len(runner.reports)
    found = node.start(runner.port, **options)
    await until(lambda: runner.links > links and len(runner.reports) > said)
    return found


def done(report: dict[str, Any], name: str = NAME) -> int:
    """Return the bytes that have come of what is shown."""
    return int(report["pods"].get(UID, {}).get(name, {}).get("done", 0))
