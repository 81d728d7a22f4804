"""What a cluster has: quantities of the API, and the sum over its nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import EngineError

_MIB = 1 << 20
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


async def capacity(cluster: Cluster, gpu_resource: str) -> Capacity:
    """Return what the nodes have that take pods; the namespace's quota where they may not be seen.

    Raises
    ------
    EngineError
        Neither may be seen.
    """
    nodes = await cluster.nodes()
    if nodes is not None:
        return _sum([one["status"].get("allocatable") or {} for one in nodes if _takes_pods(one)],
                    gpu_resource)  # fmt: skip
    quotas, _ = await cluster.list("ResourceQuota")
    hard = [one["spec"].get("hard") or {} for one in quotas]
    for found in hard:
        if "limits.memory" in found or "requests.memory" in found:
            plain = {key.partition(".")[2]: value for key, value in found.items() if "." in key}
            return _sum([plain], gpu_resource)
    raise EngineError(
        "The platform's account may not see the nodes of the cluster, and the namespace has no quota "
        "that says what there is: let it list nodes, or make a ResourceQuota.",
        code="no_capacity",
    )


def _sum(found: list[Mapping[str, Any]], gpu_resource: str) -> Capacity:
    def total(name: str) -> float:
        return sum(quantity(one.get(name, 0)) for one in found)

    return Capacity(
        cpu=total("cpu"), memory_mb=int(total("memory")) // _MIB, gpu=int(total(gpu_resource))
    )


def _takes_pods(node: Mapping[str, Any]) -> bool:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions") or ()}
    return conditions.get("Ready") == "True" and not (node.get("spec") or {}).get("unschedulable")
