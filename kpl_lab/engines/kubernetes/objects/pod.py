"""The pod of a replica: the command, its agent, and the account, nodes and volumes of both."""

from __future__ import annotations

import math
from typing import Any

from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.kubernetes.objects.containers import agent_container, command_container
from kpl_lab.engines.kubernetes.objects.meta import (
    Manifest,
    labels_of,
    name_of,
    pull_secret_name,
)
from kpl_lab.engines.kubernetes.objects.volumes import takes_mounts, volumes
from kpl_lab.engines.kubernetes.plan import TAKES_MOUNTS, Plan, Shape
from kpl_lab.engines.spec import Kind

# Whoever empties nodes to save some leaves alone what cannot be started again elsewhere.
# https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md
SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
# What kubectl takes where no container is named.
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
# What the agent takes to see that the command has ended, and to say why.
_LAST_SECONDS = 10


def pod_template(plan: Plan) -> Manifest:
    """Return metadata and specification of a workload's pods, as in a Job or a Deployment.

    Takes a service's timing from ``plan.agent["timing"]``; see ``AgentConfig``.
    """
    metadata: Manifest = {"labels": {**plan.shape.pod_labels, **labels_of(plan)}}
    annotations = dict(plan.shape.pod_annotations)
    if plan.workload.kind in (Kind.TASK, Kind.SERVER):
        annotations[SAFE_TO_EVICT] = "false"
    if takes_mounts(plan):
        annotations[TAKES_MOUNTS] = "true"
    if plan.starts_together:
        annotations[DEFAULT_CONTAINER] = COMMAND_CONTAINER
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": _spec(plan)}


def _spec(plan: Plan) -> Manifest:
    is_service = plan.workload.kind is Kind.SERVICE
    command, agent = command_container(plan), agent_container(plan)
    containers = (
        {"containers": [agent, command]}
        if plan.starts_together
        else {"initContainers": [agent], "containers": [command]}
    )
    return {
        **containers,
        "volumes": volumes(plan),
        # The agent ends the command and looks at its processes.
        "shareProcessNamespace": True,
        "restartPolicy": "Always" if is_service else "Never",
        "terminationGracePeriodSeconds": _grace_seconds(plan),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _account(plan.shape),
        **_place(plan),
    }


def _account(shape: Shape) -> Manifest:
    user = shape.user_id
    found: Manifest = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if shape.supplemental_groups:
        found["supplementalGroups"] = [*shape.supplemental_groups]
    return found


def _place(plan: Plan) -> Manifest:
    """Return which nodes it may run on, and how."""
    shape = plan.shape
    pull = [*shape.pull_secrets, *([pull_secret_name(plan)] if plan.workload.login else ())]
    wanted: dict[str, Any] = {
        "nodeSelector": {"kubernetes.io/os": "linux", **shape.node_selector},
        "tolerations": [dict(one) for one in shape.tolerations],
        "imagePullSecrets": [{"name": name} for name in dict.fromkeys(pull)],
        "runtimeClassName": shape.runtime_class,
        "priorityClassName": shape.priority_class,
        # Of the headless Service by which replicas find each other.
        "subdomain": name_of(plan) if plan.is_numbered else "",
    }
    return {key: value for key, value in wanted.items() if value}


def _grace_seconds(plan: Plan) -> int:
    """Return the seconds from the first word of its end to the last.

    After the command's own the agent needs some to deliver metrics, and outputs, which may be big.
    """
    workload = plan.workload
    last = workload.grace_seconds + _LAST_SECONDS
    if workload.relay is not None:
        last += float(plan.agent["timing"]["relay_wait"])
    if workload.outputs and workload.kind is Kind.TASK:
        last += plan.shape.send_seconds
    return math.ceil(last)
