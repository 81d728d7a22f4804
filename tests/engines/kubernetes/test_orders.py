"""Orders to agents that come late, go and come again, or speak for others: mounts without a node's agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import orders
from kpl_lab.engines.kubernetes.agent.report import Phase, Report
from kpl_lab.engines.spec import Handle, MountResult
from kpl_lab.errors import EngineError
from tests.engines.kubernetes.benches import Agent, Doubled, doubled, server


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


class Lab:
    """A server that runs, and what is mounted in it."""

    def __init__(self, bench: Doubled, name: str) -> None:
        self._bench, self._name = bench, name

    async def start(self) -> Lab:
        """Start it; no agent is there yet."""
        self.handle: Handle = await self._bench.run(server(self._name))
        self.pod = await self._bench.running(self._name)
        return self

    def agent(self) -> Agent:
        """Return its agent."""
        return self._bench.agent(self._name, self.pod)

    def mount(self) -> asyncio.Task[MountResult]:
        """Begin to mount a folder."""
        folder = self._bench.folder(f"data-{self._name}", {"a": "1"})
        return asyncio.create_task(self._bench.engine.mount(self.handle, folder, "data"))


async def answer(agent: Agent, error: str = "") -> str:
    """Let an agent do what it was ordered; return the order's number."""
    number = str((await agent.ordered("mount"))["id"])
    agent.report.answer(number, error)
    await agent.say(Phase.READY)
    return number


async def test_an_agent_that_comes_a_moment_later_gets_the_order(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    await asyncio.sleep(0.5)
    assert not mounting.done()
    async with lab.agent() as agent:
        await answer(agent)
        assert (await mounting).path.endswith("/datasets/data")


async def test_without_an_agent_it_is_refused_in_words(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders, "_RETURN_SECONDS", 0.2)
    lab = await Lab(bench, "lab").start()
    with pytest.raises(EngineError, match="not connected") as found:
        await lab.mount()
    assert found.value.code == "agent_away"


async def test_an_agent_that_comes_again_is_told_again(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    async with lab.agent() as agent:
        first = await agent.ordered("mount")
    async with lab.agent() as agent:
        assert await answer(agent) == first["id"]
        await mounting


async def test_what_could_not_be_done_is_told(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    async with lab.agent() as agent:
        await answer(agent, "no room")
        with pytest.raises(EngineError, match="no room"):
            await mounting


async def test_an_agent_answers_for_its_own_server_alone(bench: Doubled) -> None:
    ann, bob = await Lab(bench, "ann").start(), await Lab(bench, "bob").start()
    mounting = bob.mount()
    async with ann.agent() as anns, bob.agent() as bobs:
        number = str((await bobs.ordered("mount"))["id"])
        anns.report.answer(number, "")
        await anns.say(Phase.READY)
        await asyncio.sleep(0.5)
        assert not mounting.done()
        await answer(bobs)
        await mounting


async def test_answers_to_an_earlier_runner_are_no_answers(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    async with lab.agent() as agent:
        earlier = await answer(agent)
        await mounting
        await bench.restart()
        agent.orders.clear()
        again = lab.mount()
        assert (await agent.ordered("mount"))["id"] != earlier
        await asyncio.sleep(0.5)
        assert not again.done()
        await answer(agent)
        await again


async def test_nothing_waits_for_the_agent_of_a_server_that_is_deleted(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    async with lab.agent() as agent:
        await agent.ordered("mount")
        async with asyncio.timeout(5):
            await bench.engine.delete(lab.handle)
        with pytest.raises(EngineError, match="being deleted"):
            await mounting


async def test_nothing_waits_for_the_agent_of_a_server_that_has_ended(bench: Doubled) -> None:
    lab = await Lab(bench, "lab").start()
    mounting = lab.mount()
    async with lab.agent() as agent:
        await agent.ordered("mount")
    bench.ends(lab.pod)
    async with asyncio.timeout(5):
        with pytest.raises(EngineError) as found:
            await mounting
    assert found.value.code == "agent_away"


def test_an_agent_forgets_old_answers() -> None:
    report = Report()
    for number in range(200):
        report.answer(str(number), "")
    assert list(report.done) == [str(number) for number in range(180, 200)]
