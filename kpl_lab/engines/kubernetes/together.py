"""Replicas of one task stand and fall together: all have succeeded, or the first failure is everybody's."""

from __future__ import annotations

from dataclasses import replace

from kpl_lab.engines.kubernetes.observe import Seen
from kpl_lab.engines.spec import Cause, Kind, ReplicaState, Workload


class Together:
    """What the ends of a task's replicas mean for each other; nothing for any other workload."""

    def __init__(self, workload: Workload) -> None:
        self._count = workload.replicas if workload.kind is Kind.TASK else 1
        self._succeeded: set[int] = set()
        self._failed: tuple[int, Seen] | None = None

    def note(self, index: int, seen: Seen) -> None:
        """Take how a replica has ended, as soon as that is known; the first failure stays."""
        if seen.cause is Cause.EXIT and seen.exit_code == 0:
            self._succeeded.add(index)
        elif self._failed is None:
            self._failed = index, seen

    def joined(self, index: int, seen: Seen) -> Seen:
        """Return what a replica's end is to be told as."""
        if self._count < 2:
            return seen
        self.note(index, seen)
        if self._failed is not None:
            failed, first = self._failed
            if failed == index:
                return seen
            detail = {**first.detail, "replica": failed}
            return replace(seen, cause=first.cause, exit_code=first.exit_code, detail=detail)
        if len(self._succeeded) == self._count:
            return seen
        # It has done its part; the task goes on.
        return replace(
            seen,
            state=ReplicaState.RUNNING,
            is_final=False,
            ended_at=None,
            exit_code=None,
            cause=None,
        )
