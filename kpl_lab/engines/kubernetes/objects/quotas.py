"""The limits of resource pools as objects of a cluster, for what else runs there; pure functions.

The platform admits by its own books. Its administrators apply these beside it, so that the cluster keeps
the same limits, and shows them to whoever looks there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.meta import Manifest
from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.schemas.pools import Pool

# https://kueue.sigs.k8s.io/docs/reference/kueue.v1beta1/
_KUEUE = "kueue.x-k8s.io/v1beta1"
# What agents and relays reserve beside commands: at most 64 MiB a pod, so enough for pods of 256 MiB.
_BESIDE = 1.25


def resource_quotas(
    installation: str, namespace: str, pools: Iterable[Pool], shapes: Mapping[str, Shape]
) -> list[Manifest]:
    """Return a ResourceQuota of each pool that has limits and a PriorityClass by which it is known.

    https://kubernetes.io/docs/concepts/policy/resource-quotas/#resource-quota-per-priorityclass
    """
    found = []
    for pool in pools:
        shape = shapes[pool.name]
        hard = {f"requests.{name}": amount for name, amount in _amounts(pool, shape).items()}
        if hard and shape.priority_class:
            known = {
                "operator": "In",
                "scopeName": "PriorityClass",
                "values": [shape.priority_class],
            }
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "ResourceQuota",
                    "metadata": _metadata(installation, pool) | {"namespace": namespace},
                    "spec": {"hard": hard, "scopeSelector": {"matchExpressions": [known]}},
                }
            )
    return found


def kueue_queues(
    installation: str, namespace: str, pools: Iterable[Pool], shapes: Mapping[str, Shape]
) -> list[Manifest]:
    """Return flavor, cluster queue and local queue of each pool that has limits and names a queue."""
    found: list[Manifest] = []
    for pool in pools:
        shape = shapes[pool.name]
        amounts = _amounts(pool, shape)
        if not amounts or not shape.queue:
            continue
        metadata = _metadata(installation, pool)
        found += [
            _kueue("ResourceFlavor", metadata, _flavor(shape)),
            _kueue("ClusterQueue", metadata, _cluster_queue(metadata["name"], namespace, amounts)),
            _kueue(
                "LocalQueue",
                metadata | {"name": shape.queue, "namespace": namespace},
                {"clusterQueue": metadata["name"]},
            ),
        ]
    return found


def _kueue(kind: str, metadata: Manifest, spec: Manifest) -> Manifest:
    return {"apiVersion": _KUEUE, "kind": kind, "metadata": metadata, "spec": spec}


def _metadata(installation: str, pool: Pool) -> Manifest:
    return {
        "name": f"kpl-{installation}-pool-{pool.name}",
        "labels": {**names.MANAGED_BY, names.INSTALLATION: installation},
    }


def _amounts(pool: Pool, shape: Shape) -> dict[str, str]:
    """Return a pool's limits as requests of pods; kinds without a limit are left out."""
    limits, found = pool.limits, {}
    if limits.cpu is not None:
        found["cpu"] = f"{math.ceil(limits.cpu * 1000)}m"
    if limits.memory is not None:
        found["memory"] = f"{math.ceil(limits.memory * _BESIDE)}Mi"
    if limits.gpu is not None:
        found[shape.gpu_resource] = str(limits.gpu)
    return found


def _flavor(shape: Shape) -> Manifest:
    spec: Manifest = {}
    if shape.node_selector:
        spec["nodeLabels"] = dict(shape.node_selector)
    if shape.tolerations:
        spec["tolerations"] = [dict(one) for one in shape.tolerations]
    return spec


def _cluster_queue(flavor: str, namespace: str, amounts: Mapping[str, str]) -> Manifest:
    quotas = [{"name": name, "nominalQuota": amount} for name, amount in amounts.items()]
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceGroups": [
            {
                "coveredResources": list(amounts),
                "flavors": [{"name": flavor, "resources": quotas}],
            }
        ],
    }
