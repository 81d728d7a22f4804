"""Tasks that wait in a queue of the cluster, and what is said where nothing leads it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.objects.workloads import QUEUE_API
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.engines.running.protocol import Json
from kpl_lab.engines.spec import Observation, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.harness import end_of, is_state, see, task
from tests.engines.kubernetes.benches import NS, Doubled, doubled


def waits(seen: Observation) -> dict[str, object]:
    """Return what the first replica waits for."""
    return next((dict(one.detail["waits"]) for one in seen.replicas if "waits" in one.detail), {})


async def facts(bench: Doubled) -> Mapping[str, Json]:
    """Return what the runner tells the doctor."""
    assert isinstance(bench.engine, RunnerEngine)
    return await bench.engine.facts()


async def test_a_queue_without_kueue_is_named_where_the_task_waits_and_to_the_doctor(
    tmp_path: Path,
) -> None:
    async with doubled(tmp_path, queue="lab") as bench:
        await bench.run(task("t", "work"))
        seen = await see(bench.engine, "t", lambda one: bool(waits(one)))
        assert waits(seen)["code"] == "queue_missing"
        assert "the queue lab, and the cluster has no Kueue" in str(waits(seen)["text"])
        assert not waits(seen)["is_progress"]
        assert (await facts(bench))["dead_queues"] == ["lab"]


async def test_with_kueue_a_task_waits_its_turn_and_runs(tmp_path: Path) -> None:
    async with doubled(tmp_path, queue="lab") as bench:
        bench.server.groups.add(QUEUE_API)
        await bench.run(task("t", "work"))
        seen = await see(bench.engine, "t", lambda one: bool(waits(one)))
        assert waits(seen)["code"] == "queued"
        assert (await facts(bench))["dead_queues"] == []
        key = ("Job", NS, bench.object_name("t"))
        bench.server.store.merge(key, {"spec": {"suspend": False}})
        pod = await bench.running("t")
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        bench.ends(pod)
        assert (await end_of(bench.engine, "t")).exit_code == 0


async def test_without_nodes_and_quota_it_is_said_what_to_set_and_a_quota_helps(
    tmp_path: Path,
) -> None:
    async with doubled(tmp_path) as bench:
        bench.server.faults.forbidden.add(("list", "nodes"))
        with pytest.raises(EngineError, match=r"`limits\.memory` and `limits\.cpu`") as refused:
            await bench.engine.capacity()
        assert refused.value.code == "no_capacity"
        assert (await facts(bench))["gpus"] == 0
        _make_quota(bench)
        there = await bench.engine.capacity()
        assert (there.cpu, there.memory_mb, there.gpu) == (8.0, 16384, 1)


def _make_quota(bench: Doubled) -> None:
    hard = {"limits.cpu": "8", "limits.memory": "16Gi", "requests.nvidia.com/gpu": "1"}
    metadata = {"name": "lab", "namespace": NS}
    bench.server.store.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    )
