"""Puts the API together."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kpl_lab import __version__
from kpl_lab.platform.api import ROUTERS, errors
from kpl_lab.platform.api.runtime import RUNTIME_PREFIX, create_runtime
from kpl_lab.platform.context import Context
from kpl_lab.platform.events import PLATFORM, listen
from kpl_lab.platform.storage import upgrade

API_PREFIX = "/kpl/api/v1"


class SingleSlashes:
    """Clients 0.0.7 to 0.1.2 join base and path with two slashes; they count as one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its slashes folded."""
        if scope["type"] == "http" and "//" in scope["path"]:
            scope = {**scope, "path": re.sub("/{2,}", "/", scope["path"])}
        await self._app(scope, receive, send)


@asynccontextmanager
async def _listening(app: FastAPI) -> AsyncIterator[None]:
    """Hear nudges for as long as the API serves."""
    context: Context = app.state.context
    transport = await listen(context.settings.home.run / PLATFORM, context.bell.ring)
    try:
        yield
    finally:
        transport.close()
        await context.engine.close()


def create_app(context: Context) -> FastAPI:
    """Return the API on ``context``.

    Raises
    ------
    Conflict
        The database is not of this version's revision.
    """
    upgrade.check(context.database.engine)
    app = FastAPI(
        title="KPL Lab",
        version=__version__,
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_listening,
    )
    app.state.context = context
    errors.install(app)

    @app.middleware("http")
    async def name_request(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers["X-Request-Id"] = errors.request_id(request)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    for router in ROUTERS:
        app.include_router(router, prefix=API_PREFIX)
    app.mount(RUNTIME_PREFIX, create_runtime(context))
    app.add_middleware(SingleSlashes)
    return app
