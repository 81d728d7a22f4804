"""A real cluster takes a running task's pod, by an eviction and by a suspension: it runs again, and ends well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kpl_lab.engines.spec import Cause, Observation, ReplicaState
from tests.engines.harness import end_of, is_state, see, start, task, until
from tests.kubernetes.harness import KubernetesBench

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

# It ends by itself only where it is told to; asked by the cluster it ends at once, and not well.
LINE = "trap 'exit 143' TERM; echo up; until [ -e go ]; do sleep 0.1; done"
_SECONDS = 90.0


def comes_again(one: Observation) -> bool:
    """Say whether the first replica waits for another pod, or has it; fails where it was told to have ended."""
    (replica,) = one.replicas
    assert replica.state is not ReplicaState.EXITED, replica
    return replica.state is ReplicaState.STARTING or replica.restarts > 0


async def taken_and_back(
    bench: KubernetesBench, take: Callable[[str], None], bring_back: Callable[[], None]
) -> Observation:
    """Let the pod of a running task be taken; return what was told meanwhile, once it has ended well."""
    await start(bench.engine, task("t", LINE))
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING), _SECONDS)
    (first,) = (pod["metadata"]["name"] for pod in bench.pods("t"))
    take(first)
    told = await see(bench.engine, "t", comes_again, _SECONDS)
    await until(lambda: first not in [pod["metadata"]["name"] for pod in bench.pods("t")], _SECONDS)
    bring_back()
    await see(
        bench.engine,
        "t",
        lambda one: comes_again(one) and one.replicas[0].state is ReplicaState.RUNNING,
        _SECONDS,
    )
    bench.touch("t", "go")
    end = await end_of(bench.engine, "t")
    assert (end.cause, end.exit_code, end.restarts) == (Cause.EXIT, 0, 1)
    return told


async def test_a_task_that_is_drained_from_its_node_runs_again(
    bench: KubernetesBench, tmp_path: Path
) -> None:
    def evict(pod: str) -> None:
        place = {"name": pod, "namespace": bench.kubectl.namespace}
        wish = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": place}
        (tmp_path / "eviction.json").write_text(json.dumps(wish))
        path = f"/api/v1/namespaces/{place['namespace']}/pods/{pod}/eviction"
        bench.kubectl("create", "--raw", path, "-f", str(tmp_path / "eviction.json"))

    told = await taken_and_back(bench, evict, lambda: None)
    assert "emptying the node" in told.replicas[0].detail.get("waits", {}).get("text", "")


async def test_a_task_that_is_suspended_runs_again_once_it_is_resumed(
    bench: KubernetesBench,
) -> None:
    """As Kueue does it, which is not needed for that."""

    def suspend(*, is_so: bool) -> None:
        (job,) = bench.kubectl.objects("jobs", bench.selector("t"))
        patch = json.dumps({"spec": {"suspend": is_so}})
        bench.kubectl("patch", "job", job["metadata"]["name"], "--type", "merge", "-p", patch)

    told = await taken_and_back(bench, lambda _: suspend(is_so=True), lambda: suspend(is_so=False))
    assert "waits in the cluster's queue" in told.replicas[0].detail["waits"]["text"]
