"""What a pod and its agent say, and what is told of it: one table a kind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl_lab.engines.kubernetes.heard import report_of
from kpl_lab.engines.kubernetes.observe import Seen, Subject, is_disrupted, last_words, look
from kpl_lab.engines.kubernetes.readings import is_suspended
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Kind, Limits, ReplicaState

Json = dict[str, Any]
BEGUN, ENDED = "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z"
LIMITS = Limits(cpu=1, memory_mb=100)


def subject(kind: Kind = Kind.TASK, **changes: Any) -> Subject:
    port = None if kind is Kind.TASK else 9000
    return Subject(**{"kind": kind, "limits": LIMITS, "port": port, **changes})


def pod(main: Json | None = None, *, phase: str = "Running", agent: Json | None = None, beside: Json | None = None, leaving: bool = False, **status: Any) -> Json:  # fmt: skip
    statuses: Json = {"phase": phase, "podIP": "10.0.0.9", **status}
    if main is not None:
        statuses["containerStatuses"] = [{"name": "main", "restartCount": 0, **main}]
    if agent is not None:
        statuses["initContainerStatuses"] = [{"name": "agent", **agent}]
    if beside is not None:
        statuses.setdefault("containerStatuses", []).append({"name": "agent", **beside})
    metadata: Json = {"name": "p", "uid": "u"}
    if leaving:
        metadata["deletionTimestamp"] = ENDED
    return {"metadata": metadata, "spec": {"nodeName": "n", "containers": []}, "status": statuses}


def running(**more: Any) -> Json:
    return {"state": {"running": {"startedAt": BEGUN}}, **more}


def ended(code: int, reason: str = "", message: str = "") -> Json:
    found = {
        "exitCode": code,
        "reason": reason or ("Error" if code else "Completed"),
        "message": message,
    }
    return {"state": {"terminated": {**found, "startedAt": BEGUN, "finishedAt": ENDED}}}  # fmt: skip


def words(**found: Any) -> Json:
    message = json.dumps({"phase": "sent", "doom": None, **found})
    return {"state": {"terminated": {"exitCode": 0, "message": message}}}


def doom(cause: Cause, **detail: Any) -> Json:
    return {"doom": {"cause": cause.value, "detail": detail}}


def disrupted(why: str, said: str = "", **status: Any) -> Json:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": why, "message": said}
    return {"phase": "Failed", "conditions": [condition], **status}


OWN_DISK = "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."
NODE_DISK = "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi."

# pod, what the agent says, of whom: cause, exit code.
ENDS: dict[str, tuple[Json, Json | None, Subject, Cause, int | None]] = {
    "success": (pod(ended(0), phase="Succeeded"), None, subject(), Cause.EXIT, 0),
    "failure": (pod(ended(3), phase="Failed"), None, subject(), Cause.EXIT, 3),
    "signal": (pod(ended(139), phase="Failed"), None, subject(), Cause.SIGNAL, -11),
    "killed": (pod(ended(137), phase="Failed"), None, subject(), Cause.KILLED, -9),
    "no signal": (pod(ended(255), phase="Failed"), None, subject(), Cause.EXIT, 255),
    "memory": (pod(ended(137, "OOMKilled"), phase="Failed"), None, subject(), Cause.OUT_OF_MEMORY, -9),
    "time limit": (
        pod(ended(143), phase="Failed", agent=words(**doom(Cause.TIME_LIMIT, limit_seconds=5))),
        None, subject(), Cause.TIME_LIMIT, -15,
    ),
    "time limit, heard before": (
        pod(ended(143), phase="Failed"), None,
        subject(doom=Doom(Cause.TIME_LIMIT, {"limit_seconds": 5})), Cause.TIME_LIMIT, -15,
    ),
    "stopped": (pod(ended(143), phase="Failed"), None, subject(is_stopped=True), Cause.STOPPED, -15),
    "stopped, after it was through": (
        pod(ended(0), phase="Succeeded"), None, subject(is_stopped=True), Cause.STOPPED, 0,
    ),
    "deleted by somebody": (pod(ended(143), phase="Failed", leaving=True), None, subject(), Cause.KILLED, -15),
    "outputs sent, pod not yet over": (pod(ended(0)), {"phase": "sent"}, subject(), Cause.EXIT, 0),
    "its own disk": (
        pod(ended(137), phase="Failed", reason="Evicted", message=OWN_DISK), None, subject(),
        Cause.DISK_FULL, -9,
    ),
    "its own disk, before it began": (
        pod(phase="Failed", reason="Evicted", message=OWN_DISK), None, subject(), Cause.DISK_FULL, None,
    ),
    "the node's disk": (
        pod(ended(137), phase="Failed", reason="Evicted", message=NODE_DISK), None, subject(),
        Cause.LOST, -9,
    ),
    "node lost": (pod(**disrupted("DeletionByTaintManager")), None, subject(), Cause.LOST, None),
    "node full": (pod(phase="Failed", reason="OutOfcpu", message="no cpu"), None, subject(), Cause.LOST, None),
    "no such command": (
        pod(ended(128, "StartError", 'exec: "x": executable file not found'), phase="Failed"), None,
        subject(), Cause.START_FAILED, 128,
    ),
    "nothing to start from": (
        pod(phase="Pending"), {"phase": "failed", **doom(Cause.START_FAILED, error="no room")}, subject(),
        Cause.START_FAILED, None,
    ),
    "failed without a word": (pod(phase="Failed"), None, subject(), Cause.START_FAILED, None),
    "a server that ended": (pod(ended(1), phase="Failed"), None, subject(Kind.SERVER), Cause.EXIT, 1),
    "a server that ended, its agent not yet": (
        pod(ended(1), beside=running()), {"phase": "running"}, subject(Kind.SERVER), Cause.EXIT, 1,
    ),
    "a server that never listened, in the words of its agent beside it": (
        pod(ended(143), phase="Failed", beside=words(**doom(Cause.NEVER_LISTENED, port=9000))), None,
        subject(Kind.SERVER), Cause.NEVER_LISTENED, -15,
    ),
    "a server whose agent has ended": (
        pod(running(), beside=ended(137, "OOMKilled")), {"phase": "ready"}, subject(Kind.SERVER),
        Cause.LOST, None,
    ),
    "a server whose node went before its agent came": (
        pod(running(), phase="Failed", beside={"state": {"waiting": {}}}), None, subject(Kind.SERVER),
        Cause.START_FAILED, None,
    ),
    "a server whose agent could not begin": (
        pod(running(), beside=ended(128, "StartError", "no such file")), None, subject(Kind.SERVER),
        Cause.START_FAILED, None,
    ),
    "a service that gives up": (
        pod(ended(2) | {"restartCount": 6}), None, subject(Kind.SERVICE), Cause.EXIT, 2,
    ),
    "a service on a wrong port": (
        pod(ended(143)), doom(Cause.WRONG_PORT, port=9000, listening=[80]), subject(Kind.SERVICE),
        Cause.WRONG_PORT, -15,
    ),
    "a service that never listened": (
        pod(running(lastState=ended(143)["state"], restartCount=1)), None,
        subject(Kind.SERVICE, doom=Doom(Cause.NEVER_LISTENED, {"port": 9000})), Cause.NEVER_LISTENED, -15,
    ),
    "a service without inputs": (
        pod(phase="Pending"), {"phase": "failed", **doom(Cause.START_FAILED, error="x")},
        subject(Kind.SERVICE), Cause.START_FAILED, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDS.values(), ids=ENDS.keys())
def test_an_end_has_its_cause(case: tuple[Json, Json | None, Subject, Cause, int | None]) -> None:
    found, report, of, cause, code = case
    seen = look(found, report and report_of(report), of)
    assert seen.is_final
    assert seen.state is ReplicaState.EXITED
    assert (seen.cause, seen.exit_code) == (cause, code)


SERVICE, SERVER = subject(Kind.SERVICE), subject(Kind.SERVER)
STATES: dict[str, tuple[Json, Json | None, Subject, ReplicaState]] = {
    "no container yet": (pod(phase="Pending"), None, subject(), ReplicaState.STARTING),
    "waiting": (pod({"state": {"waiting": {}}}, phase="Pending"), None, subject(), ReplicaState.STARTING),
    "running": (pod(running()), None, subject(), ReplicaState.RUNNING),
    "outputs still go": (pod(ended(0)), {"phase": "ended"}, subject(), ReplicaState.RUNNING),
    "loads": (pod(running()), {"phase": "running"}, SERVICE, ReplicaState.STARTING),
    "ready": (pod(running()), {"phase": "ready"}, SERVICE, ReplicaState.READY),
    "unhealthy": (pod(running(ready=True)), {"phase": "unhealthy"}, SERVICE, ReplicaState.UNHEALTHY),
    "ready, unheard": (pod(running(ready=True)), None, SERVER, ReplicaState.READY),
    "not ready, unheard": (pod(running(ready=False)), None, SERVER, ReplicaState.STARTING),
    "was ready, unheard": (
        pod(running(ready=False)), None, subject(Kind.SERVER, was_ready=True), ReplicaState.UNHEALTHY,
    ),
    "a server that is to end, its agent has": (
        pod(running(), beside=ended(0), leaving=True), {"phase": "ready"}, SERVER, ReplicaState.READY,
    ),
    "a server that was stopped, its agent has ended": (
        pod(running(), beside=ended(0)), {"phase": "ready"}, subject(Kind.SERVER, is_stopped=True),
        ReplicaState.READY,
    ),
    "a server whose agent has said that the command has ended": (
        pod(running(), beside=ended(0)), {"phase": "sent"}, SERVER, ReplicaState.STARTING,
    ),
    "a server that is evicted, its agent first": (
        pod(running(), beside=ended(137), **{**disrupted("EvictionByEvictionAPI"), "phase": "Running"}),
        {"phase": "ready"}, SERVER, ReplicaState.READY,
    ),
    "a server that ended while its agent's image did not come": (
        pod(ended(1), beside={"state": {"waiting": {"reason": "ImagePullBackOff"}}}), None, SERVER,
        ReplicaState.STARTING,
    ),
    "a server whose agent cannot start": (
        pod(running(ready=True), beside={"state": {"waiting": {"reason": "ImagePullBackOff"}}}), None,
        SERVER, ReplicaState.STARTING,
    ),
    "a sidecar that is started again": (
        pod(running(), agent=ended(1)), {"phase": "ready"}, SERVER, ReplicaState.READY,
    ),
    "crashed once": (pod(ended(1)), None, SERVICE, ReplicaState.STARTING),
    "crashes after it was ready": (
        pod(ended(1) | {"restartCount": 60}), None, subject(Kind.SERVICE, was_ready=True),
        ReplicaState.STARTING,
    ),
    "evicted service": (
        pod(ended(137), phase="Failed", reason="Evicted", message=NODE_DISK), None, SERVICE,
        ReplicaState.STARTING,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES.values(), ids=STATES.keys())
def test_what_goes_on_has_its_state(case: tuple[Json, Json | None, Subject, ReplicaState]) -> None:
    found, report, of, state = case
    seen = look(found, report and report_of(report), of)
    assert not seen.is_final
    assert seen.state is state


def test_addresses_are_of_what_serves_alone() -> None:
    assert look(pod(running()), None, subject()).address is None
    assert look(pod(running()), None, SERVICE).address == "10.0.0.9:9000"
    six = pod(running(), podIP="fd00::9")
    assert look(six, None, SERVICE).address == "[fd00::9]:9000"


def test_numbers_and_lost_outputs_come_from_the_last_words() -> None:
    said = words(memory_peak_mb=70, cpu_seconds=1.5, lost={"model": "no room"})
    heard = report_of({"phase": "ended", "memory_peak_mb": 60})
    seen = look(pod(ended(0), phase="Succeeded", agent=said), heard, subject())
    assert (seen.memory_peak_mb, seen.cpu_seconds) == (70, 1.5)
    assert seen.detail == {"lost_outputs": {"model": "no room"}}
    assert seen.started_at == "2026-01-01T00:00:01+00:00"
    assert seen.ended_at == "2026-01-01T00:00:09+00:00"


def test_an_agent_that_was_started_again_is_believed_over_its_last_words() -> None:
    before = {"state": {"running": {}}, "lastState": words(phase="failed")["state"]}
    heard = report_of({"phase": "running"})
    assert look(pod(running(), agent=before), heard, subject()).state is ReplicaState.RUNNING


def test_a_time_before_all_times_is_none() -> None:
    never = {"state": {"terminated": {"exitCode": 1, "startedAt": "1970-01-01T00:00:00Z"}}}
    seen = look(pod(never, phase="Failed"), None, subject())
    assert (seen.started_at, seen.ended_at) == (None, None)


@pytest.mark.parametrize(
    ("found", "is_it"),
    [
        (pod(**disrupted("DeletionByTaintManager")), True),
        (pod(**disrupted("PreemptionByScheduler")), True),
        (pod(**disrupted("TerminationByKubelet", NODE_DISK, reason="Evicted", message=NODE_DISK)), True),
        (pod(**disrupted("TerminationByKubelet", OWN_DISK, reason="Evicted", message=OWN_DISK)), False),
        (pod(ended(143), **disrupted("EvictionByEvictionAPI") | {"phase": "Running"}), True),
        (pod(ended(0), **disrupted("EvictionByEvictionAPI") | {"phase": "Succeeded"}), False),
        (pod(ended(1), phase="Failed"), False),
        (pod(running()), False),
    ],
    ids=["node lost", "pre-empted", "node's disk", "own disk", "drained", "drained too late", "own failure", "runs"],
)  # fmt: skip
def test_what_the_cluster_took_is_told_from_what_failed(found: Json, is_it: bool) -> None:
    assert is_disrupted(found) is is_it


MADE, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"
RESUMED = {"type": "Suspended", "status": "False"}


@pytest.mark.parametrize(
    ("spec", "conditions", "changes", "is_it"),
    [
        ({"suspend": True}, [], {}, True),
        ({"suspend": True}, [], {"deletionTimestamp": None}, False),
        ({"suspend": False}, [RESUMED | {"lastTransitionTime": LATER}], {}, True),
        ({}, [RESUMED | {"lastTransitionTime": MADE}], {}, False),
        ({}, [], {}, False),
    ],
    ids=["suspended", "by itself", "resumed since", "began suspended", "deleted by somebody"],
)
def test_what_a_suspension_ends_is_told_from_what_somebody_deletes(
    spec: Json, conditions: list[Json], changes: Json, is_it: bool
) -> None:
    found = pod(ended(143), phase="Failed")
    found["metadata"] |= {"creationTimestamp": MADE, "deletionTimestamp": LATER, **changes}
    assert is_suspended({"spec": spec, "status": {"conditions": conditions}}, found) is is_it


@pytest.mark.parametrize(
    ("finished", "is_it"), [("2026-01-01T00:00:29Z", False), ("2026-01-01T00:00:31Z", True)]
)
def test_a_good_end_counts_where_it_was_quicker_than_the_suspension(
    finished: str, is_it: bool
) -> None:
    """The pod was to end from 00:00:30 on, and had a minute for it."""
    end = {"state": {"terminated": {"exitCode": 0, "finishedAt": finished}}}
    found = pod(end, phase="Succeeded")
    found["metadata"] |= {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-01T00:01:30Z",
        "deletionGracePeriodSeconds": 60,
    }
    assert is_suspended({"spec": {"suspend": True}, "status": {}}, found) is is_it


@pytest.mark.parametrize(
    "message",
    ["", "no json", "[1]", "null", "[" * 100_000, '{"doom": {"cause": "magic"}}', '{"phase": []}'],
    ids=["empty", "text", "list", "null", "deep", "cause", "phase"],
)
def test_hostile_last_words_change_nothing(message: str) -> None:
    said = {"state": {"terminated": {"exitCode": 0, "message": message}}}
    seen = look(pod(ended(3), phase="Failed", agent=said), None, subject())
    assert (seen.cause, seen.exit_code, seen.doom) == (Cause.EXIT, 3, None)


def test_without_words_there_are_none() -> None:
    assert last_words(pod(running())) is None
    assert last_words(pod(running(), agent={"state": {"running": {}}})) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = [
    "phase",
    "doom",
    "memory_mb",
    "memory_peak_mb",
    "cpu",
    "cpu_seconds",
    "processes",
    "done",
    "lost",
]


@given(st.dictionaries(st.sampled_from(KEYS), anything) | anything)
def test_whatever_is_said_in_an_agents_name_can_be_read(said: Any) -> None:
    report = report_of(said)
    json.dumps(report)
    for found in (pod(running()), pod(ended(1), phase="Failed"), pod(phase="Pending")):
        for of in (subject(), SERVICE, SERVER):
            assert isinstance(look(found, report, of), Seen)
