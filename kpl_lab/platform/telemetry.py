"""Gives what one process of the platform counts to another one, over a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kpl_lab.engines.running.protocol import SocketPath
from kpl_lab.settings import Home
from kpl_lab.telemetry import exchange


def controller_socket(home: Home) -> Path:
    """Return where the controller tells what it counts."""
    return home.run / "controller.telemetry"


@asynccontextmanager
async def telling(path: Path) -> AsyncIterator[None]:
    """Tell whoever connects at ``path`` what this process counts; only our own account may."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    address = SocketPath.of(fresh)
    try:
        # It listens only where it is closed again, whenever this process is cancelled.
        server = await asyncio.start_unix_server(_tell, address.address, start_serving=False)
    finally:
        address.close()
    async with server:
        fresh.chmod(0o600)
        await server.start_serving()
        # Renamed into place: the one of a process that was killed is replaced, never missed.
        fresh.replace(path)
        yield


async def _tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader
    with contextlib.suppress(ConnectionError):
        writer.write(exchange.text().encode())
        await writer.drain()
    writer.close()


async def ask(path: Path) -> str:
    """Return what the process at ``path`` counts.

    Raises
    ------
    OSError
        Nobody is there.
    """
    address = SocketPath.of(path)
    try:
        reader, writer = await asyncio.open_unix_connection(address.address)
    finally:
        address.close()
    try:
        return (await reader.read()).decode()
    finally:
        writer.close()
