"""How the hub asks the platform: few calls, asynchronous, with the hub's own token."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import BaseModel, ValidationError

from kpl_lab.errors import BY_STATUS, KplError, NotFound, Unavailable
from kpl_lab.recent import Recent
from kpl_lab.retry import backoff
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.datasets import DatasetView
from kpl_lab.schemas.images import PRESET_OWNER, ImageView, is_shown
from kpl_lab.schemas.servers import (
    CapacityView,
    ServerCreate,
    ServerGrant,
    ServerLaunch,
    ServersAlive,
    ServerStart,
    ServerStatus,
    ServerView,
)
from kpl_lab.schemas.tasks import LogPage

M = TypeVar("M", bound=BaseModel)
MOST_ITEMS = 200
# Longer than the supervisor takes to restart what has died.
RESTART_SECONDS = 6.0
# So old may be what is known of servers that run, for the polls of all of them.
ALIVE_SECONDS = 2.0
# And of servers that start, for all who wait for one.
STARTING_SECONDS = 0.1


@dataclass(frozen=True)
class Person:
    """Whom the hub acts for."""

    name: str
    groups: frozenset[str] = frozenset()
    is_admin: bool = False


class PlatformClient:
    """The platform as the hub sees it.

    Every method raises ``KplError``: of the class that the answer names, ``Unavailable`` where
    nobody answers.

    Parameters
    ----------
    url
        Base of the API, e.g. ``http://127.0.0.1:45000/kpl/api/v1``.
    token
        What opens ``/internal``.
    transport
        In place of the network, for tests.
    """

    def __init__(
        self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"token {token}"},
            timeout=httpx.Timeout(20.0, connect=3.0),
            transport=transport,
            trust_env=False,
        )
        self._alive = Recent(ALIVE_SECONDS, self._ask_alive)
        self._starting = Recent(STARTING_SECONDS, self._ask_alive)

    async def create_server(self, body: ServerCreate) -> ServerGrant:
        """Have the platform note a new server; nothing starts yet."""
        return await self._call("POST", "/internal/servers", ServerGrant, body)

    async def start_server(self, server: int, launch: ServerLaunch) -> ServerStatus:
        """Have the server started as soon as there is room."""
        return await self._call("POST", f"/internal/servers/{server}/start", ServerStatus, launch)

    async def stop_server(self, server: int) -> None:
        """Have the server ended; repeatable."""
        await self._send("POST", f"/internal/servers/{server}/stop")

    async def server(self, server: int) -> ServerStatus:
        """Return how far a server is."""
        return await self._call("GET", f"/internal/servers/{server}", ServerStatus)

    async def is_alive(self, server: int) -> bool:
        """Say whether a server runs, is about to or is ending, or did so a moment ago.

        The platform is asked once for all servers, so that thousands of polls are few questions.
        One that is new, or that nobody knows, is not among them.
        """
        return server in (await self._alive.get()).ids

    async def until_running(self, server: int, seconds: float) -> None:
        """Wait until a server runs, at most so long; also where nobody answers.

        The platform is asked once for all servers that start.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await self._runs(server):  # noqa: ASYNC110 (it is another process)
                    await asyncio.sleep(STARTING_SECONDS)

    async def _runs(self, server: int) -> bool:
        with contextlib.suppress(KplError):
            return server in (await self._starting.get()).running
        return False

    async def _ask_alive(self) -> ServersAlive:
        return await self._call("GET", "/internal/servers", ServersAlive)

    async def images(self, person: Person) -> list[ImageView]:
        """Return the part of the catalog that somebody may use, their own first."""
        found = (await self._call("GET", f"/images?limit={MOST_ITEMS}", Page[ImageView])).items
        if not person.is_admin:
            found = [one for one in found if is_shown(one, person.name, person.groups)]
        return sorted(found, key=lambda one: one.owner not in (person.name, PRESET_OWNER))

    async def capacity(self, person: Person) -> CapacityView:
        """Return what there is and what of it is promised, with the pools that somebody may use."""
        query = urlencode([("user", person.name), *(("group", one) for one in person.groups)])
        return await self._call("GET", f"/capacity?{query}", CapacityView)

    async def datasets(self) -> list[DatasetView]:
        """Return the newest datasets of everybody; who may see which is left to the caller."""
        path = f"/datasets?limit={MOST_ITEMS}"
        return (await self._call("GET", path, Page[DatasetView])).items

    async def servers(self) -> list[ServerView]:
        """Return the newest servers of everybody."""
        path = f"/servers?limit={MOST_ITEMS}"
        return (await self._call("GET", path, Page[ServerView])).items

    async def starts(self, user: str, most: int) -> list[ServerStart]:
        """Return the newest starts of a user's servers, with what happened to each."""
        path = f"/servers/history?user={quote(user, safe='')}&limit={most}"
        return (await self._call("GET", path, Page[ServerStart])).items

    async def server_log(self, server: int, size: int) -> str:
        """Return the last ``size`` bytes of what a server wrote itself."""
        path = f"/servers/{server}/log?tail={size}"
        return (await self._call("GET", path, LogPage)).text

    async def _call(
        self, method: str, path: str, model: type[M], body: BaseModel | None = None
    ) -> M:
        answer = await self._send(method, path, body)
        try:
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unavailable(
                f"The platform's answer to {path} is not what this hub expects; are both of the "
                "same version?",
                detail={"cause": str(error)},
            ) from error

    async def _send(self, method: str, path: str, body: BaseModel | None = None) -> httpx.Response:
        """Send a request, again while a part of the platform is being restarted."""
        deadline = time.monotonic() + RESTART_SECONDS
        for wait in backoff(0.1, max_seconds=1.0):
            try:
                return await self._send_once(method, path, body)
            except Unavailable:
                # Every route that the hub calls may be called twice: a server that is created
                # again takes the place of the first.
                if time.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("back-off never ends")

    async def _send_once(self, method: str, path: str, body: BaseModel | None) -> httpx.Response:
        content: Any = None if body is None else body.model_dump(mode="json")
        try:
            answer = await self._http.request(method, path, json=content)
        except httpx.HTTPError as error:
            raise Unavailable(
                "The platform does not answer at the moment; it is restarted by itself, try again "
                "in a few seconds."
            ) from error
        if answer.status_code >= 300:
            raise _error_of(answer)
        return answer


def _error_of(answer: httpx.Response) -> KplError:
    kind = BY_STATUS.get(answer.status_code, Unavailable)
    try:
        problem = answer.json()
        return kind(str(problem["message"]), code=str(problem["code"]))
    except (ValueError, KeyError, TypeError):
        if answer.status_code == 404:
            return NotFound("The platform does not know that.")
        return Unavailable(f"The platform answered {answer.status_code}; its log says why.")


_clients: dict[tuple[str, str], PlatformClient] = {}


def client_of(url: str, token: str) -> PlatformClient:
    """Return the hub's one client for an address: its connections are shared by all spawners."""
    key = (url, token)
    if key not in _clients:
        _clients[key] = PlatformClient(url, token)
    return _clients[key]
