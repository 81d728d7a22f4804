"""From a pod, and what its agent says, to the facts of a replica: a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.kubernetes import build_ending, ending
from kpl_lab.engines.kubernetes.agent.report import Phase, doom_of
from kpl_lab.engines.kubernetes.heard import words_of
from kpl_lab.engines.kubernetes.names import AGENT_CONTAINER, COMMAND_CONTAINER
from kpl_lab.engines.running.ends import Ending, cause_of, exit_code_of
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, Kind, Limits, ReplicaState

Json = dict[str, Any]
_ENDED_PHASES = ("Succeeded", "Failed")
# What a container runtime calls a command that it could not begin.
_NOT_BEGUN = ("StartError", "ContainerCannotRun", "RunContainerError")
_OOM = "OOMKilled"
# Why the cluster has ended a pod, where that was its own doing.
_CAUSE_OF = {"disk_limit": Cause.DISK_FULL}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What of a workload decides how its pods are read.

    Attributes
    ----------
    is_stopped
        Its end was asked for.
    doom
        Why its agent has ended it, where that is known from before.
    """

    kind: Kind
    limits: Limits
    port: int | None
    is_stopped: bool = False
    was_ready: bool = False
    doom: Doom | None = None
    restarts_max: int = 5


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is to say of a replica; times are RFC 3339 as a status holds them."""

    state: ReplicaState = ReplicaState.STARTING
    is_final: bool = False
    address: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    cause: Cause | None = None
    restarts: int = 0
    was_ready: bool = False
    memory_peak_mb: int | None = None
    cpu_seconds: float | None = None
    doom: Doom | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


def look(pod: Mapping[str, Any], report: Mapping[str, Any] | None, subject: Subject) -> Seen:
    """Return what a pod says of its replica.

    Parameters
    ----------
    pod
        The object.
    report
        What its agent said last (``Report.plain``); None: nothing was heard.
    """
    return _Look(pod, report, subject).seen()


def last_words(pod: Mapping[str, Any], *where: str) -> Json | None:
    """Return what the agent of a pod left when it ended; None where it has not, or said nothing.

    Parameters
    ----------
    where
        ``state`` for its present end, ``lastState`` for the one before it was started again.
    """
    agent = agent_of(pod)
    for key in where or ("state", "lastState"):
        message = ((agent.get(key) or {}).get("terminated") or {}).get("message")
        found = words_of(str(message)) if message else None
        if found is not None:
            return found
    return None


def agent_of(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the status of a pod's agent, a sidecar or beside the command; empty where it has none yet."""
    sidecar = _container(pod, "initContainerStatuses", AGENT_CONTAINER)
    return sidecar or _container(pod, "containerStatuses", AGENT_CONTAINER)


def is_disrupted(pod: Mapping[str, Any]) -> bool:
    """Say whether the cluster has taken a pod or is about to, and not for anything that it did itself.

    A Job makes another one in its place (``podFailurePolicy``). The condition comes first: the command
    has mostly ended, and its agent too, when the pod still counts as running.
    """
    status = pod.get("status") or {}
    conditions = {one.get("type"): one.get("status") for one in status.get("conditions") or ()}
    if status.get("phase") == "Succeeded" or conditions.get("DisruptionTarget") != "True":
        return False
    why = ending.over(pod)
    return why is None or not why.is_hopeless


class _Look:
    def __init__(
        self, pod: Mapping[str, Any], report: Mapping[str, Any] | None, subject: Subject
    ) -> None:
        self._pod = pod
        self._subject = subject
        self._status: Mapping[str, Any] = pod.get("status") or {}
        self._report = last_words(pod, "state") or report or last_words(pod) or {}
        self._main = _container(pod, "containerStatuses", COMMAND_CONTAINER)
        self._doom = subject.doom or doom_of(self._report.get("doom"))
        self._phase = self._report.get("phase")

    def seen(self) -> Seen:
        """Return the facts."""
        state = self._main.get("state") or {}
        if self._subject.kind is Kind.SERVICE:
            return self._service(state)
        has_failed = self._status.get("phase") == "Failed" or self._phase == Phase.FAILED
        if state and "waiting" in self._agent_beside() and not has_failed:
            return self._waiting()
        if "terminated" in state and self._is_through():
            return self._ended(state["terminated"])
        if has_failed:
            return self._never_ran()
        if "running" in state and (doom := self._without_agent()) is not None:
            return Seen(
                state=ReplicaState.EXITED,
                is_final=True,
                cause=doom.cause,
                detail=doom.detail,
                was_ready=self._subject.was_ready,
            )
        if "running" in state or "terminated" in state:
            return self._running(state.get("running") or state["terminated"])
        return self._waiting()

    def _is_through(self) -> bool:
        """Say whether the pod has ended, and its outputs have been sent; a server has none."""
        is_over = self._status.get("phase") in _ENDED_PHASES or self._phase == Phase.SENT
        return is_over or self._subject.kind is Kind.SERVER

    def _without_agent(self) -> Doom | None:
        """Return why a command that runs is given up: its agent has ended before it, and nobody asked for that.

        As a sidecar it is started again; beside the command it was, and nothing is left that does.
        """
        end = self._agent_beside().get("terminated")
        is_ending = self._subject.is_stopped or self._pod["metadata"].get("deletionTimestamp")
        has_said_so = self._phase in (Phase.ENDED, Phase.SENT)
        if end is None or is_ending or has_said_so or ending.over(self._pod) is not None:
            return None
        reason, message = str(end.get("reason") or ""), str(end.get("message") or "")
        if reason in _NOT_BEGUN:
            return Doom(Cause.START_FAILED, {"error": message or reason})
        code = int(end.get("exitCode") or 0)
        return Doom(Cause.LOST, {"code": "agent_ended", "error": f"{reason}, exit code {code}"})

    def _agent_beside(self) -> Mapping[str, Any]:
        """Return the state of an agent that is no sidecar: the command may run while that cannot start."""
        state: Mapping[str, Any] | None
        state = _container(self._pod, "containerStatuses", AGENT_CONTAINER).get("state")
        return state or {}

    def _measures(self) -> Json:
        peak, cpu = self._report.get("memory_peak_mb"), self._report.get("cpu_seconds")
        return {
            "memory_peak_mb": int(peak) if peak else None,
            "cpu_seconds": float(cpu) if cpu else None,
            "doom": self._doom,
        }

    def _running(self, found: Mapping[str, Any], **changes: Any) -> Seen:  # noqa: ANN401 (of Seen)
        state = ReplicaState.RUNNING
        if self._subject.port is not None:
            state = self._readiness()
        was_ready = self._subject.was_ready or state is ReplicaState.READY
        return Seen(
            state=state,
            address=self._address(),
            started_at=time_of(found.get("startedAt")),
            was_ready=was_ready,
            **self._measures(),
            **changes,
        )

    def _readiness(self) -> ReplicaState:
        if self._phase in (Phase.READY, Phase.UNHEALTHY):
            ready = self._phase == Phase.READY
            return ReplicaState.READY if ready else ReplicaState.UNHEALTHY
        if self._phase is None and bool(self._main.get("ready")):
            return ReplicaState.READY
        return ReplicaState.UNHEALTHY if self._is_unheard() else ReplicaState.STARTING

    def _is_unheard(self) -> bool:
        return self._phase is None and self._subject.was_ready

    def _address(self) -> str | None:
        ip, port = self._status.get("podIP"), self._subject.port
        if not ip or port is None:
            return None
        return f"[{ip}]:{port}" if ":" in str(ip) else f"{ip}:{port}"

    def _waiting(self) -> Seen:
        return Seen(address=self._address(), was_ready=self._subject.was_ready, doom=self._doom)

    def _ended(self, found: Mapping[str, Any]) -> Seen:
        code = exit_code_of(int(found["exitCode"]))
        end = self._why(found, code)
        return Seen(
            state=ReplicaState.EXITED,
            is_final=True,
            started_at=time_of(found.get("startedAt")),
            ended_at=time_of(found.get("finishedAt")),
            exit_code=code,
            cause=end.cause,
            was_ready=self._subject.was_ready,
            detail={**end.detail, **self._lost()},
            **self._measures(),
        )

    def _why(self, found: Mapping[str, Any], code: int) -> Doom:
        reason, message = str(found.get("reason") or ""), str(found.get("message") or "")
        if reason in _NOT_BEGUN:
            return Doom(Cause.START_FAILED, {"error": message or reason})
        doom = self._doom
        if doom is None and self._subject.is_stopped:
            doom = Doom(Cause.STOPPED)
        if doom is None and code != 0 and ending.over(self._pod) is not None:
            return self._why_as_a_whole()
        if self._subject.kind is Kind.BUILD and doom is None and code != 0 and reason != _OOM:
            # The program that ended is the builder, which says why.
            doom = build_ending.end_of(message, int(found["exitCode"]))
            if doom is not None:
                return doom
        is_deleted = bool(self._pod["metadata"].get("deletionTimestamp"))
        return cause_of(
            Ending(
                exit_code=code,
                doom=doom,
                limit_mb=self._subject.limits.memory_mb,
                is_short_of_memory=reason == _OOM,
                is_disk_full=False,
                is_foreign=is_deleted,
                is_unseen=False,
                last_line="",
            )
        )

    def _lost(self) -> Json:
        lost = self._report.get("lost")
        return {"lost_outputs": dict(lost)} if lost else {}

    def _never_ran(self) -> Seen:
        """Tell of a pod that failed as a whole: evicted, its node gone, or nothing to start from."""
        doom = self._doom
        if doom is None and self._subject.is_stopped:
            doom = Doom(Cause.STOPPED)
        if doom is None:
            doom = self._why_as_a_whole()
        return Seen(
            state=ReplicaState.EXITED,
            is_final=True,
            cause=doom.cause,
            detail={**doom.detail, **self._lost()},
            was_ready=self._subject.was_ready,
            **self._measures(),
        )

    def _why_as_a_whole(self) -> Doom:
        reason = str(self._status.get("reason") or "")
        message = str(self._status.get("message") or reason)
        said = ending.over(self._pod)
        if said is not None:
            cause = _CAUSE_OF.get(said.code, Cause.LOST)
            return Doom(cause, {**said.facts(), "reason": reason})
        return Doom(Cause.START_FAILED, {"error": message or "the pod failed"})

    def _service(self, state: Mapping[str, Any]) -> Seen:
        restarts = int(self._main.get("restartCount") or 0)
        last = state.get("terminated") or (self._main.get("lastState") or {}).get("terminated")
        doom = self._doom
        is_hopeless = doom is not None and doom.cause in (Cause.WRONG_PORT, Cause.NEVER_LISTENED)
        is_tired = restarts > self._subject.restarts_max and not self._subject.was_ready
        if last is not None and (is_hopeless or is_tired):
            return self._given_up(last, restarts)
        if self._phase == Phase.FAILED:
            return self._never_ran()
        if "running" in state:
            return self._running(state["running"], restarts=restarts)
        return Seen(
            restarts=restarts,
            was_ready=self._subject.was_ready,
            doom=doom,
            detail={} if last is None else {"last_exit_code": int(last["exitCode"])},
        )

    def _given_up(self, last: Mapping[str, Any], restarts: int) -> Seen:
        ended = self._ended(last)
        return Seen(
            state=ReplicaState.EXITED,
            is_final=True,
            started_at=ended.started_at,
            ended_at=ended.ended_at,
            exit_code=ended.exit_code,
            cause=ended.cause,
            restarts=restarts,
            doom=self._doom,
            detail=ended.detail,
        )


def _container(pod: Mapping[str, Any], statuses: str, name: str) -> Mapping[str, Any]:
    found: Sequence[Mapping[str, Any]] = (pod.get("status") or {}).get(statuses) or ()
    return next((one for one in found if one.get("name") == name), {})


def time_of(text: Any) -> str | None:  # noqa: ANN401 (JSON)
    """Return a time of the API as a status holds it; the epoch's beginning means none."""
    if not text or str(text).startswith("1970-"):
        return None
    return str(text).replace("Z", "+00:00")
