"""What is kept of objects in memory: what the engine reads, without what it wrote itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.reflector import bare
from kpl_lab.engines.kubernetes.refused import Json

_POD_SPEC = ("nodeName", "restartPolicy", "schedulingGates")
_CONTAINER = ("name", "image", "resources", "restartPolicy")
# Longer texts are seldom the same twice.
_SHARED_LENGTH = 80


def of_pod(obj: Json) -> Json:
    """Return a pod without its volumes, variables, probes and the like."""
    spec = obj["spec"]
    kept = _only(spec, _POD_SPEC)
    for key in ("containers", "initContainers"):
        if spec.get(key):
            kept[key] = [_only(container, _CONTAINER) for container in spec[key]]
    found: Json = _shared({**bare(obj), "spec": kept, "status": obj.get("status") or {}})
    return found


def of_owner(obj: Json) -> Json:
    """Return a Job or Deployment without the template of its pods."""
    spec = {key: value for key, value in obj["spec"].items() if key != "template"}
    found: Json = _shared({**bare(obj), "spec": spec, "status": obj.get("status") or {}})
    return found


def _shared(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return JSON in which every short text is in memory but once."""
    if isinstance(value, dict):
        return {sys.intern(key): _shared(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shared(one) for one in value]
    if isinstance(value, str) and len(value) <= _SHARED_LENGTH:
        return sys.intern(value)
    return value


def _only(obj: Mapping[str, Any], keys: tuple[str, ...]) -> Json:
    return {key: obj[key] for key in keys if key in obj}
