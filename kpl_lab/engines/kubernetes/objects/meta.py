"""What every object of a workload has: its name, where it is, and the labels that find it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.plan import Plan

Manifest: TypeAlias = dict[str, Any]


def name_of(plan: Plan) -> str:
    """Return the name of a workload's objects; each kind of object has its own space of names."""
    return names.object_name(plan.installation, plan.workload.name)


def pull_secret_name(plan: Plan) -> str:
    """Return the name of the Secret with which nodes pull a workload's image."""
    return f"{name_of(plan)}-pull"


def labels_of(plan: Plan) -> dict[str, str]:
    """Return the labels of a workload's objects and pods."""
    workload = plan.workload
    return names.labels(
        plan.installation, workload.name, workload.kind.value, dict(workload.labels)
    )


def selector_of(plan: Plan) -> dict[str, str]:
    """Return the labels by which a workload's pods are found."""
    return names.workload_selector(plan.installation, plan.workload.name)


def metadata(plan: Plan, annotations: Mapping[str, str] | None = None) -> Manifest:
    """Return the metadata of an object of a workload."""
    found: Manifest = {
        "name": name_of(plan),
        "namespace": plan.namespace,
        "labels": labels_of(plan),
    }
    if annotations:
        found["annotations"] = dict(annotations)
    return found
