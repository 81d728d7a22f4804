"""What the ends of a task's replicas mean for each other, as a table."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from kpl_lab.engines.running.together import condemned, joined
from kpl_lab.engines.spec import Cause, Kind, Replica, ReplicaState
from tests.engines.harness import task

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
RUNS = Replica(index=0, state=ReplicaState.RUNNING)


def ended(index: int, code: int | None, cause: Cause = Cause.EXIT, second: int = 0) -> Replica:
    return Replica(
        index=index, state=ReplicaState.EXITED, exit_code=code, cause=cause,
        ended_at=NOON + dt.timedelta(seconds=second), detail={"of": index},
    )  # fmt: skip


def test_one_that_has_done_its_part_runs_on_until_all_have() -> None:
    workload = task("t", "true", replicas=2)
    found = joined(workload, [ended(0, 0), replace(RUNS, index=1)])
    assert [one.state for one in found] == [ReplicaState.RUNNING] * 2
    assert (found[0].exit_code, found[0].ended_at) == (None, None)
    both = (ended(0, 0), ended(1, 0))
    assert joined(workload, both) == both


def test_a_failure_is_told_when_everything_has_ended() -> None:
    workload = task("t", "true", replicas=2)
    found = joined(workload, [replace(RUNS), ended(1, 3)])
    assert [one.state for one in found] == [ReplicaState.RUNNING] * 2
    assert condemned(workload, [replace(RUNS), ended(1, 3)]) == [0]


@pytest.mark.parametrize(
    ("ends", "failed"),
    [
        ([ended(0, 1, second=2), ended(1, 3, second=1)], 1),
        ([ended(0, 0), ended(1, 3)], 1),
        ([ended(0, -15, Cause.STOPPED), ended(1, 3, second=9)], 1),
        ([ended(0, None, Cause.LOST), ended(1, 3, second=9)], 1),
        ([ended(0, -9, Cause.KILLED, second=1), ended(1, -15, Cause.STOPPED)], 0),
        ([ended(0, -9, Cause.OUT_OF_MEMORY, second=1), ended(1, 1, second=2)], 0),
        ([ended(0, -15, Cause.STOPPED, second=1), ended(1, -15, Cause.STOPPED, second=0)], 1),
        ([ended(0, 0), ended(1, -15, Cause.STOPPED)], 1),
    ],
)
def test_the_first_that_failed_by_itself_is_everybodys_end(
    ends: list[Replica], failed: int
) -> None:
    found = joined(task("t", "true", replicas=2), ends)
    for one in found:
        assert (one.exit_code, one.cause) == (ends[failed].exit_code, ends[failed].cause)
        assert one.detail == {"of": failed, "replica": failed}
    assert [one.index for one in found] == [0, 1]


def test_a_node_that_was_lost_is_the_reason_whatever_else_broke_off() -> None:
    taken = replace(ended(1, None, Cause.LOST, second=40), detail={"code": "node_lost"})
    found = joined(task("t", "true", replicas=2), [ended(0, 1, second=1), taken])
    assert [one.cause for one in found] == [Cause.LOST] * 2
    assert found[0].detail == {"code": "node_lost", "replica": 1}


def test_nothing_but_a_task_of_several_is_one() -> None:
    ends = [replace(RUNS), ended(1, 3)]
    service = replace(task("s", "true", replicas=2), kind=Kind.SERVICE)
    assert joined(service, ends) == tuple(ends)
    assert condemned(service, ends) == []
    assert joined(task("t", "true"), [ended(0, 3)]) == (ended(0, 3),)


def test_a_replica_that_is_not_there_yet_is_waited_for() -> None:
    found = joined(task("t", "true", replicas=2), [ended(0, 0)])
    assert found[0].state is ReplicaState.RUNNING
