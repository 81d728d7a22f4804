"""Waiting for a state: the event stream says when to look, a look every few seconds is the net."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from kpl_lab.client.events import PATIENCE_SECONDS, Events, Subscription
from kpl_lab.errors import KplError, NotFound, Unavailable
from kpl_lab.schemas.common import Event

T = TypeVar("T")

LOOK_SECONDS = 3.0
"""Look at least so often even when the stream is silent."""


class NotDoneInTime(KplError):
    """What was waited for has not come to its end; it still may."""

    default_code = "not_done_in_time"


@dataclass(frozen=True)
class Watch:
    """What to listen to while waiting.

    Attributes
    ----------
    resources
        Plural nouns whose events may mean that the state changed.
    resource_id
        Only events of this one; None: of all.
    timeout_seconds
        Give up after so long; None: never.
    """

    resources: tuple[str, ...]
    resource_id: int | None = None
    timeout_seconds: float | None = None


def wait_until(
    events: Events,
    watch: Watch,
    look: Callable[[], T],
    is_done: Callable[[T], bool],
    on_look: Callable[[T], None] | None = None,
) -> T:
    """Look, whenever something happened, until the state is the wanted one, and return it.

    Parameters
    ----------
    look
        Fetches the state.
    is_done
        Tells whether it is what is waited for.
    on_look
        Told each state, for progress.

    Raises
    ------
    NotDoneInTime
        ``watch.timeout_seconds`` are over.
    Unavailable
        The platform was away for longer than a restart takes.
    """
    started = time.monotonic()
    absence = _Absence()
    subscription = Subscription(resources=watch.resources)
    idle_seconds = min(LOOK_SECONDS, watch.timeout_seconds or LOOK_SECONDS)
    for item in events.stream(subscription, idle_seconds=idle_seconds):
        if isinstance(item, Event) and watch.resource_id not in (None, item.resource_id):
            continue
        try:
            state = look()
        except Unavailable:
            # What is waited for goes on meanwhile.
            if absence.is_too_long():
                raise
        else:
            absence = _Absence()
            if on_look:
                on_look(state)
            if is_done(state):
                return state
        _check_time(watch, started)
    raise AssertionError("the stream of events never ends")


class _Absence:
    """How long looks have not been answered; it begins with the first that is noted."""

    def __init__(self) -> None:
        self._since: float | None = None

    def is_too_long(self) -> bool:
        """Note that nobody answered, and say whether that was so for too long."""
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since > PATIENCE_SECONDS


def _check_time(watch: Watch, started: float) -> None:
    seconds = watch.timeout_seconds
    if seconds is not None and time.monotonic() - started > seconds:
        raise NotDoneInTime(
            f"It is not done after {seconds:g} seconds, and goes on; look again later, or give it more "
            "with --timeout."
        )


def wait_until_gone(events: Events, watch: Watch, look: Callable[[], object]) -> None:
    """Return when ``look`` finds nothing any more."""

    def is_gone() -> bool:
        try:
            look()
        except NotFound:
            return True
        return False

    wait_until(events, watch, is_gone, bool)
