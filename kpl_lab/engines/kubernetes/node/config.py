"""What a node agent is told: by its arguments, and by what Kubernetes says of its pod."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.kubernetes.wire import NODE


@dataclass(frozen=True, kw_only=True)
class NodeConfig:
    """How a node agent works.

    Attributes
    ----------
    node
        Name of its node.
    gate
        Host and port of the runner's gate.
    token_file
        Holds what opens the gate for node agents; read at each call, so that it can be changed.
    pods
        The kubelet's folder of pods.
    cache, cache_bytes
        Where versions lie, and how much they may be.
    marks
        Where the kubelet looks whether it goes on.
    """

    node: str
    gate: tuple[str, int]
    token_file: Path
    pods: Path
    cache: Path
    cache_bytes: int
    marks: Path

    @property
    def token(self) -> str:
        """What opens the gate."""
        return self.token_file.read_text().strip()

    @property
    def workload(self) -> str:
        """As whom it knocks."""
        return NODE + self.node
