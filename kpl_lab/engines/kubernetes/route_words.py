"""What a cluster makes of a route, in words; pure functions.

Conditions and reasons are those of the Gateway API 1.0 to 1.4 (``RouteConditionType``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.kubernetes.words import Json
from kpl_lab.errors import KplError

MEANWHILE = "Until then calls go through the platform's own front door."
_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What all gateways say of a route as it is now.

    Attributes
    ----------
    unread
        Those that have not read it as it is now.
    is_taken
        One of them at least sends calls by it.
    is_harmful
        Calls that go by it fail: it has to go.
    """

    unread: Sequence[Json] = ()
    is_taken: bool = False
    is_harmful: bool = False
    message: str = ""

    @property
    def is_read(self) -> bool:
        """Whether all of them have."""
        return not self.unread


def gateway_name(parent: Mapping[str, Any], namespace: str) -> str:
    """Return a gateway as sentences name it."""
    return f"{parent.get('namespace') or namespace}/{parent.get('name', '')}"


def verdict(route: Json) -> Verdict:
    """Return what the status of an HTTPRoute says."""
    namespace, generation = route["metadata"]["namespace"], route["metadata"].get("generation", 0)
    told = (route.get("status") or {}).get("parents") or []
    found = [
        _of_parent(parent, told, namespace, generation) for parent in route["spec"]["parentRefs"]
    ]
    return Verdict(
        unread=[parent for one in found for parent in one.unread],
        is_taken=any(one.is_taken for one in found),
        is_harmful=any(one.is_harmful for one in found),
        message=" ".join(dict.fromkeys(one.message for one in found if one.message)),
    )


def _of_parent(parent: Json, told: Sequence[Json], namespace: str, generation: int) -> Verdict:
    """Return what the controllers of one gateway say; the worst of it."""
    mine = _key(parent, namespace)
    for status in told:
        conditions = {one["type"]: one for one in status.get("conditions") or ()}
        accepted = conditions.get("Accepted")
        is_old = (accepted or {}).get("observedGeneration", generation) < generation
        if _key(status["parentRef"], namespace) != mine or accepted is None or is_old:
            continue
        name = gateway_name(parent, namespace)
        if accepted["status"] != "True":
            return Verdict(message=_refused(name, namespace, accepted))
        for kind, bad in (("ResolvedRefs", "False"), ("PartiallyInvalid", "True")):
            condition = conditions.get(kind)
            if condition is not None and condition["status"] == bad:
                text = _broken(name, condition)
                return Verdict(is_harmful=True, message=text)
        return Verdict(is_taken=True)
    return Verdict(unread=[parent])


def _key(parent: Mapping[str, Any], namespace: str) -> tuple[object, ...]:
    place = parent.get("namespace") or namespace
    return place, parent.get("name"), parent.get("sectionName"), parent.get("port")


def _refused(name: str, namespace: str, condition: Json) -> str:
    words = _REFUSALS.get(condition.get("reason", ""))
    said = str(condition.get("message") or "").strip().rstrip(".") or condition.get("reason", "")
    if words is None:
        return f"The gateway {name} does not take the service's route: {said}. {MEANWHILE}"
    return f"{words(name, namespace, said)} {MEANWHILE}"


_REFUSALS: Mapping[str, Callable[[str, str, str], str]] = {
    "NotAllowedByListeners": lambda name, namespace, _said: (
        f"The gateway {name} takes no routes of the namespace {namespace}; its administrator has to allow "
        "them in `allowedRoutes` of its listener."
    ),
    "NoMatchingListenerHostname": lambda name, _namespace, _said: (
        f"No listener of the gateway {name} has one of the route's host names; correct `route_hosts`, or "
        "the host name of the listener."
    ),
    "NoMatchingParent": lambda name, _namespace, _said: (
        f"The gateway {name} has no listener of the section or port that `route_parents` names."
    ),
    "UnsupportedValue": lambda name, _namespace, said: (
        f"The controller of the gateway {name} cannot do what a service's route has to ({said}): change "
        "paths and headers, and divide calls."
    ),
    "InvalidParameters": lambda name, _namespace, said: (
        f"The gateway {name} itself is not in order ({said})."
    ),
}


def _broken(name: str, condition: Json) -> str:
    said = str(condition.get("message") or "").strip().rstrip(".") or condition.get("reason", "")
    return (
        f"The gateway {name} cannot send calls to the service by its route ({said}), which was withdrawn. "
        f"{MEANWHILE}"
    )


def unheard(parents: Sequence[Mapping[str, Any]], namespace: str, missing: Sequence[str]) -> str:
    """Return what is said when no controller tells anything of a route.

    Parameters
    ----------
    missing
        Gateways that are known not to be there.
    """
    if missing:
        return (
            f"There is no gateway {missing[0]} in the cluster; correct `route_parents`, or have it made. "
            f"{MEANWHILE}"
        )
    listed = ", ".join(gateway_name(one, namespace) for one in parents)
    return (
        f"Nothing has taken up the service's route: there is no gateway {listed}, or its controller does not "
        f"run. {MEANWHILE}"
    )


def refused(error: KplError, kind: str) -> str:
    """Return what is said when the cluster does not let a route be made."""
    is_absent = error.detail.get("status") == _NOT_FOUND and not error.detail.get("name")
    if is_absent and kind == "HTTPRoute":
        return (
            "The cluster has no Gateway API (HTTPRoute of gateway.networking.k8s.io/v1); an administrator "
            f"of the cluster has to install it, or to set `routes` to another way. {MEANWHILE}"
        )
    return f"{error.message} {MEANWHILE}"


def cannot_hold(path: str) -> str:
    """Return what is said of a path that routes cannot be trusted to read as the front door does."""
    return (
        f"The address {path} holds other letters than A to Z, digits, `.`, `_`, `~` and `-`; calls go through "
        "the platform's own front door."
    )


def knows_no_weights() -> str:
    """Return what is said while an Ingress would have to divide calls."""
    return (
        "An Ingress cannot divide calls; while two revisions share them, they go through the platform's "
        "own front door."
    )
