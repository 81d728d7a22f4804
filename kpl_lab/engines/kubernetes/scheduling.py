"""Why no node takes a pod: the scheduler's message in words; pure functions.

The message is ``FitError`` of ``kubernetes/pkg/scheduler/framework/types.go`` (1.29 to 1.36):
``0/N nodes are available: <pre-filter>. <count reason>, …. preemption: …``. The reasons are those of its
plug-ins.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.kubernetes.resources import quantity
from kpl_lab.engines.kubernetes.saying import Json, Saying, whole

_HEAD = re.compile(r"0/(?P<total>\d+) nodes are available:?\s*(?P<rest>.*)", re.S)
_POST = re.compile(r"(?:^|\s)(?:no new claims to deallocate, )?preemption: .*", re.S)
_PART = re.compile(r"^(?P<nodes>\d+) (?P<reason>.+)$", re.S)
# Between parts; a taint or a name may hold a comma, but no count follows it.
_COMMA = re.compile(r", (?=\d+ )")
_INSUFFICIENT = re.compile(r"^Insufficient (?P<resource>\S+)$")
_TAINT = re.compile(
    r"untolerated taint(?:\(s\))?(?: \{(?P<taint>[^}]*)\})?|had taints? (?:\{(?P<old>[^}]*)\})?"
)
_CLAIM = re.compile(
    r'persistentvolumeclaim "(?P<claim>[^"]+)" (?P<what>not found|is being deleted)'
)
_LOST_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_PRESSURE = "-pressure"
_OWN_RESOURCES = {
    "cpu": "insufficient_cpu",
    "memory": "insufficient_memory",
    "ephemeral-storage": "insufficient_disk",
}
_BY_REASON: tuple[tuple[str, str], ...] = (
    ("Too many pods", "too_many_pods"),
    ("match Pod's node affinity/selector", "node_selector"),
    ("match scheduler-enforced node affinity", "node_selector"),
    ("match the requested node name", "node_selector"),
    ("were unschedulable", "node_cordoned"),
    ("volume node affinity conflict", "volume_elsewhere"),
    ("match PersistentVolume's node affinity", "volume_elsewhere"),
    ("no available volume zone", "volume_elsewhere"),
    ("exceed max volume count", "volume_limit"),
    ("available persistent volumes to bind", "volume_unbound"),
    ("unbound immediate PersistentVolumeClaims", "volume_unbound"),
    ("did not have enough free storage", "volume_no_room"),
    ("ReadWriteOncePod", "volume_in_use"),
    ("bound to non-existent", "volume_missing"),
    ("had no available disk", "volume_in_use"),
    ("free ports for the requested pod ports", "port_taken"),
    ("pod affinity rules", "pod_affinity"),
    ("anti-affinity", "pod_affinity"),
    ("topology spread constraints", "pod_spread"),
)
# Of several kinds of obstacles the first that is there gives the whole its name.
_ORDER = (
    "volume_missing", "volume_unbound", "volume_in_use", "volume_elsewhere", "volume_no_room",
    "volume_limit", "insufficient_gpu", "insufficient_resource", "insufficient_memory",
    "insufficient_cpu", "insufficient_disk", "too_many_pods", "node_selector", "taint", "node_lost",
    "node_pressure", "node_cordoned", "pod_affinity", "pod_spread", "port_taken", "no_node",
)  # fmt: skip
PHRASES: Mapping[str, str] = {
    "insufficient_cpu": "too few processor cores free",
    "insufficient_memory": "too little memory free",
    "insufficient_gpu": "too few GPUs free: {what}",
    "insufficient_resource": "too little {what} free",
    "insufficient_disk": "too little disk free",
    "too_many_pods": "as many pods there as allowed",
    "node_selector": "other labels than asked for",
    "node_cordoned": "closed to new pods",
    "node_lost": "no contact to the cluster",
    "node_pressure": "short of memory or disk: {what}",
    "taint": "a taint that is not tolerated: {what}",
    "volume_elsewhere": "no access to the volume",
    "volume_limit": "as many volumes there as allowed",
    "volume_no_room": "too little room for the volume",
    "volume_in_use": "a volume that another pod uses",
    "volume_unbound": "no volume for the claim",
    "volume_missing": "a claim whose volume is gone",
    "port_taken": "the port in use already",
    "pod_affinity": "other pods that exclude this one",
    "pod_spread": "more than its share of these pods",
    "no_node": "another obstacle: {what}",
}
STEPS: Mapping[str, str] = {
    "insufficient": "It starts as soon as something ends; or ask for less.",
    "volume_unbound": "The claim needs a storage class that gives volumes, or a volume that fits.",
    "volume_missing": "Have the claim removed, or its volume restored.",
    "volume_in_use": "It starts when the other pod ends.",
    "volume": "It has to run where its volume is: free room there.",
    "node_selector": "Choose another pool, or have nodes labelled.",
    "taint": "Choose another pool, or have the engine's options tolerate it.",
    "node": "An administrator of the cluster has to bring nodes back.",
    "too_many_pods": "It starts as soon as something ends.",
}
NO_NODE = "No node of the cluster takes it yet: "
PART = "{phrase} ({count} of {total})"
TABLE = " It asks for {asked}; in all the nodes have {nodes}."
ELSE = "It is tried again; if that stays, ask an administrator of the cluster."
NEVER = "No node has that much in all: ask for less, or choose another pool."
# What a sentence can hold; the detail has all of them.
_NODES_NAMED = 3


@dataclass(frozen=True)
class Obstacle:
    """What keeps a pod from some nodes.

    Attributes
    ----------
    nodes
        On how many; 0: everywhere.
    what
        Name of the resource, the taint, or the scheduler's own reason.
    """

    code: str
    nodes: int
    what: str

    def phrase(self) -> str:
        """Return what such a node has."""
        return PHRASES[self.code].format(what=self.what)


@dataclass(frozen=True)
class Verdict:
    """The scheduler's message, taken apart."""

    total: int
    obstacles: Sequence[Obstacle]

    @property
    def main(self) -> str:
        """Code of the obstacle that matters most."""
        codes = {obstacle.code for obstacle in self.obstacles}
        return next((code for code in _ORDER if code in codes), "no_node")


def verdict(message: str) -> Verdict | None:
    """Return what a message of the scheduler says; None when it is none of ``nodes are available``."""
    head = _HEAD.search(message)
    if head is None:
        return None
    total, rest = int(head["total"]), _POST.sub("", head["rest"]).strip()
    found: Counter[tuple[str, str]] = Counter()
    for part in _COMMA.split(rest.rstrip(". ")):
        if not part:
            continue
        counted = _PART.match(part.strip())
        reason = counted["reason"].rstrip(".") if counted else part
        found[_obstacle(reason)] += int(counted["nodes"]) if counted else 0
    obstacles = (Obstacle(code, nodes, what) for (code, what), nodes in found.items())
    return Verdict(total, tuple(obstacles))


def _obstacle(reason: str) -> tuple[str, str]:
    short = _INSUFFICIENT.match(reason)
    if short is not None:
        return _resource_code(short["resource"]), short["resource"]
    taint = _TAINT.search(reason)
    if taint is not None:
        return _taint_code((taint["taint"] or taint["old"] or "").strip())
    claim = _CLAIM.search(reason)
    if claim is not None:
        return "volume_missing", claim["claim"]
    for part, code in _BY_REASON:
        if part in reason:
            return code, reason
    return "no_node", reason


def _resource_code(resource: str) -> str:
    own = _OWN_RESOURCES.get(resource)
    if own is not None:
        return own
    return "insufficient_gpu" if is_gpu(resource) else "insufficient_resource"


def is_gpu(resource: str) -> bool:
    """Say whether an extended resource is an accelerator: whole, shared or part of one."""
    name = resource.lower()
    return any(part in name for part in ("gpu", "mig-", "ascend", "npu", "gcu", "mlu", "tpu"))


def _taint_code(taint: str) -> tuple[str, str]:
    key = re.split(r"[:=]", taint)[0].strip()
    if key in _LOST_TAINTS:
        return "node_lost", key
    if key.endswith(_PRESSURE):
        return "node_pressure", key.rpartition("/")[2]
    if key == "node.kubernetes.io/unschedulable":
        return "node_cordoned", key
    return "taint", taint.rstrip(": ") or "not named"


def unscheduled(
    message: str, pod: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]] | None = None
) -> Saying:
    """Return why no node takes a pod.

    Parameters
    ----------
    message
        Of the pod's condition ``PodScheduled``, or of an event ``FailedScheduling``.
    nodes
        The cluster's nodes, to say which have how much; None: we may not see them.
    """
    found = verdict(message)
    if found is None or found.total == 0:
        return _other(message)
    missing = [one for one in found.obstacles if one.code == "volume_missing" and one.nodes == 0]
    if missing:
        return Saying(
            code="volume_missing",
            text=f"It needs the volume claim {missing[0].what}, which does not exist or is being deleted; have "
            "it made again.",
            is_hopeless=True,
            detail={"message": message, "claim": missing[0].what},
        )
    parts = [_part(one, found.total) for one in found.obstacles]
    lacks = _lacks(pod, found, nodes)
    detail: Json = {
        "message": message,
        "nodes": found.total,
        "obstacles": [
            {"code": one.code, "nodes": one.nodes or found.total, "what": one.what}
            for one in found.obstacles
        ],
    }
    text = f"{NO_NODE}{', '.join(parts)}."
    step = _step(found.main)
    if lacks:
        detail["lacks"] = lacks
        text += _table(lacks)
        step = NEVER if _is_never(lacks) else step
    return Saying(code=found.main, text=f"{text} {step}".strip(), detail=detail)


def _part(one: Obstacle, total: int) -> str:
    count = one.nodes or total
    return PART.format(count=count, total=total, phrase=one.phrase())


def _step(code: str) -> str:
    if code in STEPS:
        return STEPS[code]
    return next((step for start, step in STEPS.items() if code.startswith(start)), ELSE)


def _lacks(
    pod: Mapping[str, Any], found: Verdict, nodes: Sequence[Mapping[str, Any]] | None
) -> list[Json]:
    """Return for each resource that is short what is asked for, and what each node has in all."""
    resources = {
        _resource_of(one) for one in found.obstacles if one.code.startswith("insufficient_")
    }
    lacks = []
    for resource in sorted(resources) if nodes else ():
        has = {
            str(node["metadata"]["name"]): str(
                ((node.get("status") or {}).get("allocatable") or {}).get(resource, "0")
            )
            for node in nodes or ()
        }
        lacks.append({"resource": resource, "asked": _asked(pod, resource), "nodes": has})
    return lacks


def _resource_of(one: Obstacle) -> str:
    return next((name for name, code in _OWN_RESOURCES.items() if code == one.code), one.what)


def _asked(pod: Mapping[str, Any], resource: str) -> float:
    """Return how much of a resource a pod reserves: its containers together, with its sidecars."""
    spec = pod.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    total = 0.0
    for container in [*(spec.get("containers") or ()), *sidecars]:
        resources = container.get("resources") or {}
        asked = (resources.get("requests") or {}).get(resource)
        asked = (resources.get("limits") or {}).get(resource, 0) if asked is None else asked
        total += quantity(asked)
    return total


def _table(lacks: Sequence[Json]) -> str:
    """Say what is asked for, and what the largest nodes have of it in all."""
    asked = ", ".join(_amount(lack["resource"], lack["asked"]) for lack in lacks)
    names = sorted(lacks[0]["nodes"], key=lambda name: (-_share(lacks, name), name))
    nodes = "; ".join(
        f"{name}: "
        + ", ".join(_amount(one["resource"], quantity(one["nodes"][name])) for one in lacks)
        for name in names[:_NODES_NAMED]
    )
    more = "; …" if len(names) > _NODES_NAMED else ""
    return TABLE.format(asked=asked, nodes=nodes + more)


def _share(lacks: Sequence[Json], name: str) -> float:
    """Return how much of what is asked for a node has in all, by what it has least of."""
    return min(quantity(one["nodes"][name]) / (one["asked"] or 1.0) for one in lacks)


def _is_never(lacks: Sequence[Json]) -> bool:
    """Say whether there is something of which even the largest node has too little in all."""
    return any(max(map(quantity, one["nodes"].values())) < one["asked"] for one in lacks)


def _amount(resource: str, amount: float) -> str:
    if resource not in ("memory", "ephemeral-storage"):
        return f"{amount:g} {resource}"
    what = "memory" if resource == "memory" else "disk"
    unit, name = (2**30, "GiB") if amount >= 2**30 else (2**20, "MiB")
    number = f"{amount / unit:.1f}".removesuffix(".0")
    return f"{number} {name} {what}"


def _other(message: str) -> Saying:
    if "no nodes available" in message or "0/0 nodes" in message:
        return Saying(
            code="no_nodes",
            text="The cluster has no node at present; an administrator of the cluster has to bring one.",
            detail={"message": message},
        )
    return Saying(
        code="no_node",
        text=f"The cluster's scheduler cannot place it: {whole(message)} If that stays, ask an administrator "
        "of the cluster.",
        detail={"message": message},
    )
