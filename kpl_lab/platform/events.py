"""Nudges: "look at the event table now", from process to process, best effort.

A lost nudge costs its reader one look-every-second; an event is never lost, for it is a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from kpl_lab.settings import Home

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
