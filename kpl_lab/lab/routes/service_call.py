"""The handler that calls a deployed service, again while the front door is being restarted."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
from tornado import web

from kpl_lab.client.failures import error_from
from kpl_lab.client.services import NO_ROUTES, has_no_routes
from kpl_lab.client.transport import DEFAULT_RETRY_SECONDS
from kpl_lab.errors import Invalid, Unavailable
from kpl_lab.lab.base import PROBLEM_TYPE
from kpl_lab.lab.client import Outgoing
from kpl_lab.lab.routes.forward import ForwardHandler
from kpl_lab.retry import backoff
from kpl_lab.schemas.services import ServiceDetail

MOST_KEPT_BYTES = 16 * 1024 * 1024
"""A longer body is passed on but not kept, so such a call is not repeated."""
# What is answered in a service's place where nobody is behind its address.
_SILENT = (502, 503, 504)


class KeptBody:
    """A body that can be sent again from its start, as long as it is short."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self._kept: list[bytes] = []
        self._bytes = 0

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing of what has come is lost."""
        return self._bytes <= MOST_KEPT_BYTES

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what has come before, then what comes."""
        for piece in list(self._kept):
            yield piece
        async for piece in self._source:
            self._bytes += len(piece)
            if self.is_whole:
                self._kept.append(piece)
            else:
                self._kept.clear()
            yield piece


@web.stream_request_body
class ServiceCallHandler(ForwardHandler):
    """One request to a deployed service, with the caller's token added on this side."""

    async def target(self) -> str:
        """Return the service's address with the wanted path below it."""
        ref = self.path_args[0]
        path = self.get_query_argument("path", "/")
        if not path.startswith("/") or ".." in path.partition("?")[0].split("/"):
            raise Invalid(
                f"{path!r} is not a path; it starts with a slash and has no '..'.",
                code="invalid_path",
            )
        door = self.door
        answer = await door.send(
            Outgoing("GET", f"{door.credentials.api_url}/services/{quote(ref, safe='')}")
        )
        try:
            await answer.aread()
            await door.refusal(answer)
            if answer.status_code >= 300:
                raise error_from(answer)
            service = ServiceDetail.model_validate_json(answer.content)
        finally:
            await answer.aclose()
        return door.credentials.url + service.url.rstrip("/") + path

    async def send(self, outgoing: Outgoing) -> httpx.Response:
        """Return the answer; where there is none, it is the service that is silent.

        A call that no service can have seen is sent again, as ``kpl`` does it.

        Raises
        ------
        Unavailable
            Its address cannot be reached, or the connection ended before it answered.
        """
        body = KeptBody(outgoing.content) if outgoing.content is not None else None
        deadline = time.monotonic() + DEFAULT_RETRY_SECONDS
        for wait in backoff(0.1, max_seconds=0.5):
            content = body.pieces() if body is not None else None
            problem: Unavailable | None = None
            try:
                answer = await super().send(dataclasses.replace(outgoing, content=content))
                if not await _is_of_no_service(answer):
                    return answer
            except Unavailable as error:
                problem = error
            is_unseen = problem is None or problem.code == "unreachable"
            is_repeatable = body is None or body.is_whole
            if not (is_unseen and is_repeatable) or time.monotonic() + wait > deadline:
                raise _unreachable(problem) from problem
            await asyncio.sleep(wait)
        raise AssertionError("back-off never ends")

    async def check(self, answer: httpx.Response) -> None:
        """Take every answer as the service's own, but for what is said in its place.

        Raises
        ------
        Unavailable
            No replica is ready, says whoever stands before them.
        """
        kind = answer.headers.get("Content-Type", "")
        if answer.status_code in _SILENT and kind.startswith(PROBLEM_TYPE):
            try:
                await answer.aread()
            finally:
                await answer.aclose()
            said = error_from(answer)
            raise Unavailable(said.message, code="service_unavailable", detail=said.detail)


async def _is_of_no_service(answer: httpx.Response) -> bool:
    """Tell whether a front door without routes answered; read no body that may be long."""
    if answer.status_code != 404 or answer.headers.get("Content-Length") != str(len(NO_ROUTES)):
        return False
    try:
        await answer.aread()
    finally:
        await answer.aclose()
    return has_no_routes(answer)


def _unreachable(problem: Unavailable | None) -> Unavailable:
    return Unavailable(
        "The address of the service cannot be reached; try again in a moment.",
        code="service_unreachable",
        detail=problem.detail if problem is not None else {},
    )
