"""Objects of a workload: made in the cluster, and removed from it."""

from __future__ import annotations

import logging

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.objects import Manifest, objects, parts
from kpl_lab.engines.kubernetes.plan import Plan
from kpl_lab.engines.kubernetes.pods import OBJECT_OF
from kpl_lab.engines.kubernetes.words import Missing, Refused
from kpl_lab.engines.spec import Kind, Workload
from kpl_lab.errors import EngineError

log = logging.getLogger(__name__)

_INVALID = 422  # what cannot be changed, was to be
_FORBIDDEN = 403  # a storage class whose volumes cannot grow
_CLAIM = "PersistentVolumeClaim"
OWNED = ("Secret", "Service", "NetworkPolicy")
# A pod that has nothing to lose any more still gets a moment to close what it has open.
_GRACE_SECONDS = 1


async def have_objects(cluster: Cluster, plan: Plan, replicas: int | None = None) -> None:
    """Make the objects of a workload, or bring a service that is there to its replicas.

    What belongs to the workload is made before it, because its pods need it at once, and given to it
    afterwards, so that it goes with it. Repeatable: what an earlier try has made stays as it is.

    Parameters
    ----------
    replicas
        How many pods a service is to have now; None: as many as it has replicas.

    Raises
    ------
    EngineError
        The cluster refuses one, or still removes what had the name before.
    """
    *before, workload = objects(plan)
    kind, name = workload["kind"], workload["metadata"]["name"]
    made = await cluster.get(kind, name)
    if made is not None and made["metadata"].get("deletionTimestamp"):
        raise EngineError(
            f"The cluster still removes what was {plan.workload.name} before; try again in a moment.",
            code="deleting",
        )
    if made is None:
        for one in before:
            await _apply_afresh(cluster, one)
        made = await cluster.apply(workload)
    elif kind == OBJECT_OF[Kind.SERVICE]:
        wanted = plan.workload.replicas if replicas is None else replicas
        await cluster.patch(kind, name, {"spec": {"replicas": wanted}})
    owner = {"metadata": {"ownerReferences": [parts.owner_reference(made)]}}
    for one in before:
        if one["kind"] in OWNED:
            await cluster.patch(one["kind"], one["metadata"]["name"], owner)


async def _apply_afresh(cluster: Cluster, one: Manifest) -> None:
    """Apply what belongs to a workload that is not there yet; what an older one has left gives way."""
    try:
        await cluster.apply(one)
    except Refused as error:
        if one["kind"] == _CLAIM and await _stays(cluster, one, error):
            return
        if one["kind"] not in OWNED or error.detail.get("status") != _INVALID:
            raise
        await cluster.delete(one["kind"], one["metadata"]["name"])
        await cluster.apply(one)


async def _stays(cluster: Cluster, claim: Manifest, refused: Refused) -> bool:
    """Tell whether a claim is there that cannot become as it is wanted: then it serves as it is.

    Volumes grow where their storage class lets them; they never shrink, and keep their class.
    """
    if refused.detail.get("status") not in (_INVALID, _FORBIDDEN):
        return False
    name = str(claim["metadata"]["name"])
    try:
        await cluster.patch(_CLAIM, name, {})
    except (Missing, Refused):
        return False
    log.warning("the claim %s stays as it is: %s", name, refused.message)
    return True


async def remove_objects(cluster: Cluster, installation: str, workload: Workload) -> None:
    """Remove everything of a workload but its home, running or not; repeatable."""
    name = names.object_name(installation, workload.name)
    labels = names.workload_selector(installation, workload.name)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    await cluster.delete(OBJECT_OF[workload.kind], name)
    if workload.kind is not Kind.SERVER:
        # The cluster would give each the whole time that outputs may take.
        await cluster.delete_all("Pod", selector, grace_seconds=_GRACE_SECONDS)
    else:
        await cluster.delete("Pod", name, grace_seconds=_GRACE_SECONDS)
    for kind in OWNED:
        for one in (await cluster.list(kind, selector))[0]:
            await cluster.delete(kind, one["metadata"]["name"])
