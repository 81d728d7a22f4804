"""Counts requests: by the template of their route, never by what stands in their address."""

from __future__ import annotations

import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kpl_lab.telemetry.instruments import HTTP_REQUESTS, HTTP_SECONDS

METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"


class Measuring:
    """Counts each answer as it begins: a stream of events would otherwise count when it ends.

    Parameters
    ----------
    surfaces
        What the addresses of each surface begin with; routes do not know it.
    """

    def __init__(self, app: ASGIApp, surfaces: Sequence[str]) -> None:
        self._app = app
        self._surfaces = surfaces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        surface = next((s for s in self._surfaces if scope["path"].startswith(f"{s}/")), "")

        is_counted = False

        async def send_counted(message: Message) -> None:
            nonlocal is_counted
            if message["type"] == "http.response.start":
                is_counted = True
                _count(scope, surface, message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, send_counted)
        except Exception:
            # Answered further out, where the route is not known any more.
            if not is_counted:
                _count(scope, surface, 500, time.perf_counter() - began)
            raise


def _count(scope: Scope, surface: str, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else UNKNOWN
    path = getattr(scope.get("route"), "path", None)
    route = f"{surface}{path}" if isinstance(path, str) else UNKNOWN
    HTTP_REQUESTS.labels(method, route, f"{status // 100}xx").inc()
    HTTP_SECONDS.labels(method, route).observe(seconds)
