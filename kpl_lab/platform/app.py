"""Puts the API together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response

from kpl_lab import __version__
from kpl_lab.platform.api import ROUTERS, errors
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage import upgrade

API_PREFIX = "/kpl/api/v1"


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
    return app
