"""What ``kpl-lab up`` and ``down`` do in a cluster: see that it can be used, and leave nothing in it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.engines.kubernetes.namespace import ensure_namespace
from kpl_lab.engines.kubernetes.objects.routes import KIND_OF
from kpl_lab.engines.kubernetes.options import KubernetesOptions, load_options
from kpl_lab.engines.kubernetes.words import Refused
from kpl_lab.errors import EngineError, KplError
from kpl_lab.settings import Settings

Say = Callable[[str], None]
Right = tuple[str, str, str]
T = TypeVar("T")
# What running needs: verb, kind, and the part of it. No more: tests compare it with what the runner asks
# for. What is left is cleared away with other rights, LEAVING.
_MADE = ("create", "patch", "delete")
_RIGHTS = {
    ("Pod", ""): ("get", "list", "watch", *_MADE, "deletecollection"),
    ("Pod", "log"): ("get",),
    ("Job", ""): ("get", "list", "watch", *_MADE),
    ("Deployment", ""): ("get", "list", "watch", *_MADE),
    ("Secret", ""): ("list", *_MADE),
    ("Service", ""): ("list", *_MADE),
    ("NetworkPolicy", ""): ("list", *_MADE),
    ("PersistentVolumeClaim", ""): ("create", "patch"),
    ("Event", ""): ("list",),
    ("ResourceQuota", ""): ("list",),
}
NEEDED = tuple((verb, kind, part) for (kind, part), verbs in _RIGHTS.items() for verb in verbs)
# More of it for routes of services, by what the options call them.
NEEDED_BY_ROUTES = {
    routes: (*((verb, kind, "") for verb in ("list", *_MADE)), ("list", "EndpointSlice", ""))
    for routes, kind in KIND_OF.items()
}
# What is used where it may be: numbers in what is said, and how many GPUs there are; with routes by a
# gateway, whether that is there; what is left of routes, which lead calls on after they were switched off.
USEFUL = (
    ("list", "PodMetrics", ""),
    ("list", "Node", ""),
    *((verb, kind, "") for kind in KIND_OF.values() for verb in ("list", "delete")),
)
USEFUL_BY_ROUTES = {"gateway": (("get", "Gateway", ""),)}
# In this order: what makes pods before the pods. Claims stay: homes are kept as they are elsewhere.
_CLEARED = ("Deployment", "Job", "Pod", "Secret")
_CLEARED_SINGLY = ("Service", "NetworkPolicy")
LEAVING = (
    *(("deletecollection", kind, "") for kind in _CLEARED),
    *((verb, kind, "") for kind in _CLEARED_SINGLY for verb in ("list", "delete")),
)
# Besides, in the platform's own namespace: it ends first, or it would start some of them again.
ENDING = (("get", "StatefulSet", ""), ("patch", "StatefulSet", ""))
_GRACE_SECONDS = 1
_END_SECONDS, _LOOK_SECONDS = 120, 0.5


def ensure_cluster(settings: Settings, say: Say) -> None:
    """See that there is a cluster, that we may do in it what we have to, and have a namespace.

    Raises
    ------
    KplError
        There is none, it does not answer, or a permission is missing, which is named.
    """

    async def work(cluster: Cluster, options: KubernetesOptions) -> None:
        version = await cluster.version()
        await ensure_namespace(cluster, options.pod_security)
        say(
            f"Kubernetes {version.get('gitVersion', '')} at {cluster.host}, namespace "
            f"{cluster.namespace}; pods run {options.base_image} ({options.pull_policy})"
        )
        needed = (*NEEDED, *NEEDED_BY_ROUTES.get(options.routes, ()))
        await _require(cluster, needed, "what workloads need")

    _run(settings, work)


def clear_cluster(settings: Settings, say: Say) -> None:
    """Remove what is left of the installation in the cluster, by its label; homes stay."""
    try:
        _run(settings, lambda cluster, _options: _clear(cluster, settings.instance))
    except KplError as error:
        say(f"the cluster could not be cleared ({error.message}); `kubectl delete` with the label "
            f"{names.selector(settings.instance)} does it")  # fmt: skip


def leave_cluster(settings: Settings, namespace: str, stateful_set: str, say: Say) -> None:
    """End the platform's own pod, then remove its workloads: it would start some of them again.

    Parameters
    ----------
    namespace, stateful_set
        Of the platform's pod.

    Raises
    ------
    KplError
        The cluster refuses something, or the pod does not end.
    """

    async def work(cluster: Cluster, options: KubernetesOptions) -> None:
        own = await Cluster.open(namespace, context=options.context)
        try:
            if await own.get("StatefulSet", stateful_set) is not None:
                say(f"ending the platform, {namespace}/{stateful_set}")
                await own.patch("StatefulSet", stateful_set, {"spec": {"replicas": 0}})
                await _ended(own, stateful_set)
        finally:
            await own.close()
        say(f"removing the workloads in {cluster.namespace}")
        await _clear(cluster, settings.instance)

    _run(settings, work)


async def _ended(cluster: Cluster, name: str) -> None:
    try:
        async with asyncio.timeout(_END_SECONDS):
            while (found := await cluster.get("StatefulSet", name)) is not None:
                if not found["status"].get("replicas"):
                    return
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise EngineError(
            f"The pod of {name} has not ended within {_END_SECONDS} seconds; `kubectl describe pod` "
            "says why. Try again, or uninstall without hooks and remove the workloads by their label.",
            code="pod_stays",
        ) from error


async def _require(cluster: Cluster, rights: Sequence[Right], doing: str) -> None:
    allowed = await asyncio.gather(*(cluster.can(*right) for right in rights))
    missing = [right for right, may in zip(rights, allowed, strict=True) if not may]
    if missing:
        listed = ", ".join(_right(*one) for one in missing)
        raise EngineError(
            f"The account that we show to the cluster may not do {doing} in the namespace "
            f"{cluster.namespace}: {listed}. Ask an administrator of the cluster for these rights.",
            code="cluster_forbidden",
            detail={"missing": [list(one) for one in missing]},
        )


async def _clear(cluster: Cluster, installation: str) -> None:
    try:
        await _remove(cluster, names.selector(installation))
    except Refused:
        # The first that was refused says nothing of those after it.
        await _require(cluster, LEAVING, "what removing workloads needs")
        raise


async def _remove(cluster: Cluster, mine: str) -> None:
    for kind in _CLEARED:
        grace = _GRACE_SECONDS if kind == "Pod" else None
        await cluster.delete_all(kind, mine, grace_seconds=grace)
    for kind in _CLEARED_SINGLY:
        for one in (await cluster.list(kind, mine))[0]:
            await cluster.delete(kind, one["metadata"]["name"])


def _right(verb: str, kind: str, part: str) -> str:
    """Return a right as rules of RBAC name it: ``watch jobs.batch``, ``get pods/log``."""
    found = KINDS[kind]
    group = f".{found.group}" if found.group else ""
    return f"{verb} {found.plural}{group}{'/' + part if part else ''}"


def _run(settings: Settings, work: Callable[[Cluster, KubernetesOptions], Awaitable[T]]) -> T:
    async def inside() -> T:
        options = load_options(settings.home, settings.cluster)
        environ = {**os.environ, **settings.cluster.variables()}
        cluster = await Cluster.open(options.namespace, context=options.context, environ=environ)
        try:
            return await work(cluster, options)
        finally:
            await cluster.close()

    return asyncio.run(inside())
