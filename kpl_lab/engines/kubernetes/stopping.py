"""The end of a pod that was asked for: through its agent where that is there, else through the cluster."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.gate import Line

# So long an agent may take to connect, and to have ended the command after the grace.
_LINK_SECONDS = 3.0
_PATIENCE_SECONDS = 10.0


@dataclass
class _Asked:
    grace: float
    at: float
    is_deleted: bool = False

    @property
    def order(self) -> dict[str, Any]:
        return {"do": "stop", "grace": self.grace}


class Stopping:
    """Which pods were asked to end, and how."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._asked: dict[str, _Asked] = {}

    def forget(self, pod: str) -> None:
        """Let go of a pod that has gone."""
        self._asked.pop(pod, None)

    def linked(self, pod: str, line: Line) -> None:
        """Repeat what an agent that has just connected may not have heard."""
        if pod in self._asked:
            line.order(self._asked[pod].order)

    async def press(self, pod: Mapping[str, Any], grace: float, line: Line | None) -> None:
        """Have a pod end; called again and again until it has."""
        name, now = str(pod["metadata"]["name"]), time.monotonic()
        asked = self._asked.get(name)
        if asked is None or grace < asked.grace:
            asked = self._asked[name] = _Asked(grace, now)
            if line is not None:
                line.order(asked.order)
        since = now - asked.at
        if since > grace + _PATIENCE_SECONDS:
            await self._cluster.delete("Pod", name, grace_seconds=0)
        elif line is None and since > _LINK_SECONDS and not asked.is_deleted:
            asked.is_deleted = True
            await self._cluster.delete("Pod", name, grace_seconds=max(1, math.ceil(grace)))
