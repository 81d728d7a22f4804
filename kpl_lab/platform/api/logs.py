"""Logs by byte offset, of what runs and of what has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio.from_thread
from fastapi import Depends, Query

from kpl_lab.engines.spec import Handle, LogChunk
from kpl_lab.errors import EngineError
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.records.work import ServerRecord, ServiceRecord, TaskRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.tasks import LogPage

MAX_BYTES = 4 * 1024 * 1024
MAX_TAIL_BYTES = 64 * 1024
READ_SECONDS = 10.0


@dataclass(frozen=True)
class LogSource:
    """Where a log is: kept in the store, or with the engine; neither where nothing ran yet."""

    kept: Path | None = None
    handle: Handle | None = None
    replica: int = 0
    has_ended: bool = False


class LogPart:
    """Which part of a log is asked for."""

    def __init__(
        self,
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_BYTES)] = 256 * 1024,
    ) -> None:
        self.offset = offset
        self.limit = limit


LogPartDep = Annotated[LogPart, Depends()]


def handle_of(stored: dict[str, object] | None) -> Handle | None:
    """Return the engine's handle from how it is stored."""
    if not stored:
        return None
    data = stored.get("data")
    return Handle(
        engine=str(stored["engine"]),
        name=str(stored["name"]),
        data=data if isinstance(data, dict) else {},
    )


def _is_kept(context: Context, kept: Path, is_over: bool) -> bool:
    """Say whether a log is in the store; of what has not ended, none is looked for far away."""
    return kept.exists() or (is_over and context.files.has(kept))


def of_build(store: Store, context: Context, id: int) -> LogSource:
    """Return where a build's log is."""
    build = store.builds.get(id)
    if build is None:
        return LogSource(has_ended=True)
    kept = context.files.path("logs", "builds", f"{id}.log")
    is_over = build.finished_at is not None
    if _is_kept(context, kept, is_over):
        return LogSource(kept=kept, has_ended=True)
    return LogSource(handle=handle_of(build.handle), has_ended=is_over)


def of_task(context: Context, task: TaskRecord, node: int = 0) -> LogSource:
    """Return where the log of one node of a task is."""
    kept = context.files.task_log(task.id, node)
    is_over = task.finished_at is not None
    if _is_kept(context, kept, is_over):
        return LogSource(kept=kept, has_ended=True)
    return LogSource(handle=handle_of(task.handle), replica=node, has_ended=is_over)


def of_service(service: ServiceRecord, replica: int) -> LogSource:
    """Return where the log of one replica is."""
    return LogSource(
        handle=handle_of(service.handle), replica=replica, has_ended=not service.is_wanted
    )


def of_server(context: Context, server: ServerRecord) -> LogSource:
    """Return where a notebook server's log is."""
    kept = context.files.path("logs", "servers", f"{server.id}.log")
    is_over = server.state in ("stopped", "failed")
    if _is_kept(context, kept, is_over):
        return LogSource(kept=kept, has_ended=True)
    return LogSource(handle=handle_of(server.handle), has_ended=is_over)


def end(context: Context, source: LogSource, size: int) -> LogPage:
    """Return the last ``size`` bytes of a log, without the line that this cuts."""
    if source.kept is not None:
        try:
            offset = max(0, source.kept.stat().st_size - size)
        except FileNotFoundError:  # deleted at this very moment
            offset = 0
        found = _kept_page(source.kept, LogPart(offset, size))
    elif source.handle is not None:
        chunk = anyio.from_thread.run(_read_end, context, source, size)
        found = page_of(chunk, complete=source.has_ended)
    else:
        return LogPage(text="", offset=0, next_offset=0, complete=source.has_ended)
    if found.offset == 0:
        return found
    cut, newline, rest = found.text.partition("\n")
    skipped = len((cut + newline).encode()) if newline else 0
    text = rest if newline else found.text
    return found.model_copy(update={"text": text, "offset": found.offset + skipped})


async def _read_end(context: Context, source: LogSource, size: int) -> LogChunk:
    """Read a log through and keep its end."""
    assert source.handle is not None  # noqa: S101 (the caller has looked)
    data, at = b"", 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in context.engine.logs(source.handle, replica=source.replica):
                at = chunk.offset + len(chunk.data)
                data = (data + chunk.data)[-size:]
    except (EngineError, TimeoutError):
        pass
    return LogChunk(data=data, offset=at - len(data))


def page(context: Context, source: LogSource, part: LogPart) -> LogPage:
    """Return one part of a log; runs in a request's thread."""
    if source.kept is not None:
        return _kept_page(source.kept, part)
    if source.handle is None:
        return LogPage(text="", offset=0, next_offset=0, complete=source.has_ended)
    chunk = anyio.from_thread.run(_read, context, source, part.offset, part.limit)
    return page_of(chunk, complete=source.has_ended and len(chunk.data) < part.limit)


def page_of(chunk: LogChunk, *, complete: bool) -> LogPage:
    """Return bytes as text; a character cut in two at the end is left for the next page."""
    data = chunk.data if complete else whole_characters(chunk.data)
    return LogPage(
        text=data.decode("utf-8", "replace"),
        offset=chunk.offset,
        next_offset=chunk.offset + len(data),
        complete=complete,
    )


def whole_characters(data: bytes) -> bytes:
    """Return ``data`` without a UTF-8 character that its end cuts in two."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return data
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if back < length and len(data) > back else data
    return data


def _kept_page(path: Path, part: LogPart) -> LogPage:
    try:
        size = path.stat().st_size
    except FileNotFoundError:  # deleted at this very moment
        return LogPage(text="", offset=0, next_offset=0, complete=True)
    offset = min(part.offset, size)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(part.limit)
    return page_of(LogChunk(data=data, offset=offset), complete=offset + len(data) >= size)


async def _read(context: Context, source: LogSource, offset: int, limit: int) -> LogChunk:
    """Read at most ``limit`` bytes that are there now."""
    assert source.handle is not None  # noqa: S101 (the caller has looked)
    data = bytearray()
    start = offset
    chunks: AsyncIterator[LogChunk] = context.engine.logs(
        source.handle, replica=source.replica, offset=offset
    )
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in chunks:
                if not data:
                    start = chunk.offset
                data += chunk.data
                if len(data) >= limit:
                    break
    except (EngineError, TimeoutError):
        pass
    return LogChunk(data=bytes(data[:limit]), offset=start)
