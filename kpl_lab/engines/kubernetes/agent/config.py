"""What an agent is told: a file of its Secret. The standard library alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kpl_lab.engines.running.service_watch import Timing


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What the agent of each pod of a workload is told.

    Attributes
    ----------
    gate
        Host and port of the runner's gate, as pods reach it.
    token
        Opens the gate for this workload.
    inputs, outputs
        Keys; each is a folder below the places of ``kpl_lab.engines.kubernetes.plan``.
    has_code
        Whether there is code to fetch.
    home
        The persistent home inside; None: a private one.
    has_skeleton
        Whether a new home begins with files.
    mounts
        Folder in which live mounts appear; None: there are none.
    doors
        Ports of the platform that are the same ports of the pod's loopback.
    relay
        What the relay is told, as JSON values of ``RelayTarget``; None: there is none.
    platform_port
        The platform's port, which the relay's socket leads to.
    port, health, kind, timing
        What is watched; see ``ServiceWatch``.
    """

    workload: str
    kind: str
    gate: tuple[str, int]
    token: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    has_code: bool
    home: str | None
    has_skeleton: bool
    mounts: str | None
    doors: Sequence[int]
    relay: Mapping[str, Any] | None
    relay_port: int
    platform_port: int
    port: int | None
    health: str | None
    timing: Timing

    @classmethod
    def read(cls, path: Path) -> AgentConfig:
        """Read what :meth:`plain` made."""
        found = json.loads(path.read_text())
        host, port = found.pop("gate")
        timing = Timing(**found.pop("timing"))
        return cls(**found, gate=(str(host), int(port)), timing=timing)

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "gate": list(self.gate)}
