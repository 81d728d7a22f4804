"""What an API server refuses, in words; pure functions.

Texts are those of Kubernetes 1.29 to 1.36 (``apimachinery/pkg/api/errors``, the admission plug-ins and
RBAC's authorizer); what none of them matches is shown as the server said it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kpl_lab.engines.kubernetes.refused import (
    Call,
    Clash,
    ClusterAway,
    Gone,
    Json,
    Missing,
    Refused,
)
from kpl_lab.engines.kubernetes.saying import whole
from kpl_lab.errors import KplError

__all__ = [
    "Call",
    "Clash",
    "ClusterAway",
    "Gone",
    "Json",
    "Missing",
    "Refused",
    "passing",
    "refusal",
]
_PASSING = frozenset({429, 500, 502, 503, 504})
_FULL_TEXT = "database space exceeded"
# Said with status 500, and true the next time too.
_FINAL = re.compile(f"{_FULL_TEXT}|failed to create typed patch object")
# In a namespace that was just made: a moment later it has one.
_NO_DEFAULT_ACCOUNT = re.compile(r'serviceaccount "default" not found')
# What the server quotes of an object may be thousands of characters.
_QUOTED = re.compile(r"Invalid value: \{.*\}: ", re.S)


def passing(status: int, message: str) -> bool:
    """Say whether the same request may succeed a little later."""
    if status in _PASSING:
        return _FINAL.search(message) is None
    return _NO_DEFAULT_ACCOUNT.search(message) is not None


def refusal(status: int, body: Mapping[str, Any], call: Call) -> KplError:
    """Return the error for an answer that is not a success.

    Parameters
    ----------
    status
        HTTP status.
    body
        The ``Status`` object, or ``{"message": …}`` for answers that are none.
    """
    message = _QUOTED.sub("", str(body.get("message") or "")).strip() or f"HTTP status {status}"
    detail: Json = {
        "status": status,
        "reason": str(body.get("reason") or ""),
        "message": message,
        "said": message,
        "verb": call.verb,
        "resource": call.resource,
        "group": call.group,
        "name": call.name,
        "namespace": call.namespace,
    }
    for pattern, words in _BY_TEXT:
        found = pattern.search(message)
        if found is not None:
            return words(found, call, detail)
    by_status = _BY_STATUS.get(status)
    if by_status is not None:
        return by_status(call, detail)
    return Refused(
        f"The cluster could not {call.verb} {call.what}: {message}",
        code="cluster_error",
        detail=detail,
    )


# --- by what it says ------------------------------------------------------------------------------


def _forbidden(found: re.Match[str], call: Call, detail: Json) -> KplError:
    verb, resource, group = found["verb"], found["resource"], found["group"] or ""
    where = (
        f"in the namespace {found['namespace']}" if found["namespace"] else "in the whole cluster"
    )
    rule = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
    role = "Role" if found["namespace"] else "ClusterRole"
    written = f'apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]'
    return Refused(
        f"The platform's account {found['user']} may not {verb} {resource} {where}; ask an administrator "
        f"of the cluster to add to its {role} the rule {{{written}}}.",
        code="cluster_forbidden",
        detail={**detail, "user": found["user"], "verb": verb, "resource": resource, "rule": rule},
    )


def _quota(found: re.Match[str], call: Call, detail: Json) -> KplError:
    asked, used, limit = (_amounts(found[part]) for part in ("asked", "used", "limit"))
    parts = [
        f"{name}: {amount} asked, {used.get(name, '?')} of {limit.get(name, '?')} used"
        for name, amount in asked.items()
    ]
    return Refused(
        f"The quota {found['quota']} of the namespace {call.namespace} is reached ({'; '.join(parts)}); "
        "wait until something ends, ask for less, or have the quota raised.",
        code="cluster_quota",
        detail={
            **detail,
            "quota": found["quota"],
            "asked": asked,
            "used": used,
            "limit": limit,
            "amounts": "; ".join(parts),
        },
    )


def _quota_needs(found: re.Match[str], call: Call, detail: Json) -> KplError:
    needs = found["needs"].strip()
    return Refused(
        f"The quota {found['quota']} of the namespace {call.namespace} wants every pod to say its "
        f"{needs}; add a LimitRange with defaults to the namespace.",
        code="cluster_quota",
        detail={**detail, "quota": found["quota"], "amounts": f"every pod has to say its {needs}"},
    )


def _terminating(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The namespace {found['namespace']} is being deleted; wait until it is gone and make it again, or "
        "use another one.",
        code="namespace_terminating",
        detail=detail,
    )


def _no_namespace(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"There is no namespace {found['namespace']} in the cluster; make it "
        f"(`kubectl create namespace {found['namespace']}`), or name another one.",
        code="namespace_missing",
        detail=detail,
    )


def _pod_security(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The namespace allows only pods of the security standard {found['level']}, and this one is not: "
        f"{found['what']}; change what was asked for, or have the namespace's label changed.",
        code="pod_security",
        detail={**detail, "level": found["level"], "said": f"{found['level']}: {found['what']}"},
    )


def _webhook(found: re.Match[str], call: Call, detail: Json) -> KplError:
    said = found["said"].strip() or "it gave no reason"
    return Refused(
        f"A policy of the cluster ({found['policy']}) refused {call.what}: {whole(said)} Change what was "
        "asked for as it says, or ask an administrator of the cluster.",
        code="cluster_policy",
        detail={**detail, "policy": found["policy"], "said": f"{found['policy']}: {said}"},
    )


def _webhook_down(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The cluster asks the policy {found['policy']} before it takes {call.what}, and that does not "
        f"answer ({found['said'].strip()}); ask an administrator of the cluster to repair it.",
        code="cluster_policy_down",
        detail={**detail, "policy": found["policy"]},
    )


def _limit_range(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The namespace {call.namespace} has limits for each pod: {found['what']}; ask for an amount "
        "within them.",
        code="cluster_limits",
        detail={**detail, "said": found["what"]},
    )


def _absent_class(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The cluster has no {found['kind']} named {found['name']}; correct the engine's options, or have "
        "it made.",
        code="cluster_class_missing",
        detail=detail,
    )


def _no_account(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        f"The namespace {call.namespace} has no service account {found['name']}; a new namespace gets its "
        "own a moment later, any other has to be made.",
        code="cluster_account_missing",
        detail=detail,
    )


def _full(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return Refused(
        "The cluster's own database (etcd) is full and takes no more objects; an administrator has to "
        "remove old objects and compact it.",
        code="cluster_full",
        detail=detail,
    )


def _amounts(text: str) -> dict[str, str]:
    return dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)


def _future(found: re.Match[str], call: Call, detail: Json) -> KplError:
    return _gone(call, detail)


Words = Callable[["re.Match[str]", Call, Json], KplError]
_BY_TEXT: tuple[tuple[re.Pattern[str], Words], ...] = (
    (
        re.compile(
            r'User "(?P<user>[^"]*)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" in API group '
            r'"(?P<group>[^"]*)"(?: in the namespace "(?P<namespace>[^"]+)")?'
        ),
        _forbidden,
    ),
    (
        re.compile(
            r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>.*?), used: (?P<used>.*?), "
            r"limited: (?P<limit>\S+)"
        ),
        _quota,
    ),
    (re.compile(r"failed quota: (?P<quota>[^:]+): must specify (?P<needs>.+)", re.S), _quota_needs),
    (
        re.compile(
            r"unable to create new content in namespace (?P<namespace>\S+) because it is being terminated"
        ),
        _terminating,
    ),
    (re.compile(r'^namespaces "(?P<namespace>[^"]+)" not found'), _no_namespace),
    (re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.+)', re.S), _pod_security),
    (
        re.compile(
            r'admission webhook "(?P<policy>[^"]+)" denied the request(?::|\b)(?P<said>.*)', re.S
        ),
        _webhook,
    ),
    (
        re.compile(
            r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'(?: with binding '[^']+')? denied request:?"
            r"(?P<said>.*)",
            re.S,
        ),
        _webhook,
    ),
    (re.compile(r'failed calling webhook "(?P<policy>[^"]+)":(?P<said>.*)', re.S), _webhook_down),
    (
        re.compile(
            r"(?P<what>\[?(?:maximum|minimum) \S+ usage per .+|\S+ max limit to request ratio .+)",
            re.S,
        ),
        _limit_range,
    ),
    (re.compile(r"no (?P<kind>PriorityClass) with name (?P<name>\S+) was found"), _absent_class),
    (re.compile(r'(?P<kind>RuntimeClass) "(?P<name>[^"]+)" not found'), _absent_class),
    # Asked for a version that is yet to come: the cluster was restored from a backup.
    (re.compile("Too large resource version"), _future),
    (re.compile(r'service account \S+: serviceaccount "(?P<name>[^"]+)" not found'), _no_account),
    (
        re.compile("failed to create typed patch object"),
        lambda _found, call, detail: _invalid(call, detail),
    ),
    (re.compile(_FULL_TEXT), _full),
    (
        re.compile(
            r"[Rr]equest (?:entity|is) too large|etcdserver: request is too large|message larger than max|"
            r"data: Too long|metadata\.annotations: Too long"
        ),
        lambda _found, call, detail: _large(call, detail),
    ),
)


# --- by the status --------------------------------------------------------------------------------


def _refused_token(call: Call, detail: Json) -> KplError:
    # The platform's own trouble, and over when somebody renews it: it ends nobody's workload.
    return ClusterAway(
        "The cluster does not accept the platform's token or certificate; it has expired or was withdrawn: "
        "renew the kubeconfig. It is also refused where the clocks of this machine and the cluster differ.",
        code="cluster_unauthenticated",
        detail=detail,
    )


def _other_forbidden(call: Call, detail: Json) -> KplError:
    return Refused(
        f"The cluster does not let the platform {call.verb} {call.what} {call.where}: {whole(detail['message'])} "
        "Ask an administrator of the cluster for that right.",
        code="cluster_forbidden",
        detail=detail,
    )


def _missing(call: Call, detail: Json) -> KplError:
    return Missing(
        f"The cluster has no {call.what} {call.where}: {detail['message']}",
        code="cluster_missing",
        detail=detail,
    )


def _clash(call: Call, detail: Json) -> KplError:
    if detail["reason"] == "AlreadyExists":
        return Clash(
            f"{call.what} exists already {call.where}; it may still be in deletion.",
            code="cluster_exists",
            detail=detail,
        )
    return Clash(
        f"{call.what} was changed by somebody else at the same time: {detail['message']}",
        code="cluster_conflict",
        detail=detail,
    )


def _gone(call: Call, detail: Json) -> KplError:
    return Gone(
        f"The cluster no longer keeps the history of {call.what} from which to go on.",
        code="cluster_gone",
        detail=detail,
    )


def _invalid(call: Call, detail: Json) -> KplError:
    return Refused(
        f"The cluster finds {call.what} wrong: {whole(detail['message'])} Change what was asked for; if nothing "
        "of it is named there, tell an administrator.",
        code="cluster_invalid",
        detail=detail,
    )


def _large(call: Call, detail: Json) -> KplError:
    return Refused(
        f"{call.what} is larger than the cluster takes ({detail['message']}); shorten its command, "
        "variables or files.",
        code="cluster_too_large",
        detail=detail,
    )


def _away(call: Call, detail: Json) -> KplError:
    return ClusterAway(
        f"The cluster's API server cannot answer at the moment ({detail['message']}); the platform goes on "
        "trying.",
        detail=detail,
    )


def _no_room(call: Call, detail: Json) -> KplError:
    return Refused(
        f"The cluster has no room to store {call.what} ({detail['message']}); an administrator has to make "
        "some.",
        code="cluster_full",
        detail=detail,
    )


_BY_STATUS: Mapping[int, Callable[[Call, Json], KplError]] = {
    400: _invalid,
    401: _refused_token,
    403: _other_forbidden,
    404: _missing,
    409: _clash,
    410: _gone,
    413: _large,
    422: _invalid,
    429: _away,
    # The way to a node is broken, or the server's own database cannot be reached.
    500: _away,
    502: _away,
    503: _away,
    504: _away,
    507: _no_room,
}
