"""The platform's own ports on the loopback of a pod, and a socket for the relay: each leads through the gate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Refused
from kpl_lab.engines.kubernetes.wire import Broken
from kpl_lab.engines.running.pipes import copy


class Doors:
    """What listens for the command and the relay.

    Parameters
    ----------
    ports
        Of the platform; each is the same port of the pod's loopback.
    """

    def __init__(self, gateway: Gateway, ports: Iterable[int]) -> None:
        self._gateway = gateway
        self._ports = list(ports)
        self._servers: list[asyncio.Server] = []

    async def open(self) -> None:
        """Listen on the ports."""
        for port in self._ports:
            self._servers.append(
                await asyncio.start_server(
                    partial(self._lead, port), "127.0.0.1", port, backlog=256
                )
            )

    async def open_socket(self, path: Path, port: int) -> None:
        """Listen on a Unix socket that leads to ``port`` of the platform."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._servers.append(await asyncio.start_unix_server(partial(self._lead, port), path))

    async def lead_in(self, number: str, port: int) -> None:
        """Connect to the gate, as it has asked, and pass bytes on to the command."""
        away = (OSError, TimeoutError, Refused, Broken)
        with contextlib.suppress(*away):
            reader, writer = await self._gateway.open("tunnel", {"id": number})
            with contextlib.closing(writer):
                host = socket.gethostbyname(socket.gethostname())
                inner, outer = await asyncio.open_connection(host, port)
                with contextlib.closing(outer):
                    await asyncio.gather(copy(reader, outer), copy(inner, writer))

    def close(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()

    async def _lead(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        away = (OSError, TimeoutError, Refused, Broken)
        with contextlib.closing(writer), contextlib.suppress(*away):
            inner, outer = await self._gateway.open("door", {"port": port})
            with contextlib.closing(outer):
                await asyncio.gather(copy(reader, outer), copy(inner, writer))
