"""What the runner tells the agents of nodes, without a gate; a thread asks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.nodes import Nodes
from kpl_lab.engines.kubernetes.plan import TAKES_MOUNTS

NODE = "node-1"


class Pods:
    """One pod of each server on one node; its UID is the server's name."""

    def __init__(self) -> None:
        self.over: set[str] = set()
        self.when_asked: Callable[[], None] = lambda: None

    def of(self, name: str) -> list[dict[str, Any]]:
        self.when_asked()
        return [
            {
                "metadata": {"uid": name, "annotations": {TAKES_MOUNTS: "true"}},
                "spec": {"nodeName": NODE},
                "status": {"phase": "Failed" if name in self.over else "Running"},
            }
        ]


def test_the_end_of_a_pod_is_told_while_a_node_asks_for_a_version(tmp_path: Path) -> None:
    entries = {
        name: SimpleNamespace(
            name=name,
            shown={"data": name},
            mounted={"data": str(tmp_path / name)},
            is_adopted=False,
        )
        for name in ("first", "second")
    }
    pods = Pods()
    orders: list[dict[str, Any]] = []
    found = Nodes(cast(Any, SimpleNamespace(entries=entries)), cast(Any, pods), "id", tmp_path)
    found.linked(NODE, cast(Any, SimpleNamespace(order=orders.append)))
    found.reported(NODE, {"heard": 0, "pods": {}, "cache": {}})
    found.synced()
    assert set(orders[-1]["pods"]) == {"first", "second"}

    def ends() -> None:
        pods.when_asked = lambda: None
        pods.over.add("second")
        found.changed(names.label_value("second"))

    pods.when_asked = ends
    assert found.source(NODE, "first") == tmp_path / "first"
    assert set(orders[-1]["pods"]) == {"first"}
