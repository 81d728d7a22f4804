"""Handlers that pass a request on and its answer back, both as streams."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from urllib.parse import urlencode

import httpx
from tornado import web
from tornado.iostream import StreamClosedError

from kpl_lab.client.failures import interrupted
from kpl_lab.lab.base import KplHandler
from kpl_lab.lab.client import Outgoing, Pipe
from kpl_lab.lab.routes.table import platform_path

MAX_BODY_BYTES = 1 << 50
"""No limit of this side's own: the body is never kept, and the platform has its own limit."""

REQUEST_HEADERS = ("Accept", "Content-Type", "Content-Length", "Idempotency-Key", "Last-Event-ID")
ANSWER_HEADERS = (
    "Content-Type",
    "Content-Length",
    "Content-Disposition",
    "Cache-Control",
    "ETag",
    "Location",
    "X-Request-Id",
)
# What the Jupyter server itself understands; none of it is the platform's business.
OWN_ARGUMENTS = frozenset({"token", "_xsrf", "no_track_activity"})
# Answers that a browser may show when it is led to their address; all else is a download there.
_HARMLESS = re.compile(
    r"(application/(problem\+)?json|text/event-stream|text/plain|image/(png|jpeg))\b"
)


@web.stream_request_body
class ForwardHandler(KplHandler):
    """One request to the platform's API."""

    _answer: asyncio.Task[httpx.Response] | None = None
    _copying: asyncio.Task[None] | None = None

    async def prepare(self, *, _redirect_to_login: bool = False) -> None:
        """Open the request to the platform before the first byte of the body has come."""
        await super().prepare()
        if self._finished:
            return
        if self.request.method == "OPTIONS":
            return
        # None where the connection is gone already.
        if self.request.connection is not None:
            self.request.connection.set_max_body_size(MAX_BODY_BYTES)  # type: ignore[attr-defined]  # HTTP1Connection has it; the annotation names its base
        url = await self.target()
        self._pipe = Pipe()
        headers = {
            name: self.request.headers[name]
            for name in REQUEST_HEADERS
            if name in self.request.headers
        }
        outgoing = Outgoing(
            str(self.request.method), url, headers, aiter(self._pipe) if self._has_body else None
        )
        self._answer = asyncio.create_task(self.send(outgoing))

    async def send(self, outgoing: Outgoing) -> httpx.Response:
        """Return the answer with its body still to be read."""
        return await self.door.send(outgoing)

    async def target(self) -> str:
        """Return the address that this request is for.

        Raises
        ------
        KplError
            It is none that the panels may use.
        """
        raw = self.request.path.partition("/kpl-lab/api/")[2]
        path = platform_path(str(self.request.method), raw)
        return self.door.credentials.api_url + path + self.query()

    def query(self, without: Iterable[str] = ()) -> str:
        """Return the query to pass on."""
        left_out = OWN_ARGUMENTS | set(without)
        pairs = [
            (name, value.decode("utf-8", "replace"))
            for name, values in self.request.query_arguments.items()
            if name not in left_out
            for value in values
        ]
        return f"?{urlencode(pairs)}" if pairs else ""

    @property
    def _has_body(self) -> bool:
        length = self.request.headers.get("Content-Length")
        return "Transfer-Encoding" in self.request.headers or length not in (None, "0")

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the body on; the browser waits while the platform is slower."""
        if self._answer is not None:
            await self._pipe.put(chunk, self._answer)

    def on_connection_close(self) -> None:
        """End the platform's side when the browser has gone."""
        super().on_connection_close()
        for running in (self._answer, self._copying):
            if running is not None:
                running.cancel()

    async def _pass(self) -> None:
        assert self._answer is not None  # noqa: S101 - prepare made it, or no method is called
        if self._has_body:
            await self._pipe.put(None, self._answer)
        await asyncio.wait({self._answer})
        if self._answer.cancelled():
            return
        answer = self._answer.result()
        await self.check(answer)
        self._copying = asyncio.create_task(self._copy(answer))
        await asyncio.wait({self._copying})
        if not self._copying.cancelled():
            self._copying.result()

    async def check(self, answer: httpx.Response) -> None:
        """Raise for an answer that is none of the platform's."""
        await self.door.refusal(answer)

    async def _copy(self, answer: httpx.Response) -> None:
        self.set_status(answer.status_code, answer.reason_phrase or None)
        self.clear_header("Content-Type")
        for name in ANSWER_HEADERS:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])
        kind = answer.headers.get("Content-Type", "")
        self.set_header("X-Content-Type-Options", "nosniff")
        if not _HARMLESS.match(kind) and "Content-Disposition" not in answer.headers:
            self.set_header("Content-Disposition", "attachment")
        try:
            if kind.startswith("text/event-stream"):
                # Told at once that it is open, also before the first event.
                await self.flush()
            async for piece in pieces_of(answer):
                self.write(piece)
                await self.flush()
        except StreamClosedError:
            return
        except httpx.TransportError as error:
            if not self._headers_written:
                raise interrupted(self.door.credentials.url, error) from error
            # Too late for a status: a cut connection is what tells the browser.
            self.log.debug("answer of the platform ended early: %s", error)
            self.detach_and_close()
            return
        finally:
            await answer.aclose()
        await self.finish(set_content_type=kind or "application/octet-stream")

    def detach_and_close(self) -> None:
        """Cut the connection to the browser."""
        if self.request.connection is not None:
            self.request.connection.detach().close()  # type: ignore[attr-defined]  # as above
        self._finished = True

    @web.authenticated
    async def get(self, _path: str) -> None:
        """Pass on a read."""
        await self._pass()

    @web.authenticated
    async def post(self, _path: str) -> None:
        """Pass on a create or an action."""
        await self._pass()

    @web.authenticated
    async def put(self, _path: str) -> None:
        """Pass on a part of an upload."""
        await self._pass()

    @web.authenticated
    async def patch(self, _path: str) -> None:
        """Pass on a change."""
        await self._pass()

    @web.authenticated
    async def delete(self, _path: str) -> None:
        """Pass on a delete."""
        await self._pass()


async def pieces_of(answer: httpx.Response) -> AsyncIterator[bytes]:
    """Yield an answer's body as it comes, or at once where it was read before."""
    if answer.is_stream_consumed:
        yield answer.content
        return
    async for piece in answer.aiter_raw():
        yield piece
