"""What an agent says, made safe to read: a command shares its pod and its account, and may lie in its name."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.spec import Cause

Json = dict[str, Any]
_PHASES = frozenset(phase.value for phase in Phase)
_CAUSES = frozenset(cause.value for cause in Cause)
_INTEGERS = ("memory_mb", "memory_peak_mb", "processes")
_NUMBERS = ("cpu", "cpu_seconds")
# More than any honest report has.
_MOST_KEYS, _MOST_TEXT, _MOST_NUMBER = 100, 4000, 1e12


def report_of(found: Any) -> Json:  # noqa: ANN401 (JSON of somebody else)
    """Return a report with every key of ``Report.plain``; what makes no sense is as if it were not said."""
    given: Mapping[str, Any] = found if isinstance(found, dict) else {}
    phase = given.get("phase")
    return {
        "phase": phase if isinstance(phase, str) and phase in _PHASES else None,
        "doom": _doom(given.get("doom")),
        **{key: int(_number(given.get(key))) for key in _INTEGERS},
        **{key: _number(given.get(key)) for key in _NUMBERS},
        "done": _texts(given.get("done")),
        "lost": _texts(given.get("lost")),
    }


def words_of(message: str) -> Json | None:
    """Return the last words of an agent; None where nothing can be read from them."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return report_of(found) if isinstance(found, dict) else None


def _doom(found: Any) -> Json | None:  # noqa: ANN401 (JSON)
    if not isinstance(found, dict):
        return None
    cause, detail = found.get("cause"), found.get("detail")
    if not isinstance(cause, str) or cause not in _CAUSES:
        return None
    return {"cause": cause, "detail": dict(detail) if isinstance(detail, dict) else {}}


def _number(found: Any) -> float:  # noqa: ANN401 (JSON)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0.0
    # An integer of JSON may be larger than any float.
    if isinstance(found, int) and abs(found) > _MOST_NUMBER:
        return 0.0
    value = float(found)
    return value if math.isfinite(value) and 0 <= value <= _MOST_NUMBER else 0.0


def _texts(found: Any) -> dict[str, str]:  # noqa: ANN401 (JSON)
    if not isinstance(found, dict):
        return {}
    return {str(key): str(found[key])[:_MOST_TEXT] for key in list(found)[:_MOST_KEYS]}
