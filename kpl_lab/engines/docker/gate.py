"""The way from a container to the platform: a Unix socket that leads to its address.

The platform listens on the loopback of the machine, which no container reaches. So the runner
listens on a socket in the folder of what runs beside a command, and passes bytes on. While the
runner is away a relay keeps what it has, as it does while the platform is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import urllib.parse
from pathlib import Path

from kpl_lab.engines.running.pipes import copy
from kpl_lab.engines.running.protocol import SocketPath
from kpl_lab.engines.running.trees import Account

log = logging.getLogger(__name__)


class Gate:
    """One socket, and the connections that came through it.

    Parameters
    ----------
    path
        Of the socket.
    url
        Its host and port are where it leads.
    owner
        Who may use it.
    """

    def __init__(self, path: Path, url: str, owner: Account) -> None:
        target = urllib.parse.urlsplit(url)
        self._path = path
        self._host, self._port = target.hostname or "127.0.0.1", target.port or 80
        self._owner = owner
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Listen."""
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        address = SocketPath.of(fresh)
        try:
            self._server = await asyncio.start_unix_server(self._on_connection, address.address)
        finally:
            address.close()
        fresh.chmod(0o600)
        if os.geteuid() == 0:
            os.chown(fresh, self._owner.uid, self._owner.gid)
        fresh.replace(self._path)

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            inner, outer = await asyncio.open_connection(self._host, self._port)
            with contextlib.closing(outer):
                await asyncio.gather(copy(reader, outer), copy(inner, writer))
