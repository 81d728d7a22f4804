"""Why a pod is over although nothing of its own ended it, in words; pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kpl_lab.engines.kubernetes.saying import Saying

Object = Mapping[str, Any]
_LOW = re.compile(r"low on resource: (?P<resource>[\w./-]*\w)")
_OWN_LIMIT = re.compile(
    r"exceeds the total limit of containers (?P<total>[^ .]+)|"
    r'exceeded its local ephemeral storage limit "(?P<one>[^"]+)"|'
    r'Usage of EmptyDir volume "(?P<volume>[^"]+)" exceeds the limit "(?P<size>[^"]+)"'
)
_OUT_OF = re.compile(r"^OutOf(?P<resource>.+)$")


def over(pod: Object) -> Saying | None:
    """Return why the cluster has ended a pod, or is about to; None where it has not."""
    status = pod.get("status") or {}
    reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
    disruption = next(
        (
            condition
            for condition in status.get("conditions") or ()
            if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        ),
        None,
    )
    if status.get("phase") == "Failed" and reason:
        return _failed(reason, message, pod)
    if disruption is not None:
        return _disrupted(
            str(disruption.get("reason") or ""), str(disruption.get("message") or ""), pod
        )
    return None


def _failed(reason: str, message: str, pod: Object) -> Saying:
    short = _OUT_OF.match(reason)
    if short is not None:
        return Saying(
            code="node_full",
            text=f"The node {_node(pod)} that it was sent to had no {short['resource']} left any more.",
            detail={
                "reason": reason,
                "message": message,
                "node": _node(pod),
                "resource": short["resource"],
            },
        )
    words = _BY_REASON.get(reason)
    if words is not None:
        return words(message, pod)
    return Saying(
        code="pod_failed",
        text=f"The cluster has ended it ({reason}): {message}",
        detail={"reason": reason, "message": message},
    )


def _evicted(message: str, pod: Object) -> Saying:
    detail = {"reason": "Evicted", "message": message, "node": _node(pod)}
    own = _OWN_LIMIT.search(message)
    if own is not None:
        limit = own["total"] or own["one"] or own["size"]
        return Saying(
            code="disk_limit",
            text=f"It has written more to the node's disk than its limit of {limit} and was ended; write less, or "
            "have the limit raised.",
            is_hopeless=True,
            detail={**detail, "limit": limit},
        )
    low = _LOW.search(message)
    resource = low["resource"] if low else ""
    if resource.startswith("memory"):
        code, what = "evicted_memory", "memory"
    elif resource in ("ephemeral-storage", "inodes", "imagefs", "nodefs"):
        code, what = "evicted_disk", "disk"
    else:
        code, what = "evicted", resource or "resources"
    return Saying(
        code=code,
        text=f"The node {_node(pod)} ran short of {what} and ended it to save the others.",
        detail={**detail, "resource": resource, "what": what},
    )


def _shut_down(message: str, pod: Object) -> Saying:
    return Saying(
        code="node_shutdown",
        text=f"The node {_node(pod)} is being shut down and has ended it.",
        detail={"message": message, "node": _node(pod)},
    )


def _late(message: str, pod: Object) -> Saying:
    return Saying(
        code="deadline",
        text="Its time limit was reached, and the cluster has ended it.",
        is_hopeless=True,
        detail={"message": message},
    )


def _lost(message: str, pod: Object) -> Saying:
    return Saying(
        code="node_lost",
        text=f"The node {_node(pod)} was lost, and it with it.",
        detail={"message": message, "node": _node(pod)},
    )


def _preempted(message: str, pod: Object) -> Saying:
    return Saying(
        code="preempted",
        text="It had to make room for something of a higher priority.",
        detail={"message": message, "node": _node(pod)},
    )


def _refused_by_node(message: str, pod: Object) -> Saying:
    return Saying(
        code="node_refused",
        text=f"The node {_node(pod)} that it was sent to refused it: {message}",
        detail={"message": message, "node": _node(pod), "said": message},
    )


def _drained(message: str, pod: Object) -> Saying:
    return Saying(
        code="drained",
        text=f"An administrator is emptying the node {_node(pod)}.",
        detail={"message": message, "node": _node(pod)},
    )


def _disrupted(reason: str, message: str, pod: Object) -> Saying:
    words = _BY_DISRUPTION.get(reason)
    if words is not None:
        return words(message, pod)
    if "imminent node shutdown" in message:
        return _shut_down(message, pod)
    if "preempted by Kubelet" in message:
        return _preempted(message, pod)
    return _evicted(message, pod)


def _node(pod: Object) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


_Words = Callable[[str, Object], Saying]
_BY_REASON: Mapping[str, _Words] = {
    "Evicted": _evicted,
    "Preempting": _preempted,
    "Terminated": _shut_down,
    "NodeShutdown": _shut_down,
    "Shutdown": _shut_down,
    "DeadlineExceeded": _late,
    "NodeLost": _lost,
    "NodeAffinity": _refused_by_node,
    "UnexpectedAdmissionError": _refused_by_node,
    "SysctlForbidden": _refused_by_node,
    "TopologyAffinityError": _refused_by_node,
}
_BY_DISRUPTION: Mapping[str, _Words] = {
    "PreemptionByScheduler": _preempted,
    "DeletionByTaintManager": _lost,
    "DeletionByPodGC": _lost,
    "EvictionByEvictionAPI": _drained,
}
