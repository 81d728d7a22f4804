"""Names, labels and annotations by which everything of an installation is found again in a cluster."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

PREFIX = "kpl-lab.io/"
INSTALLATION = PREFIX + "installation"
WORKLOAD = PREFIX + "workload"
KIND = PREFIX + "kind"
# Which replica a pod is: a number that we give to the pods of a Deployment.
REPLICA = PREFIX + "replica"
# Of a Job's pods, by Kubernetes itself.
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
# Of claims for homes, which outlive what uses them.
HOME = PREFIX + "home"
MANAGED_BY = {"app.kubernetes.io/managed-by": "kpl-lab"}
# Of the routes to services: which one it is, what it was made from, and whom it leads to.
ROUTE = PREFIX + "route"
ROUTE_DIGEST = PREFIX + "route-digest"
ROUTE_LEADS_TO = PREFIX + "route-leads-to"
# Annotations: the workload as JSON, without what is secret; when and with what grace it is to end.
SPEC = PREFIX + "workload-spec"
STOP = PREFIX + "stop"

# Set in a pod: its own name for the agent, and for the command the number of its replica where a
# Job has several.
POD_VARIABLE = "KPL_POD"
REPLICA_VARIABLE = "KPL_REPLICA"

COMMAND_CONTAINER = "main"
AGENT_CONTAINER = "agent"
# Set for an agent that starts and ends with its command.
TOGETHER_VARIABLE = "KPL_TOGETHER"

# A Job's pod ends in six characters, an Indexed Job's host name in its index, a Deployment's pod in
# seventeen; a host name has at most 63.
_MAX_NAME = 45
_NO_LABEL = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_LABEL = 63
_HASH = 8
_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
# Part of a home's own name in that of its claim, and digits of the hash where it is not all of it:
# a home's name is chosen by people, who must not find one that leads to another's claim.
_HOME, _HOME_HASH = 26, 16


def object_name(installation: str, workload: str) -> str:
    """Return the name of a workload's objects: bounded, unique, the same at each call.

    Parameters
    ----------
    installation
        Its id: eight hexadecimal digits.
    workload
        Name of the workload: a slug of at most 64 characters.
    """
    return bounded(f"kpl-{installation}-{workload}", _MAX_NAME)


def home_claim(installation: str, home: str) -> str:
    """Return the name of the claim for a home: at most 63 characters; ``home`` may have any letters.

    Two homes never share one: what is not a home's name as it stands has two dashes before a hash,
    which no plain name has.
    """
    if _SLUG.fullmatch(home) and len(home) <= _HOME + _HOME_HASH:
        plain = home
    else:
        readable = re.sub(r"[^a-z0-9]+", "-", home.lower())[:_HOME].strip("-")
        plain = f"{readable or 'x'}--{_hash(home, _HOME_HASH)}"
    return f"kpl-{installation}-home-{plain}"


def bounded(name: str, length: int) -> str:
    """Return a name of at most ``length`` characters; one that is cut ends in a hash of the whole.

    Two dashes stand before the hash, so that no slug is taken for what was cut of another.
    """
    if len(name) <= length:
        return name
    return f"{name[: length - _HASH - 2].rstrip('-')}--{_hash(name)}"


def label_value(text: str) -> str:
    """Return what may be a label's value: the text itself where it may, else close to it, with a hash."""
    plain = _NO_LABEL.sub("-", text)[:_MAX_LABEL].strip("-_.")
    if plain == text:
        return text
    return f"{plain[: _MAX_LABEL - _HASH - 1]}-{_hash(text)}".lstrip("-_.")


def labels(installation: str, workload: str, kind: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of every object of a workload."""
    return {
        **MANAGED_BY,
        **{PREFIX + key: label_value(value) for key, value in own.items()},
        INSTALLATION: installation,
        WORKLOAD: label_value(workload),
        KIND: kind,
    }


def selector(installation: str) -> str:
    """Return the label selector of everything of an installation."""
    return f"{INSTALLATION}={installation}"


def workload_selector(installation: str, workload: str) -> dict[str, str]:
    """Return the labels by which the pods of a workload are found."""
    return {INSTALLATION: installation, WORKLOAD: label_value(workload)}


def _hash(text: str, digits: int = _HASH) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
