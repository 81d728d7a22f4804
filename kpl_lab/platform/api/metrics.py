"""What a scraper reads: how the installation is, and what its processes count."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Request, Response
from prometheus_client import Metric

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import KplError, Unauthenticated
from kpl_lab.platform.api.deps import ContextDep, token_of
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import census
from kpl_lab.platform.telemetry import ask, controller_socket
from kpl_lab.settings import Secret
from kpl_lab.telemetry import exchange

log = logging.getLogger(__name__)
router = APIRouter(tags=["platform"])
T = TypeVar("T")

# Several scrapers at once, or one that is impatient, cost no more than one.
FRESH_SECONDS = 2.0
# What there is in all changes with machines; on a cluster it takes a list of its nodes.
CAPACITY_SECONDS = 30.0
# A scraper gives up after ten seconds and then learns nothing at all.
PATIENCE_SECONDS = 2.0


class Exposition:
    """Puts the answers to scrapers together.

    What does not answer in time is left out and told of by a zero: the rest still counts.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()
        self._state: tuple[float, list[Metric]] | None = None
        self._capacity: tuple[float, Capacity] | None = None
        self._reading: asyncio.Task[list[Metric]] | None = None

    async def page(self, accept: str) -> exchange.Page:
        """Return the answer to one scraper."""
        context = self._context
        async with self._lock:
            state = await self._fresh_state()
        controller, runner = await asyncio.gather(
            _in_time(lambda: ask(controller_socket(context.settings.home))),
            _in_time(context.engine.telemetry),
        )
        processes = {"platform": exchange.text()}
        up: dict[tuple[str, ...], bool] = {
            ("platform",): True,
            ("controller",): controller is not None,
        }
        if runner != "":  # else an engine without a process of its own
            up["runner",] = runner is not None
        processes |= {"controller": controller or "", "runner": runner or ""}
        families = [*state, census.about(context), census.flag(census.PROCESS_UP, up)]
        return await asyncio.to_thread(exchange.page, families, processes, accept)

    async def _fresh_state(self) -> list[Metric]:
        now = self._context.clock.monotonic()
        if self._state is None or now - self._state[0] >= FRESH_SECONDS:
            capacity = await self._fresh_capacity(now)
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(asyncio.to_thread(self._read, capacity))
            reading = asyncio.shield(self._reading)
            found = await _in_time(lambda: reading)
            if found is None:  # it hangs: the next scraper finds the same question asked
                return _flags(is_there=False, capacity=capacity)
            self._state = (now, found)
        return self._state[1]

    async def _fresh_capacity(self, now: float) -> Capacity | None:
        if self._capacity is None or now - self._capacity[0] >= CAPACITY_SECONDS:
            found = await _in_time(self._context.engine.capacity)
            self._capacity = None if found is None else (now, found)
        return None if self._capacity is None else self._capacity[1]

    def _read(self, capacity: Capacity | None) -> list[Metric]:
        found: list[Metric] = []
        is_there = False
        try:
            with self._context.database.store(reads_only=True) as store:
                found += census.count(store)
                if capacity is not None:
                    found += census.promised(store, self._context, capacity)
            is_there = True
        except KplError as error:
            log.warning("the database does not answer a scraper: %s", error.message)
        return [*found, *_flags(is_there=is_there, capacity=capacity)]


def _flags(*, is_there: bool, capacity: Capacity | None) -> list[Metric]:
    return [
        census.flag(census.DATABASE_UP, {(): is_there}),
        census.flag(census.ENGINE_UP, {(): capacity is not None}),
    ]


async def _in_time(question: Callable[[], Awaitable[T]]) -> T | None:
    """Return an answer; None where there is none in time."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await question()
    except (KplError, OSError) as error:  # a TimeoutError is one of the latter
        log.info("a scraper's question is not answered: %s", error)
        return None


@router.get("/internal/metrics", include_in_schema=False)
async def metrics(
    request: Request,
    context: ContextDep,
    authorization: Annotated[str | None, Header()] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Answer a scraper, who shows the token of scrapers and may read nothing else with it."""
    _require_scraper(context, authorization)
    exposition: Exposition = request.app.state.exposition
    page = await exposition.page(accept)
    return Response(page.content, media_type=page.media_type)


# What a further API process answers at the port that it has: what the installation is, the platform's own
# one tells.
own_router = APIRouter()


@own_router.get("/metrics", include_in_schema=False)
async def own_metrics(
    context: ContextDep,
    authorization: Annotated[str | None, Header()] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Answer a scraper with what this process alone has counted."""
    _require_scraper(context, authorization)
    up = census.flag(census.PROCESS_UP, {("platform",): True})
    page = exchange.page([up], {"platform": exchange.text()}, accept)
    return Response(page.content, media_type=page.media_type)


def _require_scraper(context: Context, authorization: str | None) -> None:
    known = context.settings.home.read_secret(Secret.METRICS)
    if not hmac.compare_digest(token_of(authorization).encode(), known.encode()):
        raise Unauthenticated(
            "This wants the token of scrapers: the file `secrets/metrics` of the installation."
        )
