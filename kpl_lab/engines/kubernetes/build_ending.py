"""What the end of a build's pod means: a pure function of its last words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.running.ends import exit_code_of
from kpl_lab.engines.running.pushing import refusal_of_push
from kpl_lab.engines.running.rules import signal_name
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause

_GIB = 1 << 30


def end_of(message: str, code: int) -> Doom | None:
    """Return what the last words of a build's pod mean; None where it has left none.

    They come from a pod in which a user's steps have run: nothing but words is taken from them.
    """
    try:
        found = json.loads(message)
        kind, error = str(found["kind"]), str(found["error"])
        return _doom(kind, error, code, found)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _doom(kind: str, error: str, code: int, said: Mapping[str, Any]) -> Doom:
    if kind == "push":
        error = refusal_of_push(str(said["to"]), error).message
    elif kind == "too_large":
        error = (
            f"The image has {int(said['bytes']) / _GIB:.1f} GiB; at most "
            f"{int(said['limit']) / _GIB:.1f} GiB are allowed here. Leave out what it does not need, "
            "or ask an administrator for more (image_limit_gb)."
        )
    if kind == "disk":
        return Doom(Cause.DISK_FULL, {"error": error})
    if kind != "step":
        return Doom(Cause.START_FAILED, {"error": error})
    ended = exit_code_of(code)
    if ended < 0:
        return Doom(Cause.KILLED, {"signal": signal_name(-ended)})
    return Doom(Cause.EXIT, {"error": error})
