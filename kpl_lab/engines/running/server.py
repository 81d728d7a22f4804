"""A runner's door: takes calls on a Unix socket from the platform's account, and from it alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from kpl_lab import log_lines
from kpl_lab.engines.running.calls import CallTable
from kpl_lab.engines.running.protocol import (
    MAX_LINE_BYTES,
    TELEMETRY,
    SocketPath,
    error_message,
    peer_uid,
    to_line,
)
from kpl_lab.engines.running.trees import Account
from kpl_lab.errors import EngineError, Forbidden, Invalid, KplError, StorageFull
from kpl_lab.telemetry import exchange

log = logging.getLogger(__name__)


class CallServer:
    """Serves calls.

    Parameters
    ----------
    path
        Of the socket.
    platform
        The account that may call, beside root and our own.
    """

    def __init__(self, path: Path, platform: Account, calls: CallTable[Any]) -> None:
        self._path = path
        self._platform = platform
        self._calls = calls
        self._allowed = {0, os.geteuid(), platform.uid}
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take calls until cancelled."""
        path = self._path
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        address = SocketPath.of(fresh)
        try:
            server = await asyncio.start_unix_server(
                self._on_connection, address.address, limit=MAX_LINE_BYTES
            )
            fresh.chmod(0o660)
            if os.geteuid() == 0:
                os.chown(fresh, 0, self._platform.gid)
            # Renamed into place: whoever connects finds the old one or a ready one.
            fresh.replace(path)
        finally:
            address.close()
        log.info("the runner serves")
        try:
            async with server:
                await server.serve_forever()
        finally:
            for connection in self._connections:
                connection.cancel()

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            log.debug("a caller has gone")
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self._check_peer(writer)
            request = json.loads(await reader.readline())
            watcher = asyncio.create_task(reader.read(1))  # ends when the caller goes
            stream = self._messages(str(request["call"]), request.get("args", {}))
            try:
                await self._stream(stream, writer, watcher)
            finally:
                watcher.cancel()
                await stream.aclose()
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 (an unanswered caller would ask for ever)
            writer.write(to_line(error_message(_told(error))))
        await writer.drain()

    def _messages(self, call: str, args: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        # What this process counts concerns no workload, so the engine's calls do not know of it.
        return _counted() if call == TELEMETRY else self._calls.dispatch(call, args)

    async def _stream(
        self,
        stream: AsyncIterator[dict[str, Any]],
        writer: asyncio.StreamWriter,
        watcher: asyncio.Task[bytes],
    ) -> None:
        """Send what a call yields until it ends or the caller is gone."""
        while True:
            following = asyncio.ensure_future(anext(stream, None))
            try:
                await asyncio.wait({following, watcher}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Also where we are ending: a call under way cannot be closed, and the caller, who
                # sees the connection break, repeats it with the next runner.
                is_cut = not following.done()
                if is_cut:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
            if is_cut:
                raise ConnectionResetError
            message = following.result()
            if message is None:
                return
            writer.write(to_line(message))
            await writer.drain()

    def _check_peer(self, writer: asyncio.StreamWriter) -> None:
        uid = peer_uid(writer.get_extra_info("socket"))
        if uid not in self._allowed:
            raise Forbidden("Only the platform may talk to the runner.", code="not_the_platform")


async def _counted() -> AsyncGenerator[dict[str, Any], None]:
    yield {"done": exchange.text()}


def _told(error: Exception) -> KplError:
    """Return what the caller is told of an error; one that nobody has foreseen goes to the log."""
    if isinstance(error, KplError):
        return error
    log.error("a call failed", exc_info=error)
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StorageFull("The disk of the platform is full; make room and try again.")
        return EngineError(f"The machine refused: {error}.", code="machine_refused")
    if isinstance(error, ValueError | KeyError | TypeError):
        return Invalid(f"The call cannot be understood: {error}", code="bad_call")
    return EngineError(
        f"The runner of the engine failed at this call ({type(error).__name__}: {error}); "
        "its log holds more.",
        code="runner_failed",
    )


async def _run(work: Coroutine[object, object, None]) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def run_until_asked(work: Coroutine[object, object, None]) -> None:
    """Run a daemon until SIGTERM."""
    log_lines.begin()
    os.umask(0o022)
    asyncio.run(_run(work))
