"""Around every request: an id, an end to its size, and headers that browsers heed.

Plain ASGI, not Starlette's ``BaseHTTPMiddleware``: that one copies every body through a queue and
hides a client's leaving from event streams.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kpl_lab.clock import Clock
from kpl_lab.schemas.common import Problem

MEDIA_TYPE = "application/problem+json"
MAX_BODY_BYTES = 4 * 1024 * 1024
# Batches of metric points that a relay has gathered while the platform was away.
MAX_RUNTIME_BODY_BYTES = 32 * 1024 * 1024
# The bytes of uploads are counted where they are written.
_UPLOAD = re.compile(r"PUT /kpl/api/v1/uploads/[0-9]+")
# Files in a form are written to disk whole before a route sees them.
_SAVE = re.compile(
    r"POST /kpl/runtime/(dataset|dataset_fs|model|algorithm)/upload"
    r"|POST /kpl/runtime/upload/(dataset|dataset_fs|model)"
)


class SingleSlashes:
    """Clients 0.0.7 to 0.1.2 join base and path with two slashes; they count as one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its slashes folded."""
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": re.sub("/{2,}", "/", scope["path"])}
        await self._app(scope, receive, send)


class _AnsweredError(Exception):
    """The head of an answer is sent, and nothing more of it is wanted."""


class HeadAsGet:
    """Answers HEAD wherever GET does: with the same head and without what follows it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; one for the head alone ends with it, also where streams never do."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                await send({"type": "http.response.body"})
                raise _AnsweredError

        with contextlib.suppress(_AnsweredError):
            await self._app({**scope, "method": "GET"}, receive, send_head)


class OutsideAlone:
    """Hides the routes of other processes of the platform, where nothing of them calls."""

    HIDDEN = ("/kpl/api/v1/internal", "/kpl/runtime")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless it is for a hidden route."""
        if scope["type"] == "http" and scope["path"].startswith(self.HIDDEN):
            await send({"type": "http.response.start", "status": 404, "headers": []})
            await send({"type": "http.response.body"})
            return
        await self._app(scope, receive, send)


class ServiceGate:
    """Answers the front door at once where it has asked the same a moment ago.

    Each call of a private service is a question of Traefik's: may this token call that service? The
    answer is found by the route; a yes is remembered for ``fresh_seconds``, which is how long a
    change of a service's access may take to be felt.
    """

    PREFIX = "/kpl/api/v1/internal/authorize/"
    MAX_REMEMBERED = 10_000

    def __init__(self, app: ASGIApp, clock: Clock, fresh_seconds: float = 2.0) -> None:
        self._app = app
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._passed: dict[tuple[str, bytes], float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on and see what becomes of it."""
        if scope["type"] != "http" or not scope["path"].startswith(self.PREFIX):
            await self._app(scope, receive, send)
            return
        token = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        question, now = (scope["path"], hashlib.sha256(token).digest()), self._clock.monotonic()
        if self._passed.get(question, 0.0) > now:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})
            return

        async def send_seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._remember(question, message["status"] == 200, now)
            await send(message)

        await self._app(scope, receive, send_seen)

    def _remember(self, question: tuple[str, bytes], may_pass: bool, now: float) -> None:
        if len(self._passed) >= self.MAX_REMEMBERED:
            self._passed.clear()
        self._passed.pop(question, None)
        if may_pass:
            self._passed[question] = now + self._fresh_seconds


class RequestFrame:
    """Names each request, and sets the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        await self._app(scope, receive, send_framed)


class BodyLimit:
    """Refuses bodies that nobody needs, before they fill the memory.

    What says its length is refused at once; what does not is read up to the limit. Saved files have
    to say their length.

    Parameters
    ----------
    max_file_bytes
        What a saved file may have.
    """

    def __init__(self, app: ASGIApp, max_file_bytes: int) -> None:
        self._app = app
        self._max_file_bytes = max_file_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        call = f"{scope['method']} {scope['path']}" if scope["type"] == "http" else ""
        if not call or _UPLOAD.fullmatch(call):
            await self._app(scope, receive, send)
            return
        is_save = bool(_SAVE.fullmatch(call))
        limit = self._limit(scope["path"], is_save=is_save)
        length = Headers(scope=scope).get("content-length", "")
        if length.isdigit() and int(length) > limit:
            await _refuse(scope, send, limit)
        elif not is_save:
            await self._pass_read(scope, receive, send, limit)
        elif length.isdigit():
            await self._app(scope, receive, send)
        else:
            await _refuse(scope, send, limit, status=411)

    def _limit(self, path: str, *, is_save: bool) -> int:
        if is_save:
            return self._max_file_bytes + MAX_BODY_BYTES  # the form around it
        return MAX_RUNTIME_BODY_BYTES if path.startswith("/kpl/runtime/") else MAX_BODY_BYTES

    async def _pass_read(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        """Read the whole body, and pass the request on with it."""
        parts: list[Message] = []
        left = limit
        more = True
        while more:
            message = await receive()
            parts.append(message)
            left -= len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
            if left < 0:
                await _refuse(scope, send, limit)
                return

        async def replay() -> Message:
            return parts.pop(0) if parts else await receive()

        await self._app(scope, replay, send)


async def _refuse(scope: Scope, send: Send, limit: int, *, status: int = 413) -> None:
    is_too_large = status == 413
    problem = Problem(
        code="too_large" if is_too_large else "length_required",
        message=f"The request has more than {limit} bytes, the limit here. Send files as uploads."
        if is_too_large
        else "The request does not say how long it is; send a Content-Length.",
        detail={"limit": limit},
        request_id=str(scope.get("state", {}).get("request_id", "")),
    )
    body = json.dumps(problem.model_dump()).encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
