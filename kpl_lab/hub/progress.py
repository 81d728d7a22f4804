"""The start of a server as steps in words: queued, scheduled, image, starting, ready."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.schemas.common import Event
from kpl_lab.schemas.servers import ServerStatus


class ProgressEvent(TypedDict):
    """What JupyterHub sends to the page; all but the first two is ours.

    ``step`` is the line of the list that it belongs to; ``event`` and ``level`` are those of an
    entry of the server's history, empty where it is none. ``time`` is when it happened (ISO 8601):
    whoever opens the page later reads the same.
    """

    progress: int
    message: str
    step: str
    event: str
    level: str
    time: str


@dataclass(frozen=True)
class _Step:
    progress: int
    message: str
    name: str

    def say(self, message: str = "", event: str = "", level: str = "normal") -> ProgressEvent:
        return {
            "progress": self.progress,
            "message": message or self.message,
            "step": self.name,
            "event": event,
            "level": level,
            "time": "",
        }


ASKED = _Step(2, "Asking the platform for a server", "queued")
_QUEUED = _Step(10, "Waiting for room on the machine", "queued")
_SCHEDULED = _Step(25, "There is room", "scheduled")
_IMAGE = _Step(40, "Preparing the image", "image")
_STARTING = _Step(60, "Starting JupyterLab", "starting")
_READY = _Step(90, "JupyterLab answers", "ready")
_STEPS = {"pending": _QUEUED, "starting": _STARTING, "running": _READY}
_STEPS_OF_EVENTS = {
    "Queued": _QUEUED,
    "Scheduled": _SCHEDULED,
    "PullingImage": _IMAGE,
    "PulledImage": _IMAGE,
    "NotebookHealthy": _READY,
}
# After which events a start is at which step.
_STEPS_REACHED = {
    "Queued": _QUEUED,
    "Scheduled": _STARTING,
    "PullingImage": _IMAGE,
    "PulledImage": _STARTING,
}
# Of the platform's domain/server_events.py: where a starting server stands.
_STEPS_OF_REASONS = {"no_place": _QUEUED, "being_set_up": _SCHEDULED, "pulling_image": _IMAGE}


def event_of(status: ServerStatus) -> ProgressEvent | None:
    """Return the event for a state of the server; None where there is nothing to tell."""
    step = _STEPS.get(status.state)
    if step is None:
        return None
    if status.state == "starting":
        step = _STEPS_OF_REASONS.get(status.reason or "", step)
    return step.say("" if step is _READY else status.message or "")


class Progress:
    """The events of one start; whoever comes late gets all of them."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._events: list[ProgressEvent] = []
        self._more = asyncio.Event()
        self._is_done = False
        self._known = 0
        self._step = _QUEUED

    def tell_status(self, status: ServerStatus) -> None:
        """Add what is new in a server's history, then how far it is."""
        self._tell_history(status.events)
        self.tell(event_of(status))

    def _tell_history(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.id > self._known:
                self._known = event.id
                name = str(event.data.get("event", ""))
                # What belongs to no step of its own is told of the one that was reached.
                self._step = _STEPS_OF_EVENTS.get(name, self._step)
                self.tell(self._step.say(event.message, name, event.level), event.time)

    def tell(self, event: ProgressEvent | None, at: dt.datetime | None = None) -> None:
        """Add an event, unless it repeats the last one; a bar never goes back.

        Parameters
        ----------
        at
            When it happened; None: now.
        """
        if event is None:
            return
        last = self._events[-1] if self._events else None
        if last is not None:
            event = {**event, "progress": max(event["progress"], last["progress"])}
        if last is None or event != {**last, "time": ""}:
            self._events.append({**event, "time": (at or self._clock.now()).isoformat()})
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


def step_reached(events: Sequence[Event]) -> str:
    """Return the name of the step at which a start is, or ended, by its history."""
    step = _QUEUED
    for event in events:
        step = _STEPS_REACHED.get(str(event.data.get("event", "")), step)
    return step.name


def first_event() -> ProgressEvent:
    """Return what is told before anything is known."""
    return ASKED.say()
