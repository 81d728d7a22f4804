"""What happened to a user's servers, for the hub's pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from kpl_lab.errors import KplError
from kpl_lab.hub.platform_client import client_of
from kpl_lab.schemas.servers import ServerStart
from kpl_lab.settings import Secret, Settings

MOST_STARTS = 30
ANSWER_SECONDS = 3.0

History = Callable[[], Awaitable[Sequence[ServerStart] | None]]


class Named(Protocol):
    """A user of JupyterHub."""

    name: str


def history_of(settings: Settings) -> Callable[[Named | None], History]:
    """Return what templates have as ``kpl_history``: asked for only where a page shows it.

    JupyterHub calls a function among its template variables with the user of each page; what is
    returned here asks the platform when it is called itself. It answers the user's starts, newest
    first, and None where the platform does not answer: the page is shown without them.
    """
    secret = settings.home.read_secret(Secret.HUB_TO_PLATFORM)
    url = settings.platform_url

    def of(user: Named | None) -> History:
        async def starts() -> Sequence[ServerStart] | None:
            if user is None:
                return []
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await client_of(url, secret).starts(user.name, MOST_STARTS)
            except (KplError, TimeoutError):
                return None

        return starts

    return of
