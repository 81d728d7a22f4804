"""The replicas of one task stand and fall together: all have succeeded, or the first failure is everybody's.

A pure reading of what is known of each: it is the same after any restart of a runner.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from kpl_lab.engines.spec import Cause, Kind, Replica, ReplicaState, Workload

# Ends that may follow from another's, the likelier later: a cluster removes the pods that are left
# when one has failed, maybe before anybody saw how they ended.
_FOLLOWING = (Cause.LOST, Cause.KILLED, Cause.STOPPED)
_LAST = dt.datetime.max.replace(tzinfo=dt.UTC)


def are_one(workload: Workload) -> bool:
    """Say whether the ends of a workload's replicas mean something for each other."""
    return workload.kind is Kind.TASK and workload.replicas > 1


def joined(workload: Workload, replicas: Sequence[Replica]) -> tuple[Replica, ...]:
    """Return what replicas are told as.

    One that has ended is told as running while others go on: it has done its part, and its task has
    not ended. When all have, a failure of one is the end of all; ``detail["replica"]`` says whose.
    """
    if not are_one(workload):
        return tuple(replicas)
    ended = [one for one in replicas if one.state is ReplicaState.EXITED]
    if len(ended) < workload.replicas:
        return tuple(_still_running(one) if one in ended else one for one in replicas)
    failed = _first_failed(ended)
    if failed is None:
        return tuple(replicas)
    detail = {**failed.detail, "replica": failed.index}
    return tuple(
        replace(one, exit_code=failed.exit_code, cause=failed.cause, detail=detail)
        for one in replicas
    )


def condemned(workload: Workload, replicas: Sequence[Replica]) -> list[int]:
    """Return which replicas are to be ended, because another one has failed."""
    if not are_one(workload) or _first_failed(replicas) is None:
        return []
    return [one.index for one in replicas if one.state is not ReplicaState.EXITED]


def _still_running(one: Replica) -> Replica:
    return replace(one, state=ReplicaState.RUNNING, ended_at=None, exit_code=None, cause=None)


def _first_failed(replicas: Sequence[Replica]) -> Replica | None:
    failed = [
        one
        for one in replicas
        if one.state is ReplicaState.EXITED
        and not (one.exit_code == 0 and one.cause in (None, Cause.EXIT))
    ]
    return min(failed, key=_order, default=None)


def _order(one: Replica) -> tuple[int, dt.datetime, int]:
    if one.cause is Cause.LOST and one.detail.get("code"):
        # The engine saw what took it, a node that went for instance; the others broke off with it.
        return -1, one.ended_at or _LAST, one.index
    rank = _FOLLOWING.index(one.cause) + 1 if one.cause in _FOLLOWING else 0
    return rank, one.ended_at or _LAST, one.index
