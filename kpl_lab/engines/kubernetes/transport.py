"""Requests to an API server: who we are, patience, and what a refusal means."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp

from kpl_lab import __version__
from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.engines.kubernetes import words
from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.contact import unreachable
from kpl_lab.engines.kubernetes.words import Call, Json
from kpl_lab.retry import backoff
from kpl_lab.telemetry.instruments import KubernetesRequest

T = TypeVar("T")
AccessSource = Callable[[], Awaitable[Access]]
Sleep = Callable[[float], Awaitable[None]]
JSON_TYPE = "application/json"
_UNAUTHORISED, _SERVER_ERROR, _BAD_GATEWAY = 401, 500, 502
# The largest object that etcd takes is 1.5 MiB; a line of a watch holds one.
_LINE_BYTES = 1 << 21
# How often a broken login may be tried again, in seconds.
_LOGIN_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long requests are waited for and repeated, in seconds.

    Attributes
    ----------
    connect, answer
        For one try: until there is a connection; until the whole answer is there.
    first, longest
        Between tries at first, and at most.
    total
        From the first try to giving up.
    """

    connect: float = 10.0
    answer: float = 30.0
    first: float = 0.2
    longest: float = 5.0
    total: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request.

    Attributes
    ----------
    again
        Whether it may be repeated when it is not known whether it was done.
    tries
        False: the first answer counts, whatever it is.
    silence
        Seconds without a byte after which a stream is broken; None: as long as it takes.
    """

    method: str
    path: str
    call: Call
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = JSON_TYPE
    again: bool = True
    tries: bool = True
    silence: float | None = None


class _Answered(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, body: Json, wait: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.wait = wait
        self.message = str(body.get("message") or "")


class Transport:
    """Connections to one API server.

    Parameters
    ----------
    source
        Gives the way to it; asked again when the server no longer knows us.
    """

    def __init__(
        self,
        source: AccessSource,
        access: Access,
        *,
        patience: Patience | None = None,
        clock: Clock = SYSTEM_CLOCK,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._source = source
        self._patience = patience or Patience()
        self._clock = clock
        self._sleep = sleep
        # Clear while nothing answers at the server's address, whoever asks.
        self._answering = asyncio.Event()
        self._answering.set()
        self._loading = asyncio.Lock()
        self._loaded_at = clock.monotonic()
        self._use(access)
        # Each watch and each log that is followed holds a connection.
        # Names are looked up as everything else on this machine does it, for kubeconfigs of a VPN.
        connector = aiohttp.TCPConnector(
            limit=0, socket_factory=_socket, resolver=aiohttp.ThreadedResolver()
        )
        self._session = aiohttp.ClientSession(connector=connector, read_bufsize=_LINE_BYTES)

    @property
    def host(self) -> str:
        """URL of the API server."""
        return self._access.host

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    @property
    def is_answering(self) -> bool:
        """Whether the last request of all found somebody at the server's address."""
        return self._answering.is_set()

    async def answering(self, seconds: float) -> None:
        """Return when something answers at the server's address, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._answering.wait()

    async def json(self, request: Request) -> Json:
        """Return the answer to a request.

        Raises
        ------
        Refused
            The server said no.
        ClusterAway
            It did not answer for longer than our patience.
        """
        timeout = aiohttp.ClientTimeout(
            total=self._patience.answer, sock_connect=self._patience.connect
        )

        async def once() -> Json:
            async with self._answer(request, timeout) as response:
                return _json(await response.read())

        return await self._persistently(request, once)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[aiohttp.StreamReader, None]:
        """Give the body of an answer as it comes.

        Raises
        ------
        Refused, ClusterAway
            As for :meth:`json`; the latter also when the connection breaks.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._patience.connect, sock_read=request.silence
        )
        async with contextlib.AsyncExitStack() as stack:

            async def once() -> aiohttp.ClientResponse:
                async with asyncio.timeout(self._patience.answer):
                    return await stack.enter_async_context(self._answer(request, timeout))

            response = await self._persistently(request, once)
            with self._translated(request.call):
                yield response.content

    @contextlib.contextmanager
    def _translated(self, call: Call) -> Iterator[None]:
        try:
            yield
        except _Answered as answer:
            raise words.refusal(answer.status, answer.body, call) from answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(error, self.host) from error

    async def _persistently(self, request: Request, once: Callable[[], Awaitable[T]]) -> T:
        """Try until it succeeds, is refused for good, or our patience ends."""
        waits = backoff(self._patience.first, max_seconds=self._patience.longest)
        end = self._clock.monotonic() + self._patience.total
        renewed = False
        while True:
            access = self._access
            with self._translated(request.call):
                try:
                    return await once()
                except _FAILURES as error:
                    if not renewed and _unknown(error):
                        renewed = True
                        wait = 0.0 if await self._renew(access) else math.inf
                    else:
                        wait = _wait(request, error, next(waits))
                    if wait and self._clock.monotonic() + wait > end:
                        raise
            if wait:
                await self._sleep(wait)

    @asynccontextmanager
    async def _answer(
        self,
        request: Request,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 (aiohttp's own)
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        access = self._access
        headers = {"Accept": JSON_TYPE, "User-Agent": f"kpl-lab/{__version__}"}
        if access.authorization:
            headers["Authorization"] = access.authorization
        data = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            data = json.dumps(request.body, separators=(",", ":")).encode()
        counted = KubernetesRequest(request.call.verb, request.call.resource)
        try:
            async with self._session.request(
                request.method,
                access.host + request.path,
                params=request.query,
                headers=headers,
                data=data,
                timeout=timeout,
                ssl=self._tls,
                server_hostname=access.server_name or None,
                proxy=access.proxy or None,
                allow_redirects=False,
            ) as response:
                self._answering.set()
                counted.ended(str(response.status))
                if response.status >= 300:
                    raise await _refused(response)
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self._answering.clear()
            raise
        finally:
            counted.ended()

    async def _renew(self, used: Access) -> bool:
        """Load who we are again; say whether it is worth another try."""
        async with self._loading:
            if self._access is not used:
                return True
            now = self._clock.monotonic()
            if now - self._loaded_at < _LOGIN_SECONDS:
                return False
            self._loaded_at = now
            self._use(await self._source())
            return True

    def _use(self, access: Access) -> None:
        self._access = access
        self._tls = access.tls() if access.host.startswith("https:") else True


_FAILURES = (_Answered, aiohttp.ClientError, TimeoutError, OSError)


def _unknown(error: Exception) -> bool:
    return isinstance(error, _Answered) and error.status == _UNAUTHORISED


def _wait(request: Request, error: Exception, ours: float) -> float:
    """Return how long to wait before another try; infinity: there is no use in one."""
    if not request.tries or not _worth_repeating(request, error):
        return math.inf
    theirs = error.wait if isinstance(error, _Answered) else None
    return max(ours, theirs or 0.0)


def _worth_repeating(request: Request, error: Exception) -> bool:
    if isinstance(error, _Answered):
        was_refused = error.status < _SERVER_ERROR  # so that nothing was done
        return (request.again or was_refused) and words.passing(error.status, error.message)
    if isinstance(error, aiohttp.ClientSSLError):
        return False
    return request.again or isinstance(error, aiohttp.ClientConnectorError)


def _json(data: bytes) -> Json:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _Answered(_BAD_GATEWAY, {"message": "what answers there is no API server"}, None)
    return found


async def _refused(response: aiohttp.ClientResponse) -> _Answered:
    text = await response.text(errors="replace")
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {"message": text.strip()[:500]}
    wait = response.headers.get("Retry-After", "")
    return _Answered(response.status, body, float(wait) if wait.isdecimal() else None)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Make a socket that notices when the other end has vanished, also where nothing is sent."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return made
