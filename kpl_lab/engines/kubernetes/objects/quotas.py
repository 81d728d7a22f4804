"""The limits of resource pools as objects of a cluster, for what else runs there; pure functions.

The platform admits by its own books. Its administrators apply these beside it, so that the cluster keeps
the same limits, and shows them to whoever looks there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.meta import Manifest
from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.errors import Invalid
from kpl_lab.schemas.pools import Pool

# https://kueue.sigs.k8s.io/docs/reference/kueue.v1beta1/
_KUEUE = "kueue.x-k8s.io/v1beta1"
# What agents and relays reserve beside commands: at most 64 MiB a pod, so enough for pods of 256 MiB.
_BESIDE = 1.25
_ENDLESS = "1000000"


def resource_quotas(
    installation: str, namespace: str, pools: Sequence[Pool], shapes: Mapping[str, Shape]
) -> list[Manifest]:
    """Return a ResourceQuota of each pool that has limits and a PriorityClass by which it is known.

    https://kubernetes.io/docs/concepts/policy/resource-quotas/#resource-quota-per-priorityclass
    """
    found = []
    # Of its own: a class of the engine's options is that of other pools too.
    for pool in _known_by([one.kubernetes.priority_class for one in pools], pools):
        amounts = _amounts(pool, shapes[pool.name])
        hard = {f"requests.{name}": amount for name, amount in amounts.items()}
        if hard:
            known = {
                "operator": "In",
                "scopeName": "PriorityClass",
                "values": [pool.kubernetes.priority_class],
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
    installation: str, namespace: str, pools: Sequence[Pool], shapes: Mapping[str, Shape]
) -> list[Manifest]:
    """Return flavor, cluster queue and local queue of each pool that has limits and names a queue."""
    found: list[Manifest] = []
    for pool in _known_by([one.kubernetes.queue for one in pools], pools):
        shape = shapes[pool.name]
        limited = _amounts(pool, shape)
        if not limited:
            continue
        # A queue admits nothing that asks for a resource which it does not cover.
        amounts = {"cpu": _ENDLESS, "memory": _ENDLESS + "Gi"} | limited
        metadata = _metadata(installation, pool)
        found += [
            _kueue("ResourceFlavor", metadata, _flavor(shape)),
            _kueue("ClusterQueue", metadata, _cluster_queue(metadata["name"], namespace, amounts)),
            _kueue(
                "LocalQueue",
                metadata | {"name": pool.kubernetes.queue, "namespace": namespace},
                {"clusterQueue": metadata["name"]},
            ),
        ]
    return found


def _known_by(words: Sequence[str | None], pools: Sequence[Pool]) -> list[Pool]:
    """Return the pools that have a word of their own by which a cluster knows what is theirs.

    Raises
    ------
    Invalid
        Two have the same.
    """
    for word, count in Counter(word for word in words if word).items():
        if count > 1:
            raise Invalid(
                f"{count} pools have {word!r}; a cluster could not tell them apart.",
                code="same_for_pools",
            )
    return [pool for word, pool in zip(words, pools, strict=True) if word]


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
        # Pods reserve a part of their cores, and so does this.
        reserved = limits.cpu * 10 * shape.cpu_request_share
        found["cpu"] = f"{math.ceil(reserved * _BESIDE)}m"
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
