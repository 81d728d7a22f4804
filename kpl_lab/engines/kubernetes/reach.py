"""How the front door reaches a pod: at its own address, or, where that leads nowhere, through its agent.

Addresses of pods are known to the nodes of a cluster and rarely beyond. Pods reach our gate wherever we
are: so for each connection that somebody makes to a port of our loopback, the agent is asked to connect to
the gate and pass bytes on to the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable

from kpl_lab.engines.kubernetes.gate import Caller, Line
from kpl_lab.engines.running.pipes import copy

log = logging.getLogger(__name__)

DIRECT, TUNNEL, AUTO = "pods", "tunnel", "auto"
_TRY_SECONDS = 1.5
_OPEN_SECONDS = 10.0
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Reach:
    """Gives each pod that serves the address at which processes of this machine reach it.

    Parameters
    ----------
    mode
        ``pods``, ``tunnel`` or ``auto``.
    line
        Gives the connection to an agent; None while it has none.
    """

    def __init__(self, mode: str, line: Callable[[Caller], Line | None]) -> None:
        self._mode = mode
        self._line = line
        self._direct: dict[Caller, bool] = {}
        self._tunnels: dict[Caller, Tunnel] = {}
        self._waiting: dict[str, asyncio.Future[Streams]] = {}
        self._numbers = itertools.count(1)

    async def address(self, caller: Caller, pod_address: str, before: str | None) -> str:
        """Return ``host:port`` of a pod that is ready.

        Parameters
        ----------
        pod_address
            Its own.
        before
            What was given for it by an earlier runner: kept where it can be.
        """
        if caller not in self._direct:
            self._direct[caller] = await self._is_direct(pod_address)
        if self._direct[caller]:
            return pod_address
        if caller not in self._tunnels:
            port = int(pod_address.rpartition(":")[2])
            tunnel = Tunnel(caller, port, self)
            await tunnel.open(before)
            self._tunnels[caller] = tunnel
        return self._tunnels[caller].address

    async def _is_direct(self, address: str) -> bool:
        if self._mode != AUTO:
            return self._mode == DIRECT
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(_TRY_SECONDS):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
        except (OSError, TimeoutError):
            log.info("pods cannot be reached at their own addresses; their agents pass bytes on")
            return False
        return True

    def forget(self, caller: Caller) -> None:
        """Close what leads to a pod that has gone."""
        self._direct.pop(caller, None)
        tunnel = self._tunnels.pop(caller, None)
        if tunnel is not None:
            tunnel.close()

    async def connect(self, caller: Caller, port: int) -> Streams:
        """Have an agent connect, and return its connection.

        Raises
        ------
        OSError
            It is not there, or does not.
        """
        line = self._line(caller)
        if line is None:
            raise ConnectionRefusedError(f"the agent of {caller.pod} is not connected")
        number = str(next(self._numbers))
        waiting: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        line.order({"do": "open", "id": number, "port": port})
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                return await waiting
        finally:
            self._waiting.pop(number, None)

    def arrived(self, number: str, streams: Streams) -> bool:
        """Take the connection that an agent was asked for; False where nobody waits for it."""
        waiting = self._waiting.get(number)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(streams)
        return True

    def close(self) -> None:
        """Listen no more."""
        for tunnel in self._tunnels.values():
            tunnel.close()


class Tunnel:
    """One port of the loopback that leads into a pod."""

    def __init__(self, caller: Caller, port: int, reach: Reach) -> None:
        self._caller, self._port, self._reach = caller, port, reach
        self._server: asyncio.Server | None = None
        self.address = ""

    async def open(self, before: str | None) -> None:
        """Listen, at the port of an earlier runner where that is free."""
        host, _, port = (before or "").rpartition(":")
        wanted = int(port) if host == "127.0.0.1" else 0
        try:
            self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", wanted)
        except OSError:
            self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, TimeoutError):
            inner, outer = await self._reach.connect(self._caller, self._port)
            with contextlib.closing(outer):
                await asyncio.gather(copy(reader, outer), copy(inner, writer))
