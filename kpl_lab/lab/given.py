"""What this server was given: its limits and its home, as whoever started it says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kpl_lab.measures.cgroups import SELF, Counters

CLEAN_UP_VARIABLE = "KPL_CLEAN_UP"
MIB = 1 << 20


def number(text: str | None) -> float | None:
    """Return a limit; None where there is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None


def own_group(environment: Mapping[str, str], proc: Path = SELF) -> Counters | None:
    """Return the group of this process where it is the server's own.

    It is when its limit is the server's: the group of a server without limits holds the
    processes of others too.
    """
    limit = number(environment.get("MEM_LIMIT"))
    group = Counters.of_this_process(proc)
    if group is None:
        return None
    found = group.memory_limit_bytes()
    is_own = found is not None and (limit is None or abs(found - limit) < MIB)
    return group if is_own else None


def is_cleaning_up(environment: Mapping[str, str]) -> bool:
    """Say whether the engine found the home without room."""
    return bool(environment.get(CLEAN_UP_VARIABLE))
