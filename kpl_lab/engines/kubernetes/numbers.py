"""Which pod of a workload is which replica."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.names import REPLICA
from kpl_lab.engines.kubernetes.pods import Json, Pods, index_of, is_leaving
from kpl_lab.engines.kubernetes.words import Missing
from kpl_lab.engines.spec import Kind, Workload

# A Deployment that is made smaller removes those that cost least: the highest numbers.
_COST = "controller.kubernetes.io/pod-deletion-cost"
_ENDED = ("Succeeded", "Failed")


async def numbered(
    cluster: Cluster, pods: Pods, workload: Workload, over: Collection[int] = ()
) -> dict[int, Json]:
    """Return the present pod of each replica that has one; gives pods of a service their numbers.

    Parameters
    ----------
    over
        Numbers that are given to nobody any more.
    """
    found = pods.of(workload.name)
    if workload.kind is Kind.SERVICE:
        for pod, index in _unnumbered(found, workload.replicas, over):
            try:
                pods.put("Pod", await _number(cluster, pod, index), str(pod["metadata"]["name"]))
            except Missing:
                continue
        found = pods.of(workload.name)
    present: dict[int, Json] = {}
    # The newest comes last; one that is leaving counts where there is no other.
    for pod in sorted(found, key=lambda pod: not is_leaving(pod)):
        number = index_of(pod, workload.kind)
        if number is not None:
            present[number] = pod
    return present


def _unnumbered(
    pods: Iterable[Json], replicas: int, over: Collection[int]
) -> list[tuple[Json, int]]:
    """Return the pods that need a number, each with the lowest that is free."""
    staying = [pod for pod in pods if not is_leaving(pod) and _phase(pod) not in _ENDED]
    taken = {index for pod in staying if (index := index_of(pod, Kind.SERVICE)) is not None}
    numbers = range(replicas + len(staying) + len(over))
    free = iter([index for index in numbers if index not in taken and index not in over])
    found = []
    for pod in staying:
        index = index_of(pod, Kind.SERVICE)
        is_misplaced = index is not None and index >= replicas and len(staying) <= replicas
        if index is None or is_misplaced:
            found.append((pod, next(free)))
    return found


async def _number(cluster: Cluster, pod: Json, index: int) -> Json:
    metadata = {"labels": {REPLICA: str(index)}, "annotations": {_COST: str(-index)}}
    return await cluster.patch("Pod", str(pod["metadata"]["name"]), {"metadata": metadata})


def _phase(pod: Json) -> str:
    return str((pod.get("status") or {}).get("phase") or "")
