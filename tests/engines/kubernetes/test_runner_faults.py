"""What an API server can do to a runner: each trouble is said in words once, and healed where it can be."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.spec import Cause, Handle, Limits, ReplicaState
from kpl_lab.errors import EngineError, KplError, Unavailable
from tests.doubles import kubernetes_play as play
from tests.engines.harness import end_of, is_state, see, task
from tests.engines.kubernetes.benches import NS, Doubled, doubled, service, until

HANDLE = Handle(engine="kubernetes", name="t")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


def node(name: str, **allocatable: str) -> dict[str, object]:
    """Return a node that takes pods."""
    status = {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": status}


@pytest.mark.parametrize("status", [429, 500, 503, 504])
async def test_a_start_outlasts_a_server_that_says_no_for_a_moment(
    bench: Doubled, status: int
) -> None:
    bench.server.faults.fail(status, "patch", "Secret", times=2, retry_after="0")
    bench.server.faults.fail(status, "patch", "Job", times=1, retry_after="0")
    await bench.run(task("t", "work"))
    bench.ends(await bench.running("t"))
    assert (await end_of(bench.engine, "t")).exit_code == 0
    assert len(bench.objects("Job")) == 1


@pytest.mark.parametrize("trouble", ["cut", "gone", "deaf", "error"])
async def test_watches_that_break_lose_nothing(bench: Doubled, trouble: str) -> None:
    await bench.run(task("t", "work"))
    await bench.pod("t")
    faults, store = bench.server.faults, bench.server.store
    if trouble == "cut":
        faults.cut_after |= {"Pod": 0, "Job": 0}
    elif trouble == "gone":
        faults.cut_after |= {"Pod": 0}
        store.forget()
    elif trouble == "error":
        faults.fail(500, "watch", times=5)
        faults.cut_after |= {"Pod": 0}
    else:
        bench.server.watch_seconds = 0.1
        faults.silent_end = True
    bench.ends(await bench.running("t"), 2)
    assert (await end_of(bench.engine, "t")).exit_code == 2


async def test_a_server_that_is_away_is_said_and_what_ends_meanwhile_is_seen(
    bench: Doubled,
) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    await bench.server.stop()
    with pytest.raises(KplError, match="cannot be reached") as found:
        await bench.run(task("u", "work"))
    assert found.value.code == "cluster_unreachable"
    bench.ends(pod, 6)
    await bench.server.start()
    assert (await end_of(bench.engine, "t")).exit_code == 6
    await bench.run(task("u", "work"))
    await bench.pod("u")


async def test_a_login_that_has_expired_is_said_and_work_goes_on_once_it_is_renewed(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.transport._LOGIN_SECONDS", 0.0)
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    bench.server.tokens = {"a-newer-one"}
    for _ in range(2):
        # Not a refusal: what is to start waits with these words (tests/platform/test_away.py).
        with pytest.raises(Unavailable, match="has expired or was withdrawn: renew the") as found:
            await bench.run(task("u", "work"))
        assert found.value.code == "cluster_unauthenticated"
    assert bench.pods("u") == []
    bench.server.faults.cut_after |= {"Pod": 0, "Job": 0}
    bench.ends(pod, 6)
    await asyncio.sleep(0.2)  # what follows the cluster is refused, too
    bench.token = "a-newer-one"
    await bench.run(task("u", "work"))
    bench.ends(await bench.running("u"), 7)
    assert [(await end_of(bench.engine, one)).exit_code for one in "tu"] == [6, 7]


async def test_a_delete_that_met_an_absent_server_is_repeated(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    await bench.running("t")
    await bench.server.stop()
    with pytest.raises(KplError):
        await bench.engine.delete(HANDLE)
    with pytest.raises(EngineError, match="being deleted"):
        await bench.run(task("t", "work"))
    await bench.server.start()
    await bench.engine.delete(HANDLE)
    assert bench.objects() == []


async def test_a_runner_that_begins_without_a_server_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.calls._SYNC_SECONDS", 1.5)
    caplog.set_level(logging.WARNING, "kpl_lab.engines.kubernetes.calls")
    async with doubled(tmp_path) as bench:
        await bench.crash()
        await bench.server.stop()
        bench.start()
        for _ in range(2):
            with pytest.raises(KplError, match="cannot be reached"):
                await bench.run(task("t", "work"))
        said = [one for one in caplog.messages if "cannot be reached" in one]
        assert len(said) == 1
        await bench.server.start()
        await bench.run(task("t", "work"))
        await bench.pod("t")


async def test_a_webhook_that_denies_is_quoted(bench: Doubled) -> None:
    bench.server.faults.denied["Job"] = "no tasks on Sundays"
    with pytest.raises(EngineError, match="no tasks on Sundays"):
        await bench.run(task("t", "work"))
    bench.server.faults.denied.clear()
    await bench.run(task("t", "work"))
    await bench.pod("t")


async def test_a_missing_permission_is_named(bench: Doubled) -> None:
    bench.server.faults.forbidden.add(("patch", "jobs"))
    with pytest.raises(EngineError) as found:
        await bench.run(task("t", "work"))
    assert found.value.code == "cluster_forbidden"
    for word in ("patch", "jobs", NS):
        assert word in found.value.message
    await bench.engine.delete(HANDLE)
    assert bench.objects() == []


async def test_a_namespace_that_goes_away_is_said(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    await bench.pod("t")
    bench.server.store.merge(("Namespace", "", NS), {"metadata": {"finalizers": ["kubernetes"]}})
    bench.server.store.delete(("Namespace", "", NS))
    with pytest.raises(EngineError) as found:
        await bench.run(task("u", "work"))
    assert found.value.code == "namespace_terminating"


async def test_a_task_with_more_gpus_than_there_are_is_refused(bench: Doubled) -> None:
    bench.server.store.create(node("n", cpu="4", memory="8Gi", **{"nvidia.com/gpu": "1"}))
    asked = task("t", "work", limits=Limits(cpu=1, memory_mb=64, gpu=2))
    with pytest.raises(EngineError, match="GPU"):
        await bench.run(asked)
    assert bench.objects() == []


async def test_capacity_is_the_quota_where_nodes_may_not_be_seen(bench: Doubled) -> None:
    bench.server.faults.forbidden.add(("list", "nodes"))
    with pytest.raises(EngineError) as found:
        await bench.engine.capacity()
    assert found.value.code == "no_capacity"
    bench.server.store.create(
        {
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": NS},
            "spec": {"hard": {"limits.memory": "4Gi", "limits.cpu": "3", "pods": "9"}},
        }
    )  # fmt: skip
    there = await bench.engine.capacity()
    assert (there.cpu, there.memory_mb, there.gpu) == (3, 4096, 0)


async def test_what_still_goes_is_not_taken_for_what_was_asked_for(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    await bench.pod("t")
    await bench.crash()
    job = ("Job", NS, bench.object_name("t"))
    bench.server.store.merge(job, {"metadata": {"finalizers": ["example.org/slow"]}})
    bench.start()
    delete = asyncio.create_task(bench.engine.delete(HANDLE))
    await until(lambda: "deletionTimestamp" in bench.server.store.get(*job)["metadata"])
    with pytest.raises(EngineError, match="being deleted"):
        await bench.run(task("t", "work"))
    bench.server.store.merge(job, {"metadata": {"finalizers": None}})
    await delete
    await bench.run(task("t", "work"))
    await bench.pod("t")


async def test_a_leftover_secret_is_replaced(bench: Doubled) -> None:
    metadata = {"name": bench.object_name("t"), "namespace": NS}
    bench.server.store.create(
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "immutable": True,
            "data": {"old": "b2xk"}, "type": "Opaque",
        }
    )  # fmt: skip
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    async with bench.agent("t", pod):
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))


async def test_a_node_whose_clock_is_ahead_does_not_end_before_it_began(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.life._BIRTH_SECONDS", 0.2)
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    found = bench.server.store.get("Pod", NS, pod["metadata"]["name"])["status"]
    for one in found["containerStatuses"]:
        one["state"] = {"running": {"startedAt": "2090-01-01T00:00:00Z"}}
    name = pod["metadata"]["name"]
    bench.server.store.set_status("Pod", NS, name, containerStatuses=found["containerStatuses"])
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    bench.says(pod, "", ends=True)
    play.disrupt(bench.server.store, pod, "", "low on resource: memory", evicted=True)
    bench.server.store.delete(("Job", NS, bench.object_name("t")))
    end = await end_of(bench.engine, "t")
    assert end.cause is Cause.LOST
    assert end.started_at is not None and end.ended_at is not None
    assert end.ended_at >= end.started_at


async def test_a_conflict_while_numbers_are_given_is_tried_again(bench: Doubled) -> None:
    bench.server.faults.fail(409, "patch", "Pod", times=2)
    await bench.run(dataclasses.replace(service("t"), replicas=2))
    await until(lambda: len(bench.pods("t")) == 2)
    for pod in bench.pods("t"):
        play.place(bench.server.store, pod)
        play.run(bench.server.store, pod)
    await see(
        bench.engine, "t", lambda o: [r.state for r in o.replicas] == [ReplicaState.READY] * 2
    )
