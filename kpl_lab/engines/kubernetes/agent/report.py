"""What an agent tells of its command: while it runs over the gate, at its end as its last words."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from kpl_lab.engines.kubernetes.agent.command import Use
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause

# Of a container's termination message 4096 bytes are kept.
_MOST_DETAIL = 1500
# Answers are told again and again: only those that somebody may still wait for.
_MOST_DONE = 20


class Phase(StrEnum):
    """How far a command is."""

    PREPARING = "preparing"
    FAILED = "failed"
    PREPARED = "prepared"
    RUNNING = "running"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    ENDED = "ended"
    SENT = "sent"


@dataclass
class Report:
    """The present of one pod.

    Attributes
    ----------
    doom
        Why the agent ends the command.
    done
        Answers to orders by their number: empty, or what was wrong.
    lost
        Outputs that could not be sent, and why.
    """

    phase: Phase = Phase.PREPARING
    doom: Doom | None = None
    memory_mb: int = 0
    memory_peak_mb: int = 0
    cpu: float = 0.0
    cpu_seconds: float = 0.0
    processes: int = 0
    done: dict[str, str] = field(default_factory=dict)
    lost: dict[str, str] = field(default_factory=dict)
    _measured_at: float | None = None

    def note(self, use: Use, moment: float) -> None:
        """Take a measurement; ``moment`` of a clock that only goes on."""
        if self._measured_at is not None and moment > self._measured_at:
            grown = max(0.0, use.cpu_seconds - self.cpu_seconds)
            self.cpu = round(grown / (moment - self._measured_at), 2)
        self._measured_at = moment
        self.memory_mb, self.processes = use.memory_mb, use.processes
        self.memory_peak_mb = max(self.memory_peak_mb, use.memory_mb)
        self.cpu_seconds = max(self.cpu_seconds, use.cpu_seconds)

    def answer(self, number: str, error: str) -> None:
        """Note what became of an order."""
        self.done[number] = error
        while len(self.done) > _MOST_DONE:
            del self.done[next(iter(self.done))]

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "phase": self.phase.value,
            "doom": _plain_doom(self.doom),
            "memory_mb": self.memory_mb,
            "memory_peak_mb": self.memory_peak_mb,
            "cpu": self.cpu,
            "cpu_seconds": round(self.cpu_seconds, 2),
            "processes": self.processes,
            "done": dict(self.done),
            "lost": dict(self.lost),
        }

    def last_words(self) -> dict[str, Any]:
        """Return what is left as the agent's termination message."""
        found = self.plain()
        found.pop("done")
        found["lost"] = {key: why[:200] for key, why in list(self.lost.items())[:10]}
        if found["doom"]:
            detail = found["doom"]["detail"]
            found["doom"]["detail"] = {
                key: value[:_MOST_DETAIL] if isinstance(value, str) else value
                for key, value in detail.items()
            }
        return found


def _plain_doom(doom: Doom | None) -> dict[str, Any] | None:
    return None if doom is None else {"cause": doom.cause.value, "detail": dict(doom.detail)}


def doom_of(found: dict[str, Any] | None) -> Doom | None:
    """Return what :meth:`Report.plain` has made of a doom."""
    return None if found is None else Doom(Cause(found["cause"]), dict(found["detail"]))
