"""Puts the API together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from kpl_lab.platform.api import ROUTERS, errors
from kpl_lab.platform.api.health import API_VERSION
from kpl_lab.platform.api.measuring import Measuring
from kpl_lab.platform.api.metrics import Exposition, own_router
from kpl_lab.platform.api.middleware import (
    BodyLimit,
    HeadAsGet,
    OutsideAlone,
    RequestFrame,
    ServiceGate,
    SingleSlashes,
)
from kpl_lab.platform.api.surface import RUNTIME_PREFIX, create_runtime
from kpl_lab.platform.context import Context
from kpl_lab.platform.events import PLATFORM, hearing
from kpl_lab.platform.storage import upgrade

API_PREFIX = "/kpl/api/v1"


@asynccontextmanager
async def _listening(app: FastAPI) -> AsyncIterator[None]:
    """Hear nudges for as long as the API serves."""
    context: Context = app.state.context
    path = context.settings.home.run / PLATFORM
    try:
        async with hearing(context.database, path, context.bell.ring):
            yield
    finally:
        await context.engine.close()


def create_api() -> FastAPI:
    """Return all routes of the API, not yet bound to an installation."""
    api = FastAPI(
        title="KPL Lab",
        version=API_VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_listening,
        separate_input_output_schemas=False,
    )
    for router in ROUTERS:
        api.include_router(router, prefix=API_PREFIX)
    return api


def create_app(context: Context, *, is_replica: bool = False) -> FastAPI:
    """Return the API on ``context``.

    Parameters
    ----------
    is_replica
        Whether it answers beside the platform's own one: to callers from outside alone.

    Raises
    ------
    Conflict
        The database is not of this version's revision.
    """
    upgrade.check(context.database.engine)
    app = create_api()
    app.state.context = context
    app.state.exposition = Exposition(context)
    errors.install(app)
    app.mount(RUNTIME_PREFIX, create_runtime(context))
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_file_bytes=context.options.max_upload_bytes)
    if is_replica:
        app.include_router(own_router)
        app.add_middleware(OutsideAlone)
    # Inside of what gives a request another scope: the route is found in the one that it sees.
    app.add_middleware(Measuring, surfaces=(API_PREFIX, RUNTIME_PREFIX))
    app.add_middleware(HeadAsGet)
    app.add_middleware(SingleSlashes)
    app.add_middleware(RequestFrame)
    app.add_middleware(ServiceGate, clock=context.clock)
    return app
