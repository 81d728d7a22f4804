"""What a replica uses: as its agent has measured it, else as the cluster's metrics API has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.resources import quantity
from kpl_lab.engines.spec import Usage
from kpl_lab.errors import EngineError

_MIB = 1 << 20


def told_by_agent(report: Mapping[str, Any]) -> Usage:
    """Return what an agent says of its command."""
    return Usage(
        cpu=report["cpu"],
        cpu_seconds=report["cpu_seconds"],
        memory_mb=report["memory_mb"],
        memory_peak_mb=report["memory_peak_mb"],
        processes=report["processes"],
    )


async def told_by_cluster(cluster: Cluster, selector: str, pod: str) -> Usage | None:
    """Return what the metrics API says of the command of a pod; None where there is none, or not yet.

    It knows cores and memory of about the last half minute, and neither a peak nor processes.
    https://kubernetes.io/docs/reference/external-api/metrics.v1beta1/
    """
    try:
        found = await cluster.pod_metrics(selector)
    except EngineError:
        return None  # we may not see them
    for one in found or ():
        if one["metadata"]["name"] == pod:
            for container in one.get("containers") or ():
                if container["name"] == names.COMMAND_CONTAINER:
                    return _usage(container.get("usage") or {})
    return None


def _usage(used: Mapping[str, str]) -> Usage:
    memory = round(quantity(used.get("memory", "0")) / _MIB)
    return Usage(
        cpu=quantity(used.get("cpu", "0")),
        cpu_seconds=0.0,
        memory_mb=memory,
        memory_peak_mb=memory,
        processes=0,
    )
