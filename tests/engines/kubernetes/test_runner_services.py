"""Services and servers on the double of an API server: numbers, scaling, giving up, starting again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import names, waiting
from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Observation, ReplicaState
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes_store import Json
from tests.engines.harness import end_of, is_state, see
from tests.engines.kubernetes.benches import NS, Doubled, doubled, server, service, until


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


def numbers(bench: Doubled, name: str) -> dict[str, str]:
    """Return the number of each pod of a service that has one."""
    found = {
        pod["metadata"]["name"]: pod["metadata"]["labels"].get(names.REPLICA)
        for pod in bench.pods(name)
    }
    return {name: number for name, number in found.items() if number is not None}


async def all_run(bench: Doubled, name: str, count: int) -> list[Json]:
    """Wait for so many pods, let all of them run, and return them."""
    await until(lambda: len(bench.pods(name)) == count)
    for pod in bench.pods(name):
        if pod["status"]["phase"] == "Pending":
            play.place(bench.server.store, pod)
            play.run(bench.server.store, pod)
    return bench.pods(name)


def all_ready(count: int) -> Callable[[Observation], bool]:
    """Say whether exactly so many replicas are ready."""

    def is_it(one: Observation) -> bool:
        states = [replica.state for replica in one.replicas]
        return states == [ReplicaState.READY] * count

    return is_it


def crash_loop(bench: Doubled, pod: Json, restarts: int, exit_code: int = 1) -> None:
    """Let the command of a pod have ended and begun again so many times."""
    found = play.run(bench.server.store, pod, ready=False)
    statuses = found["status"]["containerStatuses"]
    ended = {"exitCode": exit_code, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}
    for one in statuses:
        one |= {"restartCount": restarts, "lastState": {"terminated": ended}}
    name = pod["metadata"]["name"]
    bench.server.store.set_status("Pod", NS, name, containerStatuses=statuses)


async def test_a_service_is_scaled_and_keeps_its_numbers(bench: Doubled) -> None:
    await bench.run(service("s", replicas=2))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", all_ready(2))
    before = numbers(bench, "s")
    assert sorted(before.values()) == ["0", "1"]
    await bench.run(service("s", replicas=3))
    await all_run(bench, "s", 3)
    await see(bench.engine, "s", all_ready(3))
    grown = numbers(bench, "s")
    assert before.items() < grown.items()
    await bench.run(service("s", replicas=1))
    await see(bench.engine, "s", all_ready(1))
    left = numbers(bench, "s")
    assert left == {name: number for name, number in grown.items() if number == "0"}


async def test_a_pod_in_the_place_of_another_takes_its_number(bench: Doubled) -> None:
    await bench.run(service("s", replicas=2))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", all_ready(2))
    before = numbers(bench, "s")
    victim = next(name for name, number in before.items() if number == "0")
    bench.server.store.delete(("Pod", NS, victim))
    await until(lambda: victim not in numbers(bench, "s") and len(numbers(bench, "s")) == 2)
    assert sorted(numbers(bench, "s").values()) == ["0", "1"]


async def test_a_service_that_never_begins_is_given_up(bench: Doubled) -> None:
    await bench.run(service("s"))
    pod = await bench.running("s")
    crash_loop(bench, pod, 2, 9)
    found = await see(bench.engine, "s", lambda one: one.replicas[0].restarts == 2)
    assert found.replicas[0].state is not ReplicaState.EXITED
    bench.says(pod, "no luck\n", ends=True)
    crash_loop(bench, pod, 3, 9)
    end = await end_of(bench.engine, "s")
    assert (end.cause, end.exit_code, end.restarts) == (Cause.EXIT, 9, 3)
    await until(lambda: not bench.pods("s"))


async def test_a_wrong_port_is_said_and_given_up(bench: Doubled) -> None:
    await bench.run(service("s"))
    pod = await bench.running("s")
    async with bench.agent("s", pod) as agent:
        detail = {"port": 9000, "listening": [8000]}
        await agent.say(Phase.RUNNING, Doom(Cause.WRONG_PORT, detail))
        bench.says(pod, "", ends=True)
        crash_loop(bench, pod, 1, 143)
        end = await end_of(bench.engine, "s")
    assert (end.cause, end.detail["listening"]) == (Cause.WRONG_PORT, [8000])


async def test_one_that_was_given_up_stays_so_when_others_are_added(bench: Doubled) -> None:
    await bench.run(service("s", replicas=2))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", is_state(ReplicaState.READY, 1))
    numbered = numbers(bench, "s")
    (victim,) = [p for p in bench.pods("s") if numbered[p["metadata"]["name"]] == "1"]
    async with bench.agent("s", victim) as agent:
        await agent.say(Phase.RUNNING, Doom(Cause.NEVER_LISTENED, {"port": 9000}))
        bench.says(victim, "", ends=True)
        crash_loop(bench, victim, 1)
        await end_of(bench.engine, "s", 1)
    await until(lambda: len(bench.pods("s")) == 1)
    await bench.run(service("s", replicas=3))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", is_state(ReplicaState.READY, 2))
    assert sorted(numbers(bench, "s").values()) == ["0", "2"]


async def test_a_service_is_stopped_and_started_again(bench: Doubled) -> None:
    handle = await bench.run(service("s", replicas=2))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", all_ready(2))
    await bench.engine.stop(handle)
    for index in range(2):
        assert (await end_of(bench.engine, "s", index)).cause is Cause.STOPPED
    assert bench.objects("Pod") == []
    await bench.run(service("s", replicas=2))
    await all_run(bench, "s", 2)
    await see(bench.engine, "s", all_ready(2))
    assert sorted(numbers(bench, "s").values()) == ["0", "1"]


async def test_pods_that_cannot_be_made_are_said_to_wait(tmp_path: Path) -> None:
    said = 'pods "s" is forbidden: exceeded quota: team, requested: pods=1, used: pods=3, limited: pods=3'
    condition = {
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": said,
    }  # fmt: skip
    async with doubled(tmp_path, has_controllers=False) as bench:
        await bench.run(service("s"))
        name = bench.object_name("s")
        bench.server.store.set_status("Deployment", NS, name, conditions=[condition])
        found = await see(bench.engine, "s", lambda one: "waits" in one.replicas[0].detail)
        assert found.replicas[0].state is ReplicaState.STARTING
        waits = found.replicas[0].detail["waits"]
        assert waits["code"] == "cluster_quota"
        assert "team" in waits["text"]
        # Room was made.
        bench.server.store.set_status("Deployment", NS, name, conditions=[])
        async with play.playing(bench.server.store):
            await bench.running("s")
            await see(bench.engine, "s", all_ready(1))


async def test_a_server_keeps_its_home(bench: Doubled) -> None:
    handle = await bench.run(server("lab"))
    pod = await bench.running("lab")
    async with bench.agent("lab", pod) as agent:
        await agent.say(Phase.READY)
        found = await see(bench.engine, "lab", is_state(ReplicaState.READY))
        assert found.replicas[0].address == "192.0.2.20:8080"
    await bench.engine.delete(handle)
    assert bench.objects() == []
    assert len(bench.objects("PersistentVolumeClaim")) == 1


async def test_a_server_without_a_volume_says_what_the_cluster_lacks(bench: Doubled) -> None:
    await bench.run(server("lab"))
    pod = await bench.pod("lab")
    (claim,) = bench.server.store.all("PersistentVolumeClaim", NS)
    said = "no persistent volumes available for this claim and no storage class is set"
    event = play.say(bench.server.store, claim, "FailedBinding", said)
    about = {**event["involvedObject"], "kind": "PersistentVolumeClaim"}
    place = ("Event", NS, event["metadata"]["name"])
    bench.server.store.merge(place, {"involvedObject": about})
    condition = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    }  # fmt: skip
    bench.server.store.set_status("Pod", NS, pod["metadata"]["name"], conditions=[condition])
    end = await end_of(bench.engine, "lab")
    assert (end.cause, end.detail["code"]) == (Cause.START_FAILED, "no_storage_class")
    assert "storage_class" in end.detail["error"]
    await until(lambda: pod["metadata"]["name"] not in str(bench.objects("Pod")))


async def test_a_volume_that_was_asked_for_a_moment_ago_alarms_nobody(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.run(server("lab"))
    pod = await bench.pod("lab")
    condition = {
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
    }  # fmt: skip
    bench.server.store.set_status("Pod", NS, pod["metadata"]["name"], conditions=[condition])

    def told(code: str) -> Callable[[Observation], bool]:
        return lambda one: one.replicas[0].detail.get("waits", {}).get("code") == code

    found = await see(bench.engine, "lab", told("volume_making"))
    assert found.replicas[0].detail["waits"]["is_progress"]
    monkeypatch.setattr(waiting, "_MAKING_SECONDS", 0.0)
    await see(bench.engine, "lab", told("volume_unbound"))


async def test_a_check_that_fails_before_the_first_answer_is_not_told(bench: Doubled) -> None:
    await bench.run(service("s"))
    pod = await bench.pod("s")
    play.place(bench.server.store, pod)
    play.say(bench.server.store, pod, "Unhealthy", "Startup probe failed: connection refused")
    found = await see(bench.engine, "s", lambda one: "waits" in one.replicas[0].detail)
    assert "probe" not in str(found.replicas[0].detail)
    play.run(bench.server.store, pod, ready=False)
    found = await see(bench.engine, "s", lambda one: one.replicas[0].started_at is not None)
    assert found.replicas[0].detail == {}


async def test_a_server_whose_node_is_lost_is_lost(bench: Doubled) -> None:
    await bench.run(server("lab"))
    pod = await bench.running("lab")
    await see(bench.engine, "lab", is_state(ReplicaState.READY))
    bench.says(pod, "", ends=True)
    play.disrupt(bench.server.store, pod, "DeletionByTaintManager", "node gone")
    end = await end_of(bench.engine, "lab")
    assert end.cause is Cause.LOST
