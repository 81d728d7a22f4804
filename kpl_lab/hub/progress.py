"""The start of a server as steps in words: queued, scheduled, starting, ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypedDict

from kpl_lab.schemas.servers import ServerStatus


class ProgressEvent(TypedDict):
    """What JupyterHub sends to the page; ``step`` is ours: which line of the list it belongs to."""

    progress: int
    message: str
    step: str


@dataclass(frozen=True)
class _Step:
    progress: int
    message: str
    name: str


_STEPS = {
    "pending": _Step(10, "Waiting for room on the machine", "queued"),
    "starting": _Step(50, "Starting JupyterLab", "starting"),
    "running": _Step(90, "JupyterLab answers", "ready"),
}
ASKED = _Step(2, "Asking the platform for a server", "queued")


def event_of(status: ServerStatus) -> ProgressEvent | None:
    """Return the event for a state of the server; None where there is nothing to tell."""
    step = _STEPS.get(status.state)
    if step is None:
        return None
    message = status.message if status.message and status.state != "running" else step.message
    return {"progress": step.progress, "message": message, "step": step.name}


class Progress:
    """The events of one start; whoever comes late gets all of them."""

    def __init__(self) -> None:
        self._events: list[ProgressEvent] = []
        self._more = asyncio.Event()
        self._is_done = False

    def tell(self, event: ProgressEvent | None) -> None:
        """Add an event, unless it repeats the last one."""
        if event is not None and (not self._events or self._events[-1] != event):
            self._events.append(event)
            self._wake()

    def finish(self) -> None:
        """End the stream of every reader."""
        self._is_done = True
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def follow(self) -> AsyncIterator[ProgressEvent]:
        """Yield what was told and what comes, until the end."""
        at = 0
        while True:
            more = self._more
            while at < len(self._events):
                yield self._events[at]
                at += 1
            if self._is_done:
                return
            await more.wait()


def first_event() -> ProgressEvent:
    """Return what is told before anything is known."""
    return {"progress": ASKED.progress, "message": ASKED.message, "step": ASKED.name}
