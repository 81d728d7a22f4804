"""What a cluster has: quantities of the API, and the sum over its nodes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import EngineError

NO_CAPACITY = "no_capacity"
_MIB = 1 << 20
_KEEPS_AWAY = ("NoSchedule", "NoExecute")
_OF_THE_CLUSTER = "node.kubernetes.io/"
_SCOPES = {"scopes", "scopeSelector"}
# From a node to the name of the GPUs that pods have there; empty: they do not go to it.
Way = Callable[[Mapping[str, Any]], str]
_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?")
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_FACTORS = {"n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
            "P": 1e15, "E": 1e18, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50,
            "Ei": 2**60}  # fmt: skip


def quantity(text: str | float) -> float:
    """Return a quantity of the API (``500m``, ``2Gi``, ``1e3``) as a number.

    Raises
    ------
    ValueError
        It is none.
    """
    found = _QUANTITY.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, exponent, suffix = found.groups()
    factor: float = _FACTORS.get(suffix or "", 1.0)
    return float(number) * 10.0 ** int(exponent or 0) * factor


async def capacity(
    cluster: Cluster, shape: Shape, pools: Mapping[str, Shape] = MappingProxyType({})
) -> Capacity:
    """Return what the nodes have that take pods; the namespace's quota where they may not be seen.

    Parameters
    ----------
    shape
        How pods of no pool are: which nodes they go to.
    pools
        The same for each resource pool.

    Raises
    ------
    EngineError
        Neither may be seen.
    """
    nodes = await cluster.nodes()
    if nodes is not None:
        ready = [one for one in nodes if _takes_pods(one)]
        of_pools = {name: _in_all(ready, [partial(_goes_to, one)]) for name, one in pools.items()}
        ways = [partial(_is_for, shape), *(partial(_goes_to, one) for one in pools.values())]
        return replace(_in_all(ready, ways), pools=of_pools)
    quotas, _ = await cluster.list("ResourceQuota")
    # Those with a scope are of some pods, as of a pool: not all that there is.
    plain = [one["spec"] for one in quotas if not _SCOPES & one["spec"].keys()]
    hard = [one.get("hard") or {} for one in plain]
    for found in hard:
        if "limits.memory" in found or "requests.memory" in found:
            there = {key.partition(".")[2]: value for key, value in found.items() if "." in key}
            kinds = {one.gpu_resource for one in (shape, *pools.values())}
            return _sum([(there, kinds)])
    raise EngineError(
        "The platform's account may not see the nodes of the cluster, and the namespace of workloads has "
        "no quota that says what there is: let the account list nodes (`rbac.nodes` of the chart), or make "
        "a ResourceQuota with `limits.memory` and `limits.cpu` there.",
        code=NO_CAPACITY,
    )


def _in_all(nodes: Sequence[Mapping[str, Any]], ways: Sequence[Way]) -> Capacity:
    """Return what those nodes have that pods go to in at least one of the ways."""
    found = []
    for node in nodes:
        gpus = {gpu for way in ways if (gpu := way(node))}
        if gpus:
            found.append((node["status"].get("allocatable") or {}, gpus))
    return _sum(found)


def _sum(found: Iterable[tuple[Mapping[str, Any], Iterable[str]]]) -> Capacity:
    """Return the sum of what nodes have, of each with the resources that count as GPUs."""
    cpu, memory, gpu = 0.0, 0.0, 0.0
    for there, gpus in found:
        cpu += quantity(there.get("cpu", 0))
        memory += quantity(there.get("memory", 0))
        gpu += sum(quantity(there.get(one, 0)) for one in gpus)
    return Capacity(cpu=cpu, memory_mb=int(memory) // _MIB, gpu=int(gpu))


def _is_for(shape: Shape, node: Mapping[str, Any]) -> str:
    """Return what a GPU is called on a node that has the labels which pods ask for; else nothing.

    Clusters may have pods tolerate taints by themselves, so taints are for pools alone to tell.
    """
    labels = node["metadata"].get("labels") or {}
    is_for = all(labels.get(key) == value for key, value in shape.node_selector.items())
    return shape.gpu_resource if is_for else ""


def _goes_to(shape: Shape, node: Mapping[str, Any]) -> str:
    """Return what a GPU is called on a node that pods go to, by its labels and taints; else nothing."""
    taints = (node.get("spec") or {}).get("taints") or ()
    may_go = all(
        any(_tolerates(one, taint) for one in shape.tolerations)
        for taint in taints
        if taint.get("effect") in _KEEPS_AWAY
        # Of a node that is lost or full for a while; it is back by itself.
        and not taint["key"].startswith(_OF_THE_CLUSTER)
        # Clusters have pods that ask for the accelerator tolerate its taint.
        and taint["key"] != shape.gpu_resource
    )
    return _is_for(shape, node) if may_go else ""


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    """Tell whether a toleration matches a taint.

    https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    """
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    same = (taint["key"], taint.get("value") or "")
    return (toleration.get("key"), toleration.get("value") or "") == same


def _takes_pods(node: Mapping[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions") or ()}
    return conditions.get("Ready") == "True" and not (node.get("spec") or {}).get("unschedulable")
