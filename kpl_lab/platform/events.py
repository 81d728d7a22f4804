"""Nudges: "look at the event table now", from process to process, best effort.

Beside SQLite they are datagrams between the processes of one machine. PostgreSQL sends them itself,
to the processes of all machines. A lost nudge costs its reader one look-every-second; an event is
never lost, for it is a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from kpl_lab.platform.storage.database import CHANNEL, Database, connect_arguments
from kpl_lab.retry import backoff
from kpl_lab.settings import Home

log = logging.getLogger(__name__)

PLATFORM, CONTROLLER = "platform.sock", "controller.sock"


class Nudge:
    """Sends an empty datagram to the other processes of the platform."""

    def __init__(self, home: Home, targets: tuple[str, ...] = (PLATFORM, CONTROLLER)) -> None:
        self._targets = [str(home.run / name) for name in targets]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self) -> None:
        """Nudge; whoever is not there will look by itself once it is."""
        for target in self._targets:
            with contextlib.suppress(OSError):
                self._socket.sendto(b"", target)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class NudgeListener(asyncio.DatagramProtocol):
    """Calls a function whenever a nudge arrives."""

    def __init__(self, on_nudge: Callable[[], None]) -> None:
        self._on_nudge = on_nudge

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Pass the nudge on."""
        self._on_nudge()


async def listen(path: Path, on_nudge: Callable[[], None]) -> asyncio.DatagramTransport:
    """Receive nudges at ``path``, taking over from a dead process."""
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(path.unlink, missing_ok=True)
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    receiver.bind(str(path))
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NudgeListener(on_nudge), sock=receiver
    )
    return transport


@contextlib.asynccontextmanager
async def hearing(
    database: Database, path: Path, on_nudge: Callable[[], None]
) -> AsyncIterator[None]:
    """Hear of events for as long as the context lasts; ``path`` is for datagrams."""
    if not database.is_shared:
        transport = await listen(path, on_nudge)
        try:
            yield
        finally:
            transport.close()
        return
    task = asyncio.create_task(_follow(database, on_nudge))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _follow(database: Database, on_nudge: Callable[[], None]) -> None:
    """Pass on what PostgreSQL tells, for ever; after a break everybody looks once."""
    import psycopg

    waits = backoff()
    while True:
        try:
            opening = psycopg.AsyncConnection.connect(
                **connect_arguments(database.engine), autocommit=True
            )
            async with await opening as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                on_nudge()
                waits = backoff()
                async for _ in connection.notifies():
                    on_nudge()
        except (psycopg.Error, OSError) as error:
            log.warning("the database does not tell of events at the moment: %s", error)
        await asyncio.sleep(next(waits))


class Bell:
    """Wakes everybody in this process who waits for new events.

    ``ticket`` is taken before looking at the table, so that a ring between look and wait counts.
    """

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Return what the next ring will set."""
        return self._rung

    def ring(self) -> None:
        """Wake all who wait."""
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def wait(self, ticket: asyncio.Event, seconds: float) -> None:
        """Wait for the ring after ``ticket``, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ticket.wait()
