"""Pods and events as clusters have them, for tests of words."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
IMAGE = "registry.example/team/train:1"


def pod(*, node: str = "node-1", phase: str = "Pending", **status: Any) -> Json:
    return {
        "metadata": {"name": "p", "namespace": "lab"},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": IMAGE}],
        },
        "status": {"phase": phase, **status},
    }


def waits(reason: str, message: str = "", **more: Any) -> Json:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "main", "image": IMAGE, "state": state, **more}])


def event(reason: str, message: str, second: int = 0) -> Json:
    return {
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-01-01T00:00:{second:02}Z",
    }
