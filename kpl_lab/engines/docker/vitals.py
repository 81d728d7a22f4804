"""Numbers of a running container, from what Docker measures."""

from __future__ import annotations

from typing import Any

from kpl_lab.engines.spec import Usage

_MIB = 1 << 20
_NANO = 10**9


def measured(stats: dict[str, Any] | None) -> Usage | None:
    """Return what one sample says; ``cpu`` needs two and is 0. None where nothing runs."""
    if not stats or not stats.get("memory_stats"):
        return None
    memory = stats["memory_stats"]
    kinds = memory.get("stats", {})
    # Pages of files that can be dropped are no use; version 1 and 2 of cgroups name them each.
    cache = kinds.get("total_inactive_file", kinds.get("inactive_file", 0))
    used = max(0, int(memory.get("usage", 0)) - int(cache)) // _MIB
    return Usage(
        cpu=0.0,
        cpu_seconds=stats["cpu_stats"]["cpu_usage"]["total_usage"] / _NANO,
        memory_mb=used,
        memory_peak_mb=max(used, int(memory.get("max_usage", 0)) // _MIB),
        processes=int(stats.get("pids_stats", {}).get("current", 0)),
    )
