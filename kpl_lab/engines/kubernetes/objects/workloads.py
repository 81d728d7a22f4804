"""What runs the pods of a workload: a Job, a Deployment, or a pod alone."""

from __future__ import annotations

import math

from kpl_lab.engines.kubernetes.objects.containers import AGENT_START_SECONDS
from kpl_lab.engines.kubernetes.objects.meta import Manifest, metadata, selector_of
from kpl_lab.engines.kubernetes.objects.parts import annotations_of
from kpl_lab.engines.kubernetes.objects.pod import pod_template
from kpl_lab.engines.kubernetes.plan import Plan
from kpl_lab.engines.spec import Kind

# https://kueue.sigs.k8s.io/docs/reference/labels-and-annotations/
QUEUE_API = "kueue.x-k8s.io"
QUEUE_LABEL = f"{QUEUE_API}/queue-name"


def job(plan: Plan) -> Manifest:
    """Return the Job of a task or a build.

    It is never repeated, for a program that has failed would fail again, but for what a disruption
    took (a node lost or emptied, a pre-emption): that does not count as its failure. Of a task of several
    it ends all: the others cannot go on with one that begins anew.

    A task that waits in a queue begins suspended, and Kueue alone resumes it: apply it once. Applied
    again it would be suspended again.
    """
    workload, shape = plan.workload, plan.shape
    found = metadata(plan, annotations_of(plan))
    spec: Manifest = {
        "completions": workload.replicas,
        "parallelism": workload.replicas,
        "completionMode": "Indexed" if plan.is_numbered else "NonIndexed",
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": _failure_rules(plan)},
        # A second pod of the same number never runs beside a first that still ends.
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": shape.keep_seconds,
        "template": pod_template(plan),
    }
    if shape.queue and workload.kind is Kind.TASK:
        found["labels"][QUEUE_LABEL] = shape.queue
        spec["suspend"] = True
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": found, "spec": spec}


def deployment(plan: Plan) -> Manifest:
    """Return the Deployment of a service: a new revision is ready before an old pod goes."""
    spec: Manifest = {
        "replicas": plan.workload.replicas,
        "selector": {"matchLabels": selector_of(plan)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "progressDeadlineSeconds": AGENT_START_SECONDS
        + math.ceil(plan.workload.start_timeout_seconds),
        "revisionHistoryLimit": 0,
        "template": pod_template(plan),
    }
    spec["template"]["spec"]["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector_of(plan)},
        }
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(plan, annotations_of(plan)),
        "spec": spec,
    }


def server_pod(plan: Plan) -> Manifest:
    """Return the pod of a server; nothing starts another in its place."""
    template = pod_template(plan)
    own = {**template["metadata"]["annotations"], **annotations_of(plan)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(plan, own),
        "spec": template["spec"],
    }


def _failure_rules(plan: Plan) -> list[Manifest]:
    """Return what an ended pod means; where none fits, ``backoffLimit`` ends the Job with the first failure.

    None is about exit codes: a controller holds such a rule against pods too that it ends itself because
    the Job is suspended, and a task that Kueue takes its turn from would have failed.
    """
    return [
        {
            "action": "FailJob" if plan.is_numbered else "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        }
    ]
