"""Why a container has ended, from what Docker says and what we have seen and done."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.running.rules import signal_name
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause

# An exit code above says which signal has ended the first process: Docker tells it as a shell does.
_SIGNAL_BASE = 128
_INIT_FAILURE = "[FATAL tini"
_CANNOT_RUN = (126, 127)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What is known of the end of one run.

    Attributes
    ----------
    doom
        Why we have ended it.
    is_short_of_memory
        The kernel has killed in it for lack of memory.
    is_foreign
        Somebody else has sent it a signal through Docker.
    is_unseen
        It ended while the daemon was away.
    last_line
        Of its log.
    """

    exit_code: int | None
    doom: Doom | None
    limit_mb: int
    is_short_of_memory: bool
    is_disk_full: bool
    is_foreign: bool
    is_unseen: bool
    last_line: str


def exit_code_of(code: int) -> int:
    """Return the command's own exit code, negative where a signal has ended it.

    A program that leaves with such a code by itself cannot be told from one that a signal ended.
    """
    if code > _SIGNAL_BASE and code - _SIGNAL_BASE in set(signal.Signals):
        return _SIGNAL_BASE - code
    return code


def cause_of(end: Ending) -> Doom:
    """Return why a run has ended, with the numbers behind it.

    What we decided counts first; then what the kernel did; then how the command left.
    """
    if end.doom is not None:
        return end.doom
    if end.exit_code == 0:
        return Doom(Cause.EXIT)
    if end.is_short_of_memory:
        return Doom(Cause.OUT_OF_MEMORY, memory_numbers(end.limit_mb))
    if end.is_disk_full:
        return Doom(Cause.DISK_FULL)
    if end.exit_code in _CANNOT_RUN and end.last_line.startswith(_INIT_FAILURE):
        return Doom(Cause.START_FAILED, {"error": end.last_line.partition("] ")[2]})
    if end.exit_code is not None and end.exit_code < 0:
        return _of_signal(-end.exit_code, end)
    return Doom(Cause.EXIT)


def memory_numbers(limit_mb: int) -> dict[str, Any]:
    """Return use and limit in MiB of what was killed for memory: it had all that it may."""
    return {"used_mb": limit_mb, "limit_mb": limit_mb}


def _of_signal(number: int, end: Ending) -> Doom:
    detail = {"signal": signal_name(number)}
    if end.is_unseen and number in (signal.SIGKILL, signal.SIGTERM):
        return Doom(Cause.LOST, detail)
    is_kill = end.is_foreign or number == signal.SIGKILL
    return Doom(Cause.KILLED if is_kill else Cause.SIGNAL, detail)
