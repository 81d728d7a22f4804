"""Small readings of pods, Jobs and clocks that a life is made of; pure functions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kpl_lab.engines.kubernetes.ledger import Status
from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.kubernetes.observe import Seen, time_of
from kpl_lab.engines.kubernetes.pods import Json, is_leaving
from kpl_lab.engines.kubernetes.saying import Saying
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.spec import Cause, ReplicaState


def rank(pod: Json | None) -> int:
    """Return the order of pods: what a Job ends because a replica has failed is not the cause of that."""
    if pod is None:
        return 2
    return 1 if is_leaving(pod) else 0


def ended(cause: Cause, detail: Mapping[str, Any]) -> Seen:
    """Return that a replica is over without a command's own end."""
    return Seen(state=ReplicaState.EXITED, is_final=True, cause=cause, detail=detail)


def told(seen: Seen, said: Saying) -> Seen:
    """Add what a replica that does not run yet waits for; one that waits in vain has failed."""
    if said.is_hopeless:
        return ended(Cause.START_FAILED, said.facts())
    if not said.code:
        return seen
    waits = {
        "code": said.code,
        "text": said.text,
        "is_progress": said.is_progress,
        "step": said.step.value,
    }
    return replace(seen, detail={**seen.detail, "waits": waits})


def verdict_of(found: Mapping[str, Any]) -> dict[str, str]:
    """Return why a Job makes no pods any more, by the type of its condition; empty where it does."""
    return {
        str(one["type"]): str(one.get("message") or one.get("reason") or "its pod was removed")
        for one in (found.get("status") or {}).get("conditions") or ()
        if one.get("type") in ("Failed", "Complete") and one.get("status") == "True"
    }


def is_suspended(job: Mapping[str, Any], pod: Json) -> bool:
    """Say whether a Job ends a pod because somebody suspends it, as Kueue does; it makes another later.

    The Job no longer counts such a pod, so that it makes another one also where the command took the word to
    end for a good end; what had ended well before is one.
    """
    if not is_leaving(pod) or _has_ended_well_before(pod):
        return False
    resumed = (
        str(one.get("lastTransitionTime") or "")
        for one in (job.get("status") or {}).get("conditions") or ()
        if one.get("type") == "Suspended" and one.get("status") == "False"
    )
    made = str(pod["metadata"].get("creationTimestamp") or "")
    return bool((job.get("spec") or {}).get("suspend")) or any(at > made for at in resumed)


def is_well(seen: Seen, pod: Json) -> bool:
    """Say whether a command has ended well, though its pod is being taken: it was quicker."""
    return seen.exit_code == 0 and (pod.get("status") or {}).get("phase") != "Failed"


def _has_ended_well_before(pod: Json) -> bool:
    """Say whether the command ended with 0 before somebody asked for the end of its pod."""
    metadata = pod["metadata"]
    deadline = _moment(metadata.get("deletionTimestamp"))
    grace = dt.timedelta(seconds=int(metadata.get("deletionGracePeriodSeconds") or 0))
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        end = (one.get("state") or {}).get("terminated") or {}
        if one.get("name") == COMMAND_CONTAINER and end.get("exitCode") == 0:
            at = _moment(end.get("finishedAt"))
            return at is None or deadline is None or at < deadline - grace
    return False


def _moment(text: object) -> dt.datetime | None:
    found = time_of(text)
    return dt.datetime.fromisoformat(found) if found else None


def without_witness(job: Mapping[str, Any], conditions: Mapping[str, str]) -> Seen:
    """Tell of a Job that is over and of whose pod nothing is left."""
    if "Complete" not in conditions:
        return ended(Cause.LOST, {"error": conditions["Failed"]})
    at = (job.get("status") or {}).get("completionTime")
    return replace(ended(Cause.EXIT, {}), exit_code=0, ended_at=time_of(at))


def end_after(status: Status) -> str:
    """Return the present, or the beginning where the clock of a node is ahead of ours."""
    now = statuses.now()
    begun = status.started_at
    if begun is None or dt.datetime.fromisoformat(begun) <= dt.datetime.fromisoformat(now):
        return now
    return begun
