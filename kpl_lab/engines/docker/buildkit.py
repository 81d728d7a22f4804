"""The daemon's newer builder: what it says, and the session through which it asks for secrets.

Its progress comes as protobuf messages (``StatusResponse`` of moby/buildkit's ``control.proto``)
inside the answer to ``POST /build?version=2``. Secrets are never sent with a request: the builder
asks for each when a step needs it, over a connection that the daemon keeps open for us
(``POST /session``) and on which it is the client and we serve gRPC
(``moby.buildkit.secrets.v1.Secrets/GetSecret``).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream

from kpl_lab.errors import Unavailable

TRACE = "moby.buildkit.trace"
_GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 (a method's name)
_CHECK = "/grpc.health.v1.Health/Check"
_SERVING = b"\x08\x01"
_READ_BYTES = 64 * 1024
_INTERNAL = "[internal]"
Message = dict[int, list[Any]]


def fields(data: bytes) -> Message:
    """Return a protobuf message's fields by number: numbers and bytes, in their order.

    Raises
    ------
    ValueError
        It is none.
    """
    found: Message = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, place = _varint(data, place)
        elif kind in (1, 2, 5):
            size, place = (
                (8, place) if kind == 1 else (4, place) if kind == 5 else _varint(data, place)
            )
            value, place = data[place : place + size], place + size
        else:
            raise ValueError(f"a field of the unknown kind {kind}")
        if place > len(data):
            raise ValueError("a message that was cut off")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("a number that was cut off")


def _bytes(message: Message, number: int) -> list[bytes]:
    """Return a field that holds texts or messages; what is a number there is none of them."""
    return [value for value in message.get(number, ()) if isinstance(value, bytes)]


def _text(message: Message, number: int) -> str:
    return next(iter(_bytes(message, number)), b"").decode("utf-8", "replace")


@dataclass
class Progress:
    """The builder's steps as lines of a log: ``#3 RUN …``, its output, how it ended."""

    _numbers: dict[str, int] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _is_at_start: bool = True
    _last: int = 0

    def read(self, aux: str) -> bytes:
        """Return what a trace adds to the log."""
        try:
            status = fields(base64.b64decode(aux))
            return b"".join(self._lines(status))
        except ValueError as error:
            return f"[kpl] the builder said something that cannot be read: {error}\n".encode()

    def _lines(self, status: Message) -> Iterator[bytes]:
        for raw in _bytes(status, 1):
            yield from self._vertex(fields(raw))
        for raw in _bytes(status, 3):
            yield from self._output(fields(raw))

    def _vertex(self, vertex: Message) -> Iterator[bytes]:
        digest, name = _text(vertex, 1), _text(vertex, 3)
        error, is_over = _text(vertex, 7), 6 in vertex
        if name.startswith(_INTERNAL) and not error:
            return
        if digest not in self._numbers and (5 in vertex or is_over):
            self._numbers[digest] = len(self._numbers) + 1
            yield self._line(f"#{self._numbers[digest]} {name}")
        if is_over and digest not in self._ended:
            self._ended.add(digest)
            how = f"ERROR: {error}" if error else "CACHED" if vertex.get(4, [0])[0] else "DONE"
            yield self._line(f"#{self._numbers[digest]} {how}")

    def _output(self, log: Message) -> Iterator[bytes]:
        number, text = self._numbers.get(_text(log, 1), 0), next(iter(_bytes(log, 4)), b"")
        if not self._is_at_start and number != self._last:  # another step says something meanwhile
            yield b"\n"
        self._last = number
        self._is_at_start = text.endswith(b"\n") or (self._is_at_start and not text)
        yield text

    def _line(self, text: str) -> bytes:
        before = b"" if self._is_at_start else b"\n"
        self._is_at_start = True
        return before + text.encode() + b"\n"


class _Bytes(CodecBase):
    """Messages as the bytes that they are on the wire: there are two, of one field each."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:  # noqa: ANN401 (the library's)
        del message_type
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:  # noqa: ANN401 (the library's)
        del message_type
        return data


class _Secrets:
    """What the builder may ask for."""

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def __mapping__(self) -> dict[str, Handler]:
        return {
            _GET_SECRET: Handler(self._get, Cardinality.UNARY_UNARY, bytes, bytes),
            _CHECK: Handler(self._check, Cardinality.UNARY_UNARY, bytes, bytes),
        }

    async def _get(self, stream: Stream[bytes, bytes]) -> None:
        asked = _text(fields(await stream.recv_message() or b""), 1)
        if asked not in self._known:
            raise GRPCError(Status.NOT_FOUND, f"there is no secret {asked}; give it with --secret")
        value = self._known[asked].encode()
        await stream.send_message(b"\x0a" + _as_varint(len(value)) + value)

    @staticmethod
    async def _check(stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        await stream.send_message(_SERVING)


def _as_varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


@asynccontextmanager
async def session(socket: Path, known: Mapping[str, str]) -> AsyncGenerator[str, None]:
    """Give the id of a session of the daemon in which a builder finds these secrets.

    Raises
    ------
    Unavailable
        The daemon does not answer.
    """
    id = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="kpl-session-") as folder:
        place = str(Path(folder) / "s")
        server = Server([_Secrets(known)], codec=_Bytes())
        await server.start(path=place)
        try:
            async with _hijacked(socket, id) as theirs, _connection(Path(place)) as ours:
                pumps = [
                    asyncio.create_task(_pump(theirs[0], ours[1])),
                    asyncio.create_task(_pump(ours[0], theirs[1])),
                ]
                try:
                    yield id
                finally:
                    for pump in pumps:
                        pump.cancel()
                    await asyncio.wait(pumps)
        finally:
            server.close()
            await server.wait_closed()


@asynccontextmanager
async def _connection(
    socket: Path,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        yield reader, writer
    finally:
        writer.close()


@asynccontextmanager
async def _hijacked(
    socket: Path, id: str
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    request = (
        "POST /session HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        f"X-Docker-Expose-Session-Uuid: {id}\r\nX-Docker-Expose-Session-Name: kpl-lab\r\n"
        f"X-Docker-Expose-Session-Sharedkey: \r\n"
        f"X-Docker-Expose-Session-Grpc-Method: {_GET_SECRET}\r\n\r\n"
    )
    with _as_unavailable():
        reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        with _as_unavailable():
            writer.write(request.encode())
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise Unavailable("The Docker daemon opens no session for a build.")
        yield reader, writer
    finally:
        writer.close()


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Unavailable(
            "The Docker daemon does not answer.", code="docker_unreachable"
        ) from error


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_READ_BYTES):
            sink.write(data)
            await sink.drain()
        sink.close()
