"""HTTP calls over connections that stay open, with as little work at the caller's side as can be.

What the caller computes stands on both sides of a comparison and would make them more alike. So
there is no HTTP library here: the answers are our own server's, short and with a length.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Target:
    """What to call.

    Parameters
    ----------
    url
        A whole address, http.
    token
        Sent with each call; none where empty.
    """

    url: str
    token: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    @property
    def request(self) -> bytes:
        """The bytes of one call."""
        parts = urlsplit(self.url)
        lines = [f"GET {parts.path} HTTP/1.1", f"Host: {parts.netloc}"]
        if self.token:
            lines.append(f"Authorization: token {self.token}")
        return "\r\n".join([*lines, "", ""]).encode()


def body_of(answer: bytes) -> bytes | None:
    """Return the body of an answer, None where it has not come whole.

    Raises
    ------
    RuntimeError
        It is not a 200 with a length.
    """
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return None
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the call was answered with {answer[:200]!r}")
    _, named, rest = head.lower().partition(b"content-length:")
    if not named:
        raise RuntimeError(f"the answer has no length: {answer[:200]!r}")
    size = int(rest.split(b"\r\n", 1)[0])
    return body if len(body) == size else None


class Caller:
    """One connection, for one call after the other."""

    def __init__(self, target: Target) -> None:
        self._request = target.request
        self._socket = socket.create_connection(target.address, CALL_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self) -> bytes:
        """Call once and return the body."""
        self._socket.sendall(self._request)
        answer = b""
        while True:
            piece = self._socket.recv(65536)
            if not piece:
                raise RuntimeError("the connection was closed in a call")
            answer += piece
            if (body := body_of(answer)) is not None:
                return body

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def latencies(direct: Target, through: Target, calls: int) -> tuple[float, float]:
    """Call both in turns; return the medians in seconds, of the direct calls first.

    Raises
    ------
    RuntimeError
        A call failed, or the two do not lead to the same process.
    """
    callers = Caller(direct), Caller(through)
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for number in range(calls + calls // 10 + 1):
            bodies = []
            for caller, found in zip(callers, times, strict=True):
                began = time.perf_counter()
                bodies.append(caller.call())
                found.append(time.perf_counter() - began)
            if bodies[0] != bodies[1]:
                raise RuntimeError(f"call {number} was answered by {bodies[0]!r} and {bodies[1]!r}")
    finally:
        for caller in callers:
            caller.close()
    # The first tenth is for warming up.
    return median(times[0][-calls:]), median(times[1][-calls:])


class _Repeater(asyncio.Protocol):
    """Calls again as soon as the answer is there, until it is told to stop."""

    def __init__(self, request: bytes, until: float, done: asyncio.Future[int]) -> None:
        self._request, self._until, self._done = request, until, done
        self._answer = b""
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        try:
            if body_of(self._answer) is None:
                return
        except RuntimeError as error:
            self._end(error)
            return
        self._answer = b""
        self._count += 1
        if time.perf_counter() < self._until:
            self._transport.write(self._request)
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or RuntimeError("the connection was closed in a call"))

    def _end(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(self._count)
        else:
            self._done.set_exception(error)
        self._transport.close()


async def _throughput(target: Target, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    host, port = target.address
    began = time.perf_counter()
    counts: list[asyncio.Future[int]] = [loop.create_future() for _ in range(connections)]
    opened: list[asyncio.Transport] = []
    try:
        for done in counts:
            repeater = _Repeater(target.request, began + seconds, done)
            made, _ = await loop.create_connection(lambda r=repeater: r, host, port)  # type: ignore[misc]
            opened.append(made)
        async with asyncio.timeout(seconds + CALL_SECONDS):
            total = sum(await asyncio.gather(*counts))
    finally:
        for done in counts:
            done.cancel()
        for transport in opened:
            transport.abort()
        await asyncio.sleep(0)  # the loop closes them in its next turn
    return total / (time.perf_counter() - began)


def throughput(target: Target, connections: int, seconds: float) -> float:
    """Return how many calls a second are answered over several connections at once."""
    return asyncio.run(_throughput(target, connections, seconds))
