"""The one stream: events and followed logs, multiplexed, resumable (server-sent events)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from kpl_lab.engines.spec import LogChunk
from kpl_lab.errors import EngineError, Invalid, KplError, NotFound, Unavailable
from kpl_lab.platform import scopes
from kpl_lab.platform.api import logs, views
from kpl_lab.platform.api.deps import ContextDep, any_caller
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, service_revisions
from kpl_lab.platform.domain.tasks import with_node
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.workspaces import EventRecord

router = APIRouter(tags=["events"])
KEEP_ALIVE_SECONDS = 15.0
LOOK_SECONDS = 1.0
MAX_LOGS = 16
QUEUE_MESSAGES = 64
LOG_MESSAGE_BYTES = 256 * 1024
RETRY_SECONDS = 0.5
# A build makes an image or environment, and its route asks for the same scope.
SCOPE_OF = {"builds": "images"}
# Logs that can be followed, by the resource that they belong to.
LOGS_OF = {"tasks": "tasks", "services": "services", "candidates": "services", "builds": "builds"}


@dataclass(frozen=True)
class LogSubscription:
    """A log that a page follows: ``tasks:42:0``, ``tasks:42:0:1`` (node 1), ``services:7:0:1`` (replica 1),
    ``candidates:7:0:1`` (of the service's candidate), ``builds:3:0``.
    """

    name: str
    resource: str
    id: int
    offset: int
    replica: int = 0


def readable(caller: Caller) -> tuple[str, ...]:
    """Return the resources of which the caller's token may know."""
    named = (*scopes.RESOURCES, *SCOPE_OF)
    return tuple(r for r in named if scope(SCOPE_OF.get(r, r), "read") in caller.scopes)


def parse_subscription(text: str) -> LogSubscription:
    """Return what ``resource:id:offset[:replica]`` means.

    Raises
    ------
    Invalid
        It is not of that form.
    """
    resource, *numbers = text.split(":")
    if (
        resource not in LOGS_OF
        or len(numbers) not in (2, 3)
        or not all(n.isdigit() for n in numbers)
    ):
        raise Invalid(f"{text!r} is not a log; write tasks:ID:OFFSET.", code="bad_subscription")
    found = [int(n) for n in numbers]
    replica = found[2] if len(found) == 3 else 0
    name = f"{resource}:{found[0]}" + (f":{replica}" if len(found) == 3 else "")
    return LogSubscription(name, resource, found[0], found[1], replica)


def locate(context: Context, caller: Caller, wanted: LogSubscription) -> logs.LogSource:
    """Return where a followed log is now; refuses what the caller may not see."""
    resource = LOGS_OF[wanted.resource]
    caller.require(scope(SCOPE_OF.get(resource, resource), "read"))
    with context.database.store(reads_only=True) as store:
        if wanted.resource == "tasks":
            task = access.find(store.tasks, str(wanted.id), caller, "task")
            return logs.of_task(context, with_node(task, wanted.replica), wanted.replica)
        if resource == "services":
            found = access.find(store.services, str(wanted.id), caller, "service")
            access.require_change(found, caller, "service")
            if wanted.resource == "candidates":
                found = service_revisions.candidate_of(store, found)
            return logs.of_service(found, wanted.replica)
        build = store.builds.get(wanted.id)
        if build is None or not (caller.reader.sees_all or build.owner == caller.name):
            raise NotFound(f"There is no build {wanted.id} that you can see.")
        return logs.of_build(store, context, wanted.id)


Message = tuple[str, str | None, dict[str, Any]]


class Stream:
    """One page's stream: a bounded queue that events and logs are put into.

    A slow reader makes the producers wait, so memory stays bounded and nothing is dropped.
    """

    def __init__(self, context: Context, caller: Caller, resources: tuple[str, ...]) -> None:
        self._context = context
        self._caller = caller
        self._resources = tuple(r for r in readable(caller) if not resources or r in resources)
        self._queue: asyncio.Queue[Message] = asyncio.Queue(QUEUE_MESSAGES)

    @property
    def waiting(self) -> int:
        """How many messages the reader has yet to take."""
        return self._queue.qsize()

    async def events(self, since: int) -> None:
        """Put events after ``since`` into the queue, for ever."""
        bell = self._context.bell
        last = since
        await self._queue.put(("ready", str(last), {"since": last}))
        while True:
            heard = bell.ticket()
            try:
                found, seen = await anyio.to_thread.run_sync(self.after, last)
            except Unavailable:  # the database is busy; the stream must not go silent for that
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for record in found:
                view = views.event(record).model_dump(mode="json")
                await self._queue.put(("event", str(record.id), view))
            last = seen
            if not found:
                await bell.wait(heard, LOOK_SECONDS)

    def last_id(self) -> int:
        """Return where a stream begins that wants only what is new."""
        with self._context.database.store(reads_only=True) as store:
            return store.events.last_id()

    def after(self, last: int) -> tuple[list[EventRecord], int]:
        """Return what is new for this reader, and how far that reaches.

        Where nothing is, the events of others are not looked through again the next time.
        """
        with self._context.database.store(reads_only=True) as store:
            newest = store.events.last_id()
            found = store.events.after(last, self._caller.reader, resources=self._resources)
            return found, found[-1].id if found else max(last, newest)

    async def log(self, wanted: LogSubscription) -> None:
        """Put a log's text from its offset on into the queue until it has ended."""
        offset, name = wanted.offset, ""
        while True:
            try:
                source = await anyio.to_thread.run_sync(locate, self._context, self._caller, wanted)
            except Unavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except KplError:  # deleted, or no longer theirs to see
                await self._log_ended(wanted, offset)
                return
            if source.handle is not None:
                # A service that was started again has a new log.
                offset = offset if name in ("", source.handle.name) else 0
                name = source.handle.name
            if source.kept is not None:
                offset, is_done = await self._kept(wanted, source, offset)
            else:
                offset, is_done = await self._followed(wanted, source, offset)
            if is_done:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _log_ended(self, wanted: LogSubscription, offset: int) -> None:
        end = {"text": "", "offset": offset, "next_offset": offset, "complete": True}
        await self._queue.put(("log", None, {"source": wanted.name, **end}))

    async def _kept(
        self, wanted: LogSubscription, source: logs.LogSource, offset: int
    ) -> tuple[int, bool]:
        is_done = False
        while not is_done:
            part = logs.LogPart(offset, LOG_MESSAGE_BYTES)
            page = await anyio.to_thread.run_sync(logs.page, self._context, source, part)
            offset, is_done = page.next_offset, page.complete
            await self._queue.put(("log", None, {"source": wanted.name, **page.model_dump()}))
        return offset, True

    async def _followed(
        self, wanted: LogSubscription, source: logs.LogSource, offset: int
    ) -> tuple[int, bool]:
        if source.handle is None:
            if source.has_ended:
                await self._log_ended(wanted, offset)
            return offset, source.has_ended
        chunks = self._context.engine.logs(
            source.handle, replica=source.replica, offset=offset, follow=True
        )
        left = b""
        with contextlib.suppress(EngineError, Unavailable):
            async for chunk in chunks:
                data = left + chunk.data
                start = chunk.offset - len(left)
                whole = logs.whole_characters(data)
                left = data[len(whole) :]
                page = logs.page_of(LogChunk(data=whole, offset=start), complete=False)
                offset = start + len(whole)
                if whole:
                    await self._queue.put(
                        ("log", None, {"source": wanted.name, **page.model_dump()})
                    )
        # The workload ended or went away; look again where the log is now.
        return offset, False

    async def messages(
        self, since: int, subscriptions: list[LogSubscription]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the stream's bytes until the reader goes away."""
        tasks = [asyncio.create_task(self.events(since))]
        tasks += [asyncio.create_task(self.log(s)) for s in subscriptions]
        try:
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                        kind, id, data = await self._queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                head = f"id: {id}\n" if id is not None else ""
                body = json.dumps(data, ensure_ascii=False)
                yield f"{head}event: {kind}\ndata: {body}\n\n".encode()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@router.get("/events")
async def stream_events(
    context: ContextDep,
    caller: Annotated[Caller, Depends(any_caller)],
    since: Annotated[int | None, Query(ge=0)] = None,
    resource: Annotated[list[str] | None, Query()] = None,
    log: Annotated[list[str] | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """Stream events after ``since`` (or from now on) and the logs that are named.

    A named log that is not there, or that the caller may not see, is told as one that has ended.
    """
    if last_event_id and last_event_id.isdigit():
        since = int(last_event_id)
    subscriptions = [parse_subscription(text) for text in log or []]
    if len(subscriptions) > MAX_LOGS:
        raise Invalid(f"One stream follows at most {MAX_LOGS} logs.", code="too_many_logs")
    for wanted in subscriptions:
        # A log that is gone, as a promoted candidate's, ends in the stream: refused here, it would
        # take the events and the other logs of its page along.
        with contextlib.suppress(NotFound):
            await anyio.to_thread.run_sync(locate, context, caller, wanted)
    stream = Stream(context, caller, tuple(resource or ()))
    if since is None:
        since = await anyio.to_thread.run_sync(stream.last_id)
    return StreamingResponse(
        stream.messages(since, subscriptions),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
