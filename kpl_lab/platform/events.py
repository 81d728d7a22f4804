"""Nudges: "look at the event table now", from process to process, best effort.

A lost nudge costs its reader one look-every-second; an event is never lost, for it is a row.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
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
    """Sets an event whenever a nudge arrives."""

    def __init__(self, nudged: asyncio.Event) -> None:
        self._nudged = nudged

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Note the nudge; several become one."""
        self._nudged.set()


async def listen(path: Path, nudged: asyncio.Event) -> asyncio.DatagramTransport:
    """Receive nudges at ``path``, taking over from a dead process."""
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(path.unlink, missing_ok=True)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: NudgeListener(nudged), local_addr=str(path), family=socket.AF_UNIX
    )
    return transport
