"""Why a pod does not run yet: looked at now and then, from the pod, its events and the nodes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.objects.workloads import QUEUE_API, QUEUE_LABEL
from kpl_lab.engines.kubernetes.saying import NOTHING, Saying
from kpl_lab.engines.kubernetes.telling import being_made, tell, tell_claim, tell_owner

_UNBOUND, _QUEUED = "volume_unbound", "queued"
_CLAIM = "PersistentVolumeClaim"
# A pod that has waited for long is looked at more and more seldom: thousands may wait for hours.
_LOOK_SECONDS, _SELDOM_SECONDS = 2.0, 60.0
_SHARE_OF_AGE = 0.25
_MAKING_SECONDS = 15.0
_FORGET_SECONDS = 2 * _SELDOM_SECONDS


class Waiting:
    """Looks at pods that do not run yet, and at objects that have none.

    Parameters
    ----------
    claim
        Name of the claim that the pods wait for where they have no place; empty: they have none.
    """

    def __init__(self, cluster: Cluster, claim: str = "") -> None:
        self._cluster = cluster
        self._claim = claim
        self._next: dict[str, float] = {}
        self._since: dict[str, float] = {}
        self._last: dict[str, Saying] = {}

    async def look(self, pod: Mapping[str, Any]) -> Saying:
        """Return what a pod waits for; the cluster is asked every two seconds at most, then each minute."""
        metadata = pod["metadata"]
        if self._is_due(metadata["uid"]):
            events = await self._cluster.events_of(metadata["name"], uid=metadata["uid"])
            is_placed = bool((pod.get("spec") or {}).get("nodeName"))
            nodes = None if is_placed else await self._cluster.nodes()
            told = tell(pod, events, nodes)
            if self._claim and told.code == _UNBOUND:
                about = await self._look_at_claim()
                # Why there is no volume says more than that a pod waits for it.
                told = about if about.code else self._patiently(metadata["uid"], told)
            self._last[metadata["uid"]] = told
        return self._last.get(metadata["uid"], NOTHING)

    def _patiently(self, uid: str, told: Saying) -> Saying:
        """Say of a claim that was made a moment ago what mostly holds: its volume comes."""
        is_young = time.monotonic() - self._since[uid] < _MAKING_SECONDS
        return being_made(self._claim) if is_young else told

    async def _look_at_claim(self) -> Saying:
        # Its events alone: an account that may not read claims reads those.
        events = await self._cluster.events_of(self._claim, kind=_CLAIM)
        return tell_claim({"metadata": {"name": self._claim}}, events)

    async def look_at_owner(self, found: Mapping[str, Any]) -> Saying:
        """Return why a Job or Deployment has no pods."""
        metadata = found["metadata"]
        if self._is_due(metadata["uid"]):
            events = await self._cluster.events_of(metadata["name"], kind=str(found["kind"]))
            told = tell_owner(found, events)
            queue = (metadata.get("labels") or {}).get(QUEUE_LABEL)
            if told.code == _QUEUED and queue and not await self._cluster.serves_api(QUEUE_API):
                told = _nobody_leads(queue)
            self._last[metadata["uid"]] = told
        return self._last.get(metadata["uid"], NOTHING)

    def _is_due(self, uid: str) -> bool:
        now = time.monotonic()
        if now < self._next.get(uid, 0.0):
            return False
        # Pods come and go for as long as a service runs.
        self._next = {one: at for one, at in self._next.items() if now - at < _FORGET_SECONDS}
        self._last = {one: said for one, said in self._last.items() if one in self._next}
        self._since = {one: at for one, at in self._since.items() if one in self._next}
        age = now - self._since.setdefault(uid, now)
        self._next[uid] = now + min(max(_LOOK_SECONDS, age * _SHARE_OF_AGE), _SELDOM_SECONDS)
        return True


def _nobody_leads(queue: str) -> Saying:
    return Saying(
        code="queue_missing",
        text=f"It waits in the queue {queue}, and the cluster has no Kueue that would let it start; ask an "
        "administrator to install Kueue, or to take the queue out of the options.",
        detail={"queue": queue},
    )
