"""The platform's event stream: events and logs, resumed where a connection broke.

Server-sent events after the WHATWG HTML standard, section 9.2, as far as the platform uses them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from kpl_lab.client.transport import Transport
from kpl_lab.errors import Unavailable
from kpl_lab.retry import backoff
from kpl_lab.schemas.common import Event

HEARTBEAT_SECONDS = 15.0
"""The platform sends a comment at least so often."""
PATIENCE_SECONDS = 60.0
"""For how long a broken stream is opened again before giving up."""


@dataclass(frozen=True)
class LogChunk:
    """A further piece of a log.

    ``source`` is e.g. ``tasks:42``; offsets are in bytes; ``complete`` after the last piece.
    """

    source: str
    text: str
    offset: int
    next_offset: int
    complete: bool


@dataclass(frozen=True)
class Tick:
    """The stream is (again) open, or alive; something may have been missed before it."""


@dataclass(frozen=True)
class Message:
    """One server-sent event; a comment has no data."""

    kind: str = "message"
    data: str = ""


@dataclass
class Subscription:
    """What to hear of; ``since`` and the offsets of ``logs`` move on as things arrive.

    Attributes
    ----------
    resources
        Plural nouns; none means all.
    logs
        Source (``tasks:42``, or ``tasks:42:1`` of node 1) to the next byte that is wanted.
    since
        Id of the last event that arrived; None starts now.
    """

    resources: tuple[str, ...] = ()
    logs: dict[str, int] = field(default_factory=dict)
    since: int | None = None

    def params(self) -> dict[str, Any]:
        """Return the query of the request that opens the stream."""
        return {
            "since": self.since,
            "resource": list(self.resources),
            "log": [_wanted(source, offset) for source, offset in self.logs.items()],
        }


def _wanted(source: str, offset: int) -> str:
    """Return what the platform calls a log from a byte on: ``resource:id:offset[:number]``."""
    resource, id, *number = source.split(":")
    return ":".join([resource, id, str(offset), *number])


def parse(lines: Iterable[str]) -> Iterator[Message]:
    """Yield the messages of a stream of lines; a comment yields an empty one."""
    kind, data = "message", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Message(kind, "\n".join(data))
            kind, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            yield Message()
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


class Events:
    """``/events``: the one stream of everything that the caller may see."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def stream(
        self,
        subscription: Subscription,
        *,
        idle_seconds: float = 3 * HEARTBEAT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Iterator[Event | LogChunk | Tick]:
        """Yield what happens, for ever; a ``Tick`` comes first and after every new connection.

        Parameters
        ----------
        idle_seconds
            Open the stream anew when nothing came for so long.
        patience_seconds
            For how long nobody may answer.

        Raises
        ------
        Unavailable
            Nobody answered for ``patience_seconds``.
        """
        lost_at = time.monotonic()
        waits = backoff(0.1, max_seconds=2.0)
        while True:
            try:
                for item in self._connection(subscription, idle_seconds):
                    lost_at = time.monotonic()
                    waits = backoff(0.1, max_seconds=2.0)
                    yield item
                    lost_at = time.monotonic()
            except Unavailable as error:
                if isinstance(error.__cause__, httpx.ReadTimeout):
                    continue
                if time.monotonic() - lost_at > patience_seconds:
                    raise
            self._transport.sleep(next(waits))

    def _connection(
        self, subscription: Subscription, idle_seconds: float
    ) -> Iterator[Event | LogChunk | Tick]:
        params = subscription.params()
        with self._transport.stream("/events", params=params, read_seconds=idle_seconds) as answer:
            yield Tick()
            for message in parse(answer.iter_lines()):
                yield _understood(message, subscription)


def _understood(message: Message, subscription: Subscription) -> Event | LogChunk | Tick:
    if message.kind == "log":
        chunk = LogChunk(**json.loads(message.data))
        if chunk.source in subscription.logs:
            subscription.logs[chunk.source] = chunk.next_offset
        return chunk
    if message.kind == "event":
        event = Event.model_validate_json(message.data)
        subscription.since = event.id
        return event
    if message.kind == "ready":
        # Where "now" was: a connection that breaks before the first event goes on from there.
        subscription.since = int(json.loads(message.data)["since"])
    return Tick()
