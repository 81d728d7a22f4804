"""The gate: the one TCP port at which the agents of pods and of nodes reach the installation.

Whoever knocks shows the token of its workload, and gets what belongs to that workload: its code and inputs,
a place for its outputs, the ports of the platform that its kind may call. Agents of nodes have a token of their
own, and get the versions of datasets that their node is to show. See ``wire`` for how they talk.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kpl_lab.engines.kubernetes.tars import receive, send, size_of
from kpl_lab.engines.kubernetes.wire import (
    BEAT_SECONDS,
    MAX_LINE_BYTES,
    NODE,
    SILENCE_SECONDS,
    WAIT,
    Broken,
    to_line,
)
from kpl_lab.engines.running.pipes import copy
from kpl_lab.errors import EngineError, Forbidden, Invalid, KplError

log = logging.getLogger(__name__)

_HELLO_SECONDS = 20.0
_KEY_BYTES = 32
_OF_NODES = ("fetch", "stay")


@dataclass(frozen=True)
class Caller:
    """Who has shown a token: a pod of a workload, or the agent of a node."""

    workload: str
    pod: str

    @property
    def node(self) -> str | None:
        """The node whose agent it says it is."""
        return self.workload.removeprefix(NODE) if self.workload.startswith(NODE) else None


class Host(Protocol):
    """What stands behind the gate."""

    def source(self, caller: Caller, what: str, key: str) -> Path:
        """Return a folder that a caller may fetch: ``code``, ``input``, ``skeleton``, ``mount``.

        A node's agent ``version`` alone.
        """

    def place_for(self, caller: Caller, output: str) -> Path:
        """Return the folder, not there yet, that an output is to become."""

    def may_call(self, caller: Caller, port: int) -> bool:
        """Say whether a workload may call a port of the platform."""

    def arrived(
        self, number: str, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> bool:
        """Take a connection that an agent was asked for; False where nobody waits for it."""

    def linked(self, caller: Caller, line: Line) -> None:
        """Take an agent's connection that stays."""

    def unlinked(self, caller: Caller, line: Line) -> None:
        """Let it go."""

    def reported(self, caller: Caller, report: dict[str, Any]) -> None:
        """Take a report."""


class Line:
    """An agent's connection that stays, as the runner holds it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def order(self, order: dict[str, Any] | None) -> None:
        """Send an order; None: only that we are there."""
        if not self._writer.is_closing():
            self._writer.write(to_line({"order": order}))


def load_key(path: Path) -> bytes:
    """Return the key that tokens are made with; made at the first call, 0600."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    fresh.replace(path)
    return path.read_bytes()


def token_of(key: bytes, workload: str) -> str:
    """Return the token of a workload's agents: the same at each call, so that nothing keeps it."""
    return hmac.new(key, f"agent {workload}".encode(), hashlib.sha256).hexdigest()


class Gate:
    """Serves agents.

    Parameters
    ----------
    key
        Of :func:`load_key`.
    node_token_file
        Holds the token of the agents of nodes; None: there are none.
    """

    def __init__(self, key: bytes, host: Host, node_token_file: Path | None = None) -> None:
        self._key = key
        self._host = host
        self._node_token_file = node_token_file
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._calls: dict[str, Callable[..., Awaitable[None]]] = {
            "fetch": self._fetch,
            "give": self._give,
            "door": self._door,
            "tunnel": self._tunnel,
            "stay": self._stay,
        }

    async def open(self, address: str, port: int) -> int:
        """Listen; return the port.

        Raises
        ------
        EngineError
            The port or the address cannot be had.
        """
        try:
            self._server = await asyncio.start_server(
                self._on_connection, address, port, limit=MAX_LINE_BYTES, backlog=1024
            )
        except OSError as error:
            raise EngineError(
                f"Pods cannot be let in at {address}:{port} ({error}); set KPL_CONNECT_HOST to an "
                "address of this machine, or KubernetesOptions.gate_listen and gate_port.",
                code="gate_taken",
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
        self._is_closing = True
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
        quiet = (OSError, Broken, TimeoutError, asyncio.IncompleteReadError)
        with contextlib.closing(writer), contextlib.suppress(*quiet):
            try:
                async with asyncio.timeout(_HELLO_SECONDS):
                    request = json.loads(await reader.readline())
                caller, call, args = self._admit(request)
                await self._calls[call](caller, reader, writer, **args)
            except KplError as error:
                log.info("an agent was refused: %s", error.message)
                writer.write(to_line({"error": {"code": error.code, "message": error.message}}))
            except (ValueError, KeyError, TypeError) as error:
                log.info("an agent cannot be understood: %s", error)
            except asyncio.CancelledError:
                # The streams of Python 3.11 take a cancelled connection for a fault, and say so.
                if not self._is_closing:
                    raise
                return
            await writer.drain()

    def _admit(self, request: dict[str, Any]) -> tuple[Caller, str, dict[str, Any]]:
        workload, call = str(request["workload"]), str(request["call"])
        caller = Caller(workload, str(request["pod"]))
        token = token_of(self._key, workload) if caller.node is None else self._node_token()
        if not token or not hmac.compare_digest(token.encode(), str(request["token"]).encode()):
            raise Forbidden("This is not the token of that workload.", code="wrong_token")
        if call not in (self._calls if caller.node is None else _OF_NODES):
            raise Invalid(f"The gate knows no call {call!r}.", code="unknown_call")
        return caller, call, dict(request["args"])

    def _node_token(self) -> str:
        """Return the token of the agents of nodes, which may be changed; empty: there is none."""
        with contextlib.suppress(OSError):
            if self._node_token_file is not None:
                return self._node_token_file.read_text().strip()
        return ""

    async def _fetch(
        self,
        caller: Caller,
        _reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        what: str,
        key: str = "",
    ) -> None:
        folder = await asyncio.to_thread(self._host.source, caller, what, key)
        done = None if caller.node is None else {"bytes": await _size(folder, writer)}
        writer.write(to_line({"done": done}))
        await send(folder, writer)

    async def _give(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: str,
    ) -> None:
        place = await asyncio.to_thread(self._host.place_for, caller, output)
        writer.write(to_line({"done": None}))
        await writer.drain()
        size = await receive(reader, place)
        writer.write(to_line({"done": size}))

    async def _door(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        port: int,
    ) -> None:
        if not self._host.may_call(caller, port):
            raise Forbidden(f"Port {port} is not for {caller.workload}.", code="closed_door")
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.closing(outer):
            writer.write(to_line({"done": None}))
            await asyncio.gather(copy(reader, outer), copy(inner, writer))

    async def _tunnel(
        self,
        caller: Caller,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        id: str,
    ) -> None:
        writer.write(to_line({"done": None}))
        if not self._host.arrived(id, (reader, writer)):
            raise Invalid(f"Nobody waits for {caller.pod} there.", code="no_tunnel")
        # Whoever took it closes it.
        await writer.wait_closed()

    async def _stay(
        self, caller: Caller, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(to_line({"done": None}))
        line = Line(writer)
        beating = asyncio.create_task(_beat(line))
        self._host.linked(caller, line)
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    found = await reader.readline()
                if not found:
                    return
                self._host.reported(caller, json.loads(found)["report"])
        finally:
            beating.cancel()
            self._host.unlinked(caller, line)


async def _size(folder: Path, writer: asyncio.StreamWriter) -> int:
    """Return the bytes of a folder; has the agent wait, as a folder of many files takes long."""
    walking = asyncio.create_task(asyncio.to_thread(size_of, folder))
    try:
        while not (await asyncio.wait([walking], timeout=BEAT_SECONDS))[0]:
            writer.write(WAIT)
            await writer.drain()
        return walking.result()
    finally:
        walking.cancel()


async def _beat(line: Line) -> None:
    while True:
        await asyncio.sleep(BEAT_SECONDS)
        line.order(None)
