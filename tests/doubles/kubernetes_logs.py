"""What containers have written, as a kubelet gives it out."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field

from aiohttp import web

from tests.doubles.kubernetes_store import Refusal


@dataclass
class Log:
    """The output of one container: times and lines, and whether more may come."""

    lines: list[tuple[dt.datetime, bytes]] = field(default_factory=list)
    ended: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def write(self, text: str, when: dt.datetime | None = None) -> None:
        """Add lines; each ends in a line feed."""
        when = when or dt.datetime.now(dt.UTC)
        self.lines += [(when, line) for line in text.encode().splitlines(keepends=True)]
        self._wake()

    def end(self) -> None:
        """Let the container be over."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Logs:
    """The logs of all containers; one that has none has not started."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, str, bool], Log] = {}
        # After how many lines the next stream breaks.
        self.cut_after: int | None = None

    def of(self, pod: str, container: str, *, previous: bool = False) -> Log:
        """Return the log of a container, which has started with that."""
        return self._logs.setdefault((pod, container, previous), Log())

    def forget(self, pod: str, container: str) -> None:
        """Let go of what a container has written."""
        self._logs.pop((pod, container, False), None)

    async def answer(self, request: web.Request, namespace: str, pod: str) -> web.StreamResponse:
        """Answer a request for a log."""
        query = request.query
        container = query.get("container", "")
        previous = query.get("previous") == "true"
        log = self._logs.get((pod, container, previous))
        if log is None and previous:
            text = f'previous terminated container "{container}" in pod "{pod}" not found'
            raise Refusal(400, "BadRequest", text)
        if log is None:
            text = f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating'
            raise Refusal(400, "BadRequest", text)
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await self._send(log, request, response)
        return response

    async def _send(self, log: Log, request: web.Request, response: web.StreamResponse) -> None:
        query = request.query
        since = dt.datetime.fromisoformat(query.get("sinceTime", "1970-01-01T00:00:00Z"))
        left = int(query.get("limitBytes", 1 << 62))
        sent = 0
        while left > 0:
            changed, ended = log.changed, log.ended
            for when, line in log.lines[sent:]:
                sent += 1
                if when < since.replace(microsecond=0):
                    continue
                if query.get("timestamps") == "true":
                    line = when.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode() + line
                await response.write(line[:left])
                left -= len(line)
                if left <= 0 or self._broken(request):
                    return
            if ended or query.get("follow") != "true":
                return
            await changed.wait()

    def _broken(self, request: web.Request) -> bool:
        if self.cut_after is None:
            return False
        self.cut_after -= 1
        if self.cut_after > 0:
            return False
        self.cut_after = None
        if request.transport is not None:
            request.transport.close()
        return True
