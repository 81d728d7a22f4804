"""What the cluster last said of our objects, by workload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kpl_lab.engines.kubernetes.names import (
    COMPLETION_INDEX,
    REPLICA,
    WORKLOAD,
    label_value,
    object_name,
)
from kpl_lab.engines.spec import Kind

Json = dict[str, Any]
# The object that makes the pods of a workload; of a server its one pod.
OBJECT_OF = {
    Kind.TASK: "Job",
    Kind.BUILD: "Job",
    Kind.SERVICE: "Deployment",
    Kind.SERVER: "Pod",
}
OWNERS = ("Job", "Deployment")


class Pods:
    """A view by workload of what a reflector holds.

    Parameters
    ----------
    installation
        Id, for the names of objects.
    on_change
        Called with the label (``names.label_value``) of a workload of which something has changed.
    """

    def __init__(self, installation: str, on_change: Callable[[str], None]) -> None:
        self._installation = installation
        self._on_change = on_change
        self._objects: dict[tuple[str, str], Json] = {}
        self._pods: dict[str, dict[str, Json]] = {}
        self._workload_of: dict[tuple[str, str], str] = {}

    def put(self, kind: str, found: Json | None, name: str) -> None:
        """Take what a reflector tells: an object, or that there is none of this name any more."""
        key = (kind, name)
        workload = self._workload_of.get(key)
        if found is None:
            self._objects.pop(key, None)
            self._workload_of.pop(key, None)
            if workload is not None and kind == "Pod":
                self._pods.get(workload, {}).pop(name, None)
                if not self._pods.get(workload):
                    self._pods.pop(workload, None)
        else:
            workload = (found["metadata"].get("labels") or {}).get(WORKLOAD)
            self._objects[key] = found
            if workload is not None:
                self._workload_of[key] = workload
                if kind == "Pod":
                    self._pods.setdefault(workload, {})[name] = found
        if workload is not None:
            self._on_change(workload)

    def of(self, workload: str) -> list[Json]:
        """Return the pods of a workload, oldest first."""
        found = self._pods.get(label_value(workload), {}).values()
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp") or ""))

    def object_of(self, workload: str, kind: Kind) -> Json | None:
        """Return the object that a workload is."""
        return self._objects.get((OBJECT_OF[kind], object_name(self._installation, workload)))

    def all(self) -> list[Json]:
        """Return every object."""
        return list(self._objects.values())


def index_of(pod: Json, kind: Kind) -> int | None:
    """Return which replica a pod is; None where nobody has said yet."""
    labels = pod["metadata"].get("labels") or {}
    if kind is Kind.SERVER:
        return 0
    text = labels.get(REPLICA if kind is Kind.SERVICE else COMPLETION_INDEX)
    if text is None:
        return None if kind is Kind.SERVICE else 0
    return int(text) if str(text).isdigit() else None


def is_leaving(pod: Json) -> bool:
    """Say whether a pod is being deleted."""
    return bool(pod["metadata"].get("deletionTimestamp"))
