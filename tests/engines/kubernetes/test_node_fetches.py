"""What the agent of a node fetches, over the real gate, where something is in the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import gate
from kpl_lab.engines.kubernetes.agent import gateway
from kpl_lab.engines.kubernetes.agent.gateway import Gateway
from kpl_lab.engines.kubernetes.node.config import NodeConfig
from kpl_lab.engines.kubernetes.tars import send
from kpl_lab.engines.kubernetes.wire import ChunkReader
from tests.engines.kubernetes.node_runner import Runner, done, opened, started, until
from tests.engines.kubernetes.nodes import NAME, OTHER, UID, VERSION, Node, made, why_not

needs_mounts = pytest.mark.skipif(why_not() != "", reason=why_not() or "?")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with made(tmp_path) as found:
        found.pod()
        yield found


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Runner]:
    async with opened(tmp_path) as found:
        yield found


@needs_mounts
async def test_versions_that_come_at_once_have_room_together_or_not_at_all(
    node: Node, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.version(VERSION, {"a": b"x" * (6 << 20)})
    runner.version(OTHER, {"a": b"x" * (6 << 20)})
    all_came = asyncio.Event()

    async def slow(folder: Path, writer: asyncio.StreamWriter) -> None:
        """Keep back the end of what comes first."""
        held = Held(writer)
        await send(folder, held)  # type: ignore[arg-type]
        await all_came.wait()
        held.release()

    monkeypatch.setattr(gate, "send", slow)
    await started(node, runner, cache_mb=11)
    runner.order({UID: {"first": VERSION}})
    await until(lambda: any(done(report, "first") > 5 << 20 for report in runner.reports))
    runner.order({UID: {"first": VERSION, "second": OTHER}})
    assert "no room for 6 MiB" in (await runner.showing("failed", UID, "second"))["error"]
    all_came.set()
    await runner.showing("shown", UID, "first")


class Held:
    """A connection whose last bytes are held back."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer, self._last = writer, b""

    def write(self, data: bytes) -> None:
        self._writer.write(self._last)
        self._last = bytes(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def release(self) -> None:
        self._writer.write(self._last)


@needs_mounts
async def test_what_breaks_off_each_time_is_given_up_and_told(
    node: Node, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(folder: Path, writer: asyncio.StreamWriter) -> None:
        raise OSError(folder)

    monkeypatch.setattr(gate, "send", breaks)
    runner.version(VERSION, {"a": b"1"})
    await started(node, runner)
    runner.order({UID: {NAME: VERSION}})
    assert "breaks off each time" in (await runner.showing("failed"))["error"]
    assert len(runner.fetched) == 5


@needs_mounts
async def test_what_makes_no_sense_is_told_too(
    node: Node, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "size_of", lambda _folder: "many")
    runner.version(VERSION, {"a": b"1"})
    await started(node, runner)
    runner.order({UID: {NAME: VERSION}})
    assert "ValueError" in (await runner.showing("failed"))["error"]


async def test_an_agent_waits_while_the_gate_looks_how_much_there_is(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(_folder: Path) -> int:
        time.sleep(1)
        return 1

    monkeypatch.setattr(gate, "size_of", slow)
    monkeypatch.setattr(gate, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(gateway, "SILENCE_SECONDS", 0.5)
    runner.version(VERSION, {"a": b"1"})
    config = NodeConfig(
        node="node-1", gate=("127.0.0.1", runner.port), token_file=runner.store / "token",
        pods=tmp_path, cache=tmp_path, cache_bytes=1, marks=tmp_path,
    )  # fmt: skip
    said = []

    def take(answer: dict[str, int], stream: Any) -> None:
        said.append(answer["bytes"])
        ChunkReader(stream).finish()

    request = {"what": "version", "key": VERSION}
    await asyncio.to_thread(Gateway(config, "pod").once, "fetch", request, take)
    assert said == [1]
