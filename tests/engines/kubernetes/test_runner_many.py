"""What the runner does for each pod that runs well, and how often it asks for one that waits: next to nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from kpl_lab.engines.kubernetes import waiting
from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.spec import Observation, ReplicaState
from tests.doubles.kubernetes import TOKEN, Server, api_server
from tests.engines.harness import end_of, is_state, see, task
from tests.engines.kubernetes.benches import NS, Doubled, doubled

PENDING = {
    "metadata": {"name": "p", "namespace": NS, "uid": "u"},
    "spec": {},
    "status": {"phase": "Pending"},
}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


@contextlib.asynccontextmanager
async def cluster_of(server: Server) -> AsyncIterator[Cluster]:
    async def source() -> Access:
        return Access(host=server.url, authorization=f"Bearer {TOKEN}")

    cluster = await Cluster.of(source, NS)
    try:
        yield cluster
    finally:
        await cluster.close()


async def test_where_no_agent_answers_the_cluster_tells_what_is_used(bench: Doubled) -> None:
    handle = await bench.run(task("t", "train"))
    pod = await bench.running("t")
    await see(bench.engine, "t", lambda seen: seen.replicas[0].started_at is not None)
    assert await bench.engine.usage(handle) is None

    container = {"name": "main", "usage": {"cpu": "1530m", "memory": "300Mi"}}
    beside = {"name": "agent", "usage": {"cpu": "2", "memory": "1Gi"}}
    metadata = {"name": pod["metadata"]["name"], "labels": pod["metadata"]["labels"]}
    bench.server.metrics = [{"metadata": metadata, "containers": [beside, container]}]
    found = await bench.engine.usage(handle)
    assert found is not None
    assert (found.cpu, found.memory_mb) == (1.53, 300)


async def test_what_an_agent_measures_is_no_news_and_counts_at_the_end(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    async with bench.agent("t", pod) as agent:
        await agent.say(Phase.RUNNING)
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        told: list[Observation] = []

        async def listen() -> None:
            async for one in bench.engine.watch():
                told.append(one)

        listening = asyncio.create_task(listen())
        status = bench.log_of("t").parent / "status.json"
        await asyncio.sleep(0.2)
        before, count = status.stat().st_mtime_ns, len(told)
        for number in range(1, 6):
            await agent.say(Phase.RUNNING, cpu_seconds=number * 1.5, memory_peak_mb=number * 10)
            await asyncio.sleep(0.05)
        assert (status.stat().st_mtime_ns, len(told)) == (before, count)
        await agent.say(Phase.SENT)
        bench.ends(pod)
        end = await end_of(bench.engine, "t")
        listening.cancel()
    assert (end.cpu_seconds, end.memory_peak_mb) == (7.5, 50)


async def test_nodes_are_listed_once_for_all_who_ask_at_the_same_time() -> None:
    async with api_server() as server, cluster_of(server) as cluster:
        await asyncio.gather(*(cluster.nodes() for _ in range(50)))
        assert server.count("list", "Node") == 1


async def test_a_pod_that_waits_for_an_hour_is_asked_about_more_and_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(f"{waiting.__name__}.time", clock)
    async with api_server() as server, cluster_of(server) as cluster:
        found = waiting.Waiting(cluster)
        asked = []
        for _ in range(3600):
            await found.look(PENDING)
            asked.append(server.count("list", "Event"))
            now += 1.0
    assert asked[10] >= 4  # who watches a start sees what happens
    assert asked[-1] < 90
    assert asked[-1] - asked[-601] <= 10  # once a minute in the end
