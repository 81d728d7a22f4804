"""The local engine's privileged half: ``python -m kpl_lab.engines.local.runner``.

A daemon on a Unix socket that starts and follows supervisors. It keeps nothing in memory that is
not in the folders of workloads, so killing and restarting it loses nothing. It takes calls from the
platform's account, root and its own account only, and trusts none of their paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import astuple
from typing import Any

from kpl_lab import settings as settings_module
from kpl_lab.engines.local import cgroups, connect_filter, machine, namespace
from kpl_lab.engines.local.accounts import accounts_of
from kpl_lab.engines.local.calls import Calls
from kpl_lab.engines.local.options import load_options
from kpl_lab.engines.local.planner import Machine, Planner
from kpl_lab.engines.local.protocol import (
    MAX_LINE_BYTES,
    SocketPath,
    error_message,
    peer_uid,
    to_line,
)
from kpl_lab.errors import EngineError, Forbidden, Invalid, KplError, StorageFull
from kpl_lab.settings import Settings

log = logging.getLogger(__name__)


class Runner:
    """Serves the calls of one installation."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        options = load_options(settings.home)
        found = Machine(
            hierarchy=cgroups.detect(settings.instance, options.cgroup_mode),
            is_namespaced=namespace.can_enter(),
            gpu_count=machine.count_gpus(),
            filter_obstacle=connect_filter.obstacle(options.service_ports, astuple(settings.ports)),
        )
        self._planner = Planner(settings, options, accounts_of(settings, options), found)
        self._calls = Calls(settings, self._planner)
        self._allowed = {0, os.geteuid(), self._planner.platform.uid}
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Take calls until cancelled."""
        self._calls.begin()
        path = self._settings.home.runner_socket
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
                os.chown(fresh, 0, self._planner.platform.gid)
            # Renamed into place: whoever connects finds the old one or a ready one.
            fresh.replace(path)
        finally:
            address.close()
        found = self._planner.machine
        log.info(
            "the runner serves: limits by %s, namespaces %s, calls past the front door %s",
            found.hierarchy.mode,
            found.is_namespaced,
            "are refused" if found.filter_obstacle is None else f"work: {found.filter_obstacle}",
        )
        try:
            async with server:
                await server.serve_forever()
        finally:
            for connection in self._connections:
                connection.cancel()
            self._calls.close()

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
            stream = self._calls.dispatch(str(request["call"]), request.get("args", {}))
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

    async def _stream(
        self,
        stream: AsyncIterator[dict[str, Any]],
        writer: asyncio.StreamWriter,
        watcher: asyncio.Task[bytes],
    ) -> None:
        """Send what a call yields until it ends or the caller is gone."""
        while True:
            following = asyncio.ensure_future(anext(stream, None))
            await asyncio.wait({following, watcher}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
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
        f"The runner of the local engine failed at this call ({type(error).__name__}: {error}); "
        "its log holds more.",
        code="runner_failed",
    )


async def _run(settings: Settings) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: task.cancel() if task else None)
    with contextlib.suppress(asyncio.CancelledError):
        await Runner(settings).serve()


def main() -> None:
    """Serve the installation that the environment names until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o022)
    asyncio.run(_run(settings_module.load()))


if __name__ == "__main__":
    main()
