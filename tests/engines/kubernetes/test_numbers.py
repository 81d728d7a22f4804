"""Which pod is which replica, and what is kept of pods by workload."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.numbers import numbered
from kpl_lab.engines.kubernetes.pods import Pods, index_of, is_leaving
from kpl_lab.engines.spec import Kind, Workload
from tests.doubles.kubernetes import Server
from tests.engines.harness import task
from tests.engines.kubernetes.benches import service
from tests.engines.kubernetes.clusters import NS
from tests.engines.kubernetes.clusters import cluster as cluster
from tests.engines.kubernetes.clusters import naps as naps
from tests.engines.kubernetes.clusters import server as server

Json = dict[str, Any]
COST = "controller.kubernetes.io/pod-deletion-cost"


def pod(name: str, number: int | None = None, *, of: str = "s", leaving: bool = False, phase: str = "Running") -> Json:  # fmt: skip
    labels = {names.WORKLOAD: of}
    if number is not None:
        labels[names.REPLICA] = str(number)
    metadata: Json = {"name": name, "namespace": NS, "labels": labels}
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"phase": phase},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    }  # fmt: skip


def seen(server: Server, *pods: Json) -> Pods:
    found = Pods("one", lambda _: None)
    for one in pods:
        server.store.create(one)
        found.put("Pod", one, one["metadata"]["name"])
    return found


async def numbers(
    cluster: Cluster, pods: Pods, workload: Workload, over: Collection[int] = ()
) -> dict[int, str]:
    found = await numbered(cluster, pods, workload, over)
    return {index: str(one["metadata"]["name"]) for index, one in found.items()}


async def test_each_pod_of_a_service_gets_the_lowest_number_that_is_free(
    server: Server, cluster: Cluster
) -> None:
    pods = seen(server, pod("a", 1), pod("b"), pod("c"))
    assert await numbers(cluster, pods, service("s", replicas=3)) == {1: "a", 0: "b", 2: "c"}
    found = server.store.get("Pod", NS, "c")["metadata"]
    assert (found["labels"][names.REPLICA], found["annotations"][COST]) == ("2", "-2")


async def test_what_goes_or_has_ended_keeps_no_number_from_others(
    server: Server, cluster: Cluster
) -> None:
    old = [pod("a", 0, leaving=True), pod("b", 1, phase="Failed")]
    pods = seen(server, *old, pod("c"), pod("d"))
    assert await numbers(cluster, pods, service("s", replicas=2)) == {0: "c", 1: "d"}


async def test_one_that_goes_counts_where_there_is_no_other(
    server: Server, cluster: Cluster
) -> None:
    pods = seen(server, pod("a", 0, leaving=True))
    assert await numbers(cluster, pods, service("s", replicas=1)) == {0: "a"}


async def test_a_high_number_moves_down_where_it_is_alone(server: Server, cluster: Cluster) -> None:
    pods = seen(server, pod("a", 2))
    assert await numbers(cluster, pods, service("s", replicas=1)) == {0: "a"}


async def test_high_numbers_stay_until_the_cluster_has_chosen(
    server: Server, cluster: Cluster
) -> None:
    pods = seen(server, pod("a", 0), pod("b", 1))
    assert await numbers(cluster, pods, service("s", replicas=1)) == {0: "a", 1: "b"}


async def test_a_number_that_was_given_up_is_nobodys(server: Server, cluster: Cluster) -> None:
    pods = seen(server, pod("a", 0), pod("b"))
    assert await numbers(cluster, pods, service("s", replicas=3), {1}) == {0: "a", 2: "b"}


async def test_a_pod_that_goes_while_it_is_numbered_is_left_out(
    server: Server, cluster: Cluster
) -> None:
    pods = seen(server, pod("a"), pod("b"))
    server.store.remove("Pod", NS, "a")
    assert await numbers(cluster, pods, service("s", replicas=2)) == {1: "b"}


@pytest.mark.parametrize(
    ("labels", "kind", "index"),
    [
        ({}, Kind.SERVER, 0),
        ({}, Kind.TASK, 0),
        ({names.COMPLETION_INDEX: "3"}, Kind.TASK, 3),
        ({}, Kind.SERVICE, None),
        ({names.REPLICA: "2"}, Kind.SERVICE, 2),
        ({names.REPLICA: "two"}, Kind.SERVICE, None),
        ({names.REPLICA: "-1"}, Kind.SERVICE, None),
    ],
)
def test_the_number_of_a_pod(labels: dict[str, str], kind: Kind, index: int | None) -> None:
    assert index_of({"metadata": {"labels": labels}}, kind) == index


def test_pods_are_known_by_their_workload_until_they_have_gone() -> None:
    changed: list[str] = []
    pods = Pods("one", changed.append)
    pods.put("Pod", pod("a"), "a")
    pods.put("Pod", pod("b", of="t"), "b")
    assert [one["metadata"]["name"] for one in pods.of("s")] == ["a"]
    pods.put("Pod", None, "a")
    assert pods.of("s") == []
    assert changed == ["s", "t", "s"]
    pods.put("Pod", None, "a")
    assert changed == ["s", "t", "s"]


def test_objects_without_our_labels_wake_nobody() -> None:
    changed: list[str] = []
    pods = Pods("one", changed.append)
    pods.put("Job", {"metadata": {"name": "x"}, "kind": "Job"}, "x")
    assert (changed, len(pods.all())) == ([], 1)


def test_a_workload_is_found_by_a_name_that_no_label_holds() -> None:
    name = "t" * 64
    pods = Pods("one", lambda _: None)
    pods.put("Pod", pod("a", of=names.label_value(name)), "a")
    assert len(pods.of(name)) == 1
    job = {"metadata": {"name": names.object_name("one", name)}, "kind": "Job"}
    pods.put("Job", job, names.object_name("one", name))
    assert pods.object_of(name, task(name, "x").kind) == job


def test_a_pod_leaves_once_it_is_deleted() -> None:
    assert is_leaving(pod("a", leaving=True))
    assert not is_leaving(pod("a"))
