"""How an agent in a pod and the runner's gate talk: lines and chunks over one TCP connection a call.

The agent begins with a line of JSON: ``{"call", "token", "workload", "pod", "args"}``. The gate answers
with a line, ``{"done": ...}`` or ``{"error": {"code", "message"}}``, before it as many ``{"wait": true}`` as
there is to wait, and then

=========  ==========================================================================
``fetch``  the gate sends a tar as chunks
``give``   the agent sends a tar as chunks; the gate answers with a second line
``door``   bytes go both ways: the connection now leads to a port of the platform
``tunnel`` bytes go both ways: the agent was asked to lead a connection to its command
``stay``   lines go both ways: reports of the agent, orders of the gate
=========  ==========================================================================

The agent of a node calls as the workload ``node:NAME``, with the token of node agents: ``fetch`` of ``version``,
and ``stay``. Its one order is all that is to be shown on its node, ``{"do": "show", "id", "pods": {UID: {NAME:
VERSION}}}``; its reports are those of :class:`kpl_lab.engines.kubernetes.node.report.NodeReport`.

A chunk is its length (four bytes, the highest first) and so many bytes; a chunk of no bytes is the end,
so that a connection which broke is not taken for one. The agent's side needs the standard library alone.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any, Protocol

LENGTH = struct.Struct(">I")
CHUNK_BYTES = 256 * 1024
MAX_LINE_BYTES = 1024 * 1024
# Both sides say something at least so often over a connection that stays.
BEAT_SECONDS = 15.0
SILENCE_SECONDS = 60.0


# Before the name of a node, where the agent of a node says for whom it knocks: no workload's name has a colon.
NODE = "node:"


class Broken(Exception):
    """The connection ended before what it carried was whole."""


def to_line(message: dict[str, Any]) -> bytes:
    """Return a message as a line."""
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


# Says that the answer is still to come.
WAIT = to_line({"wait": True})


class Sender(Protocol):
    """Where chunks go."""

    def write(self, data: bytes, /) -> object:
        """Send bytes; returns when they are on their way."""


class ChunkWriter:
    """A file that is sent as chunks.

    Parameters
    ----------
    target
        Where to.
    """

    def __init__(self, target: Sender) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        """Send bytes."""
        for at in range(0, len(data), CHUNK_BYTES):
            part = data[at : at + CHUNK_BYTES]
            self._target.write(LENGTH.pack(len(part)) + part)
        return len(data)

    def close(self) -> None:
        """Send the end."""
        self._target.write(LENGTH.pack(0))


class ChunkReader:
    """A file that arrives as chunks.

    Parameters
    ----------
    source
        Gives as many bytes as are asked for, or fewer at its end.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._rest = b""
        self._is_over = False

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end alone.

        Raises
        ------
        Broken
            The connection ended before the end.
        """
        found = [self._rest]
        have = len(self._rest)
        while have < size and not self._is_over:
            chunk = self._next()
            found.append(chunk)
            have += len(chunk)
        data = b"".join(found)
        self._rest = data[size:]
        return data[:size]

    def finish(self) -> None:
        """Take what is left, to its end."""
        while not self._is_over:
            self._next()

    def _next(self) -> bytes:
        head = self._source.read(LENGTH.size)
        if len(head) < LENGTH.size:
            raise Broken("the connection ended early")
        size = LENGTH.unpack(head)[0]
        if size > CHUNK_BYTES:
            raise Broken(f"a chunk of {size} bytes is none of ours")
        self._is_over = size == 0
        data = self._source.read(size)
        if len(data) < size:
            raise Broken("the connection ended early")
        return data
