"""The way from the Jupyter server to the platform: streams both ways, one pool of connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from kpl_lab.client import Client, Credentials
from kpl_lab.client.failures import error_from, interrupted, unreachable

CONNECT_SECONDS = 5.0
# Between two pieces of an answer: the event stream sends a comment every 15 seconds, everything
# else answers at once or after it has looked through what was uploaded.
READ_SECONDS = 300.0


@dataclass(frozen=True)
class Outgoing:
    """One request on its way to the platform."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: AsyncIterator[bytes] | None = None


class Door:
    """Sends requests with the server's token.

    Parameters
    ----------
    credentials
        Address and token; they stay on this side.
    transport
        An httpx transport in place of the network, for tests.
    """

    def __init__(
        self, credentials: Credentials, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.credentials = credentials
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"token {credentials.token}", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            transport=transport,
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, outgoing: Outgoing) -> httpx.Response:
        """Return the answer with its body still to be read; close it afterwards.

        Raises
        ------
        Unavailable
            The platform does not answer.
        KplError
            What answered was not the platform but a proxy with nobody behind it.
        """
        request = self._http.build_request(
            outgoing.method, outgoing.url, headers=dict(outgoing.headers), content=outgoing.content
        )
        try:
            answer = await self._http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise unreachable(self.credentials.url, error) from error
        except httpx.TransportError as error:
            raise interrupted(self.credentials.url, error) from error
        return answer

    async def refusal(self, answer: httpx.Response) -> None:
        """Raise what a refusal that is no problem document means; leave others unread.

        Raises
        ------
        KplError
            Of the class that the status names.
        """
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code >= 300 and not kind.startswith("application/problem+json"):
            try:
                await answer.aread()
            finally:
                await answer.aclose()
            raise error_from(answer)

    def blocking_client(self) -> Client:
        """Return a synchronous client for work in a thread; close it there."""
        return Client(self.credentials)


class Pipe:
    """Pieces of a body from the browser's connection to the platform's, one at a time."""

    def __init__(self) -> None:
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=1)

    async def put(self, piece: bytes | None, reader: asyncio.Future[httpx.Response]) -> None:
        """Hand on a piece (None: the end), or drop it when ``reader`` has stopped reading."""
        putting = asyncio.ensure_future(self._pieces.put(piece))
        both: set[asyncio.Future[Any]] = {putting, reader}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        putting.cancel()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece
