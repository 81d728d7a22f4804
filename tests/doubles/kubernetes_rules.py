"""How an API server changes objects and what it fills in: pure functions of the double."""

from __future__ import annotations

import base64
import copy
import uuid
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.resources import quantity

Json = dict[str, Any]
# What may not be changed once it is there.
_FIXED: Mapping[str, tuple[str, ...]] = {
    "Job": ("template", "selector", "completionMode"),
    "Deployment": ("selector",),
    "Pod": ("containers", "initContainers", "volumes", "nodeSelector", "restartPolicy"),
    "PersistentVolumeClaim": ("storageClassName", "accessModes", "volumeName"),
}


def merge_patch(target: Any, patch: Any) -> Any:
    """Return ``target`` changed by a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def without(target: Json, before: Mapping[str, Any], present: Mapping[str, Any]) -> Json:
    """Return ``target`` without the fields of ``before`` that ``present`` has no more."""
    left = dict(target)
    for key, value in before.items():
        if key not in present:
            left.pop(key, None)
        elif isinstance(value, dict) and isinstance(left.get(key), dict):
            left[key] = without(left[key], value, present[key] or {})
    return left


def same(old: Json, new: Json) -> bool:
    """Say whether nothing was changed."""

    def bare(obj: Json) -> Json:
        metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
        return {**obj, "metadata": metadata}

    return bare(old) == bare(new)


def grace_of(kind: str, obj: Json, options: Mapping[str, Any]) -> int:
    """Return the seconds that a pod's processes get; nothing else has any."""
    if kind != "Pod" or not obj["spec"].get("nodeName"):
        return 0
    if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    asked = options.get("gracePeriodSeconds")
    if asked is not None:
        return int(asked)
    return int(obj["spec"].get("terminationGracePeriodSeconds", 30))


def fixed_field(old: Json, new: Json) -> str:
    """Return the field of ``spec`` that may not be changed and was; empty: none."""
    for field in _FIXED.get(new["kind"], ()):
        before, after = (obj.get("spec", {}).get(field) for obj in (old, new))
        if before != after:
            return field
    if new["kind"] == "PersistentVolumeClaim" and _storage(new) < _storage(old):
        return "resources.requests.storage"
    return ""


def _storage(claim: Json) -> float:
    return quantity(claim["spec"].get("resources", {}).get("requests", {}).get("storage", 0))


def fill_in(obj: Json) -> None:
    """Fill in what a server fills in, as far as the engine can see it."""
    kind, spec = obj["kind"], obj.setdefault("spec", {})
    if kind == "Secret":
        del obj["spec"]
        data = obj.setdefault("data", {})
        for key, value in obj.pop("stringData", {}).items():
            data[key] = base64.b64encode(value.encode()).decode()
    elif kind == "Event":
        del obj["spec"]
    elif kind in ("Job", "Deployment", "HTTPRoute"):
        obj["metadata"].setdefault("generation", 1)
        obj.setdefault("status", {})
    elif kind == "Pod":
        obj.setdefault("status", {"phase": "Pending", "qosClass": "Burstable"})
        spec.setdefault("terminationGracePeriodSeconds", 30)
        spec.setdefault("restartPolicy", "Always")
    elif kind == "Service" and spec.get("clusterIP") != "None":
        spec.setdefault("clusterIP", f"10.96.0.{uuid.uuid4().int % 250 + 1}")
    elif kind == "PersistentVolumeClaim":
        obj.setdefault("status", {"phase": "Pending"})
    elif kind == "Namespace":
        obj.setdefault("status", {"phase": "Active"})
