"""Tasks on the double of an API server: the real runner, and agents that the tests play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.kubernetes.ledger import Entry
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Observation, ReplicaState
from tests.doubles import kubernetes_play as play
from tests.engines.harness import end_of, is_state, see, task, text_of
from tests.engines.kubernetes.benches import NS, STOPPED, Doubled, doubled, until


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


def waits_for(code: str) -> Callable[[Observation], bool]:
    """Say whether the first replica waits for something."""
    return lambda one: any(r.detail.get("waits", {}).get("code") == code for r in one.replicas)


def verdict(bench: Doubled, name: str) -> object:
    """Return the conditions of a task's Job."""
    return bench.server.store.get("Job", NS, bench.object_name(name))["status"].get("conditions")


async def test_a_task_ends_with_its_log_and_its_outputs(bench: Doubled, tmp_path: Path) -> None:
    handle = await bench.run(task("t", "work", outputs=("model",)))
    pod = await bench.running("t")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("w")
    async with bench.agent("t", pod) as agent:
        await agent.say(Phase.RUNNING, memory_mb=7, memory_peak_mb=9, processes=2)
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        bench.says(pod, "one\ntwo\n")
        gateway = agent.gateway
        await asyncio.to_thread(gateway.give, "model", tmp_path / "model", 1e12)
        await agent.say(Phase.SENT)
        bench.ends(pod)
        end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code, end.memory_peak_mb) == (Cause.EXIT, 0, 9)
    assert await text_of(bench.engine, handle) == "one\ntwo\n"
    place = bench.replica_outputs("t")
    assert (place / "model" / "weights").read_text() == "w"
    await bench.engine.delete(handle)
    assert bench.objects() == []


async def test_a_failed_task_tells_its_exit_code(bench: Doubled) -> None:
    await bench.run(task("t", "fail"))
    bench.ends(await bench.running("t"), 3)
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.EXIT, 3)


async def test_a_stop_goes_through_the_agent(bench: Doubled) -> None:
    handle = await bench.run(task("t", "sleep"))
    pod = await bench.running("t")
    async with bench.agent("t", pod) as agent:
        await agent.say(Phase.RUNNING)
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await bench.engine.stop(handle, grace_seconds=2.5)
        assert (await agent.ordered("stop"))["grace"] == 2.5
        await agent.say(Phase.SENT, STOPPED)
        bench.ends(pod, 143)
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.STOPPED, -15)


async def test_a_stop_before_the_start_leaves_nothing(bench: Doubled) -> None:
    handle = await bench.run(task("t", "sleep"))
    await bench.pod("t")
    await bench.engine.stop(handle)
    assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED
    await until(lambda: not bench.objects("Job", "Pod"))


async def test_a_stop_without_an_agent_goes_through_the_cluster(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.stopping._LINK_SECONDS", 0.0)
    handle = await bench.run(task("t", "sleep"))
    pod = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    await bench.engine.stop(handle, grace_seconds=1)
    assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED
    assert pod["metadata"]["name"] not in str(bench.objects("Pod"))


async def test_an_agent_that_does_not_end_its_command_loses_its_pod(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.stopping._PATIENCE_SECONDS", 0.3)
    handle = await bench.run(task("t", "sleep"))
    pod = await bench.running("t")
    async with bench.agent("t", pod) as agent:
        await agent.say(Phase.RUNNING)
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await bench.engine.stop(handle, grace_seconds=0)
        await agent.ordered("stop")
        assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED


async def test_what_an_agent_could_not_fetch_is_the_cause(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.pod("t")
    play.place(bench.server.store, pod)
    async with bench.agent("t", pod) as agent:
        await agent.say(Phase.FAILED, Doom(Cause.START_FAILED, {"error": "no room"}))
        end = await end_of(bench.engine, "t")
    assert end.cause is Cause.START_FAILED
    assert end.detail["error"] == "no room"
    await until(lambda: not bench.objects("Job", "Pod"))


async def test_a_lying_agent_does_not_end_the_watch(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    async with bench.agent("t", pod) as agent:
        lies = {"phase": ["x"], "doom": {"cause": "magic"}, "memory_peak_mb": "many"}
        agent.report.plain = lambda: dict(lies)  # type: ignore[method-assign]
        agent.report.processes = 1
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        bench.ends(pod, 1)
        end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.EXIT, 1)


async def test_a_lost_node_is_not_the_users_failure(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    first = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    bench.says(first, "", ends=True)
    play.disrupt(bench.server.store, first, "DeletionByTaintManager", "node gone")
    found = await see(
        bench.engine,
        "t",
        lambda one: one.replicas[0].restarts == 1,
    )
    assert found.replicas[0].state is ReplicaState.STARTING
    second = await until(lambda: [p for p in bench.pods("t") if p["status"]["phase"] == "Pending"])
    play.place(bench.server.store, second[0])
    play.run(bench.server.store, second[0])
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    bench.ends(second[0])
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code, end.restarts) == (Cause.EXIT, 0, 1)


async def test_a_pod_that_is_to_go_comes_again_though_its_agent_is_through(bench: Doubled) -> None:
    """A drain: the condition comes first, the command ends, and the pod counts as running for longer."""
    await bench.run(task("t", "work"))
    first = await bench.running("t")
    store = bench.server.store
    async with bench.agent("t", first) as agent:
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        bench.says(first, "", ends=True)
        play.disrupt(store, first, "EvictionByEvictionAPI", "drained", exit_code=143)
        store.set_status("Pod", NS, first["metadata"]["name"], phase="Running")
        await agent.say(Phase.SENT)
        found = await see(bench.engine, "t", is_state(ReplicaState.STARTING))
    assert "emptying the node" in found.replicas[0].detail["waits"]["text"]
    store.set_status("Pod", NS, first["metadata"]["name"], phase="Failed")
    second = await until(lambda: [p for p in bench.pods("t") if p["status"]["phase"] == "Pending"])
    play.place(store, second[0])
    bench.ends(play.run(store, second[0]))
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code, end.restarts) == (Cause.EXIT, 0, 1)


async def test_a_suspension_is_not_the_users_failure(bench: Doubled) -> None:
    """As Kueue does it: the Job's controller ends the pod, without a word in the pod itself."""
    await bench.run(task("t", "work"))
    first = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    store = bench.server.store
    pod_key = ("Pod", NS, first["metadata"]["name"])
    job_key = ("Job", NS, bench.object_name("t"))
    # The controller's, so that the end of each pod is counted before it is gone.
    store.merge(pod_key, {"metadata": {"finalizers": ["batch.kubernetes.io/job-tracking"]}})
    store.merge(job_key, {"spec": {"suspend": True}})
    await until(lambda: "deletionTimestamp" in store.get(*pod_key)["metadata"])
    bench.ends(first, 143)
    found = await see(bench.engine, "t", is_state(ReplicaState.STARTING))
    assert "waits in the cluster's queue" in found.replicas[0].detail["waits"]["text"]
    store.merge(pod_key, {"metadata": {"finalizers": []}})
    store.merge(job_key, {"spec": {"suspend": False}})
    second = await until(lambda: [p for p in bench.pods("t") if p["status"]["phase"] == "Pending"])
    play.place(store, second[0])
    bench.ends(play.run(store, second[0]))
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code, end.restarts) == (Cause.EXIT, 0, 1)


async def test_a_pod_that_somebody_deletes_was_killed(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.running("t")
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    store = bench.server.store
    key = ("Pod", NS, pod["metadata"]["name"])
    store.merge(key, {"metadata": {"finalizers": ["batch.kubernetes.io/job-tracking"]}})
    store.delete(key)
    bench.ends(pod, 143)
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.KILLED, -15)


async def test_a_pod_that_waits_says_why(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.pod("t")
    play.place(bench.server.store, pod)
    play.wait(bench.server.store, pod, "ErrImagePull", 'failed to pull "x": dial tcp: i/o timeout')
    found = await see(bench.engine, "t", waits_for("registry_unreachable"))
    assert "cannot reach the registry" in found.replicas[0].detail["waits"]["text"]


async def test_a_pod_that_waits_in_vain_has_failed(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.pod("t")
    play.place(bench.server.store, pod)
    play.wait(bench.server.store, pod, "ErrImageNeverPull", "not present")
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.detail["code"]) == (Cause.START_FAILED, "image_never_pulled")
    await until(lambda: not bench.objects("Job", "Pod"))


async def test_one_failed_replica_ends_all(bench: Doubled) -> None:
    await bench.run(task("t", "work", replicas=3))
    await until(lambda: len(bench.pods("t")) == 3)
    pods = {play._index(pod): pod for pod in bench.pods("t")}
    for pod in pods.values():
        play.place(bench.server.store, pod)
        play.run(bench.server.store, pod)
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING, 2))
    bench.ends(pods["0"])
    for pod in pods.values():
        bench.says(pod, "", ends=True)
    bench.ends(pods["2"], 7)
    for index in range(3):
        end = await end_of(bench.engine, "t", index)
        assert (end.cause, end.exit_code) == (Cause.EXIT, 7)


async def test_a_node_that_is_lost_ends_a_task_of_several_and_is_named(bench: Doubled) -> None:
    await bench.run(task("t", "work", replicas=2))
    await until(lambda: len(bench.pods("t")) == 2)
    pods = {play._index(pod): pod for pod in bench.pods("t")}
    for pod in pods.values():
        play.place(bench.server.store, pod)
        play.run(bench.server.store, pod)
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING, 1))
    for pod in pods.values():
        bench.says(pod, "", ends=True)
    play.disrupt(bench.server.store, pods["1"], "DeletionByTaintManager", "node gone")
    for index in range(2):
        end = await end_of(bench.engine, "t", index)
        assert (end.cause, end.detail["replica"]) == (Cause.LOST, 1)


async def test_a_drained_node_and_not_who_breaks_off_then_ends_a_task_of_several(
    bench: Doubled,
) -> None:
    """The pod counts as running for longer, and its Job has no verdict while the others end."""
    await bench.run(task("t", "work", replicas=2))
    await until(lambda: len(bench.pods("t")) == 2)
    pods = {play._index(pod): pod for pod in bench.pods("t")}
    store = bench.server.store
    for pod in pods.values():
        play.place(store, pod)
        play.run(store, pod)
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING, 1))
    async with bench.agent("t", pods["1"]) as agent:
        bench.says(pods["1"], "", ends=True)
        play.disrupt(store, pods["1"], "EvictionByEvictionAPI", "drained", exit_code=143)
        store.set_status("Pod", NS, pods["1"]["metadata"]["name"], phase="Running")
        await agent.say(Phase.SENT)
        bench.ends(pods["0"], 1)
        for index in range(2):
            end = await end_of(bench.engine, "t", index)
            assert (end.cause, end.detail["replica"]) == (Cause.LOST, 1)
            assert "emptying the node" in end.detail["error"]


async def test_a_distributed_task_has_succeeded_when_all_have(bench: Doubled) -> None:
    await bench.run(task("t", "work", replicas=2))
    await until(lambda: len(bench.pods("t")) == 2)
    pods = {play._index(pod): pod for pod in bench.pods("t")}
    for pod in pods.values():
        play.place(bench.server.store, pod)
        play.run(bench.server.store, pod)
    bench.ends(pods["0"])
    found = await see(bench.engine, "t", is_state(ReplicaState.RUNNING, 1))
    assert found.replicas[0].state is not ReplicaState.EXITED
    bench.ends(pods["1"])
    for index in range(2):
        assert (await end_of(bench.engine, "t", index)).exit_code == 0


async def test_the_end_of_a_pod_that_nobody_saw_is_told_from_its_job(bench: Doubled) -> None:
    for name in ("good", "bad"):
        await bench.run(task(name, "work"))
        await bench.running(name)
    await see(bench.engine, "bad", is_state(ReplicaState.RUNNING))
    await bench.crash()
    for name, code in (("good", 0), ("bad", 1)):
        pod = bench.pods(name)[0]
        bench.ends(pod, code)
        await until(partial(verdict, bench, name))
        bench.server.store.remove("Pod", NS, pod["metadata"]["name"])
    bench.start()
    good, bad = await end_of(bench.engine, "good"), await end_of(bench.engine, "bad")
    assert (good.cause, good.exit_code) == (Cause.EXIT, 0)
    assert bad.cause is Cause.LOST
    assert bad.detail["error"]


@pytest.mark.parametrize(
    ("pod", "index"),
    [("kpl-i-t-0-x2f4g", 0), ("kpl-i-t-11-abcde", 11), ("kpl-i-t-12-abcde", None), ("t", None)],
)
def test_a_pod_of_several_is_known_by_its_name(tmp_path: Path, pod: str, index: int | None) -> None:
    entry = Entry(workload=task("t", "true", replicas=12), folder=tmp_path)
    assert entry.index_of(pod) == index
