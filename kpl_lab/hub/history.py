"""What happened to a user's servers, for the hub's pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kpl_lab.errors import KplError
from kpl_lab.hub.platform_client import client_of
from kpl_lab.schemas.servers import ServerStart
from kpl_lab.settings import Secret, Settings

MOST_STARTS = 30
ANSWER_SECONDS = 3.0

History = Callable[[str], Awaitable[Sequence[ServerStart] | None]]


def history_of(settings: Settings) -> History:
    """Return a function of a user's name for templates: their starts, newest first.

    None, where the platform does not answer: the page is shown without them.
    """
    secret = settings.home.read_secret(Secret.HUB_TO_PLATFORM)
    url = settings.platform_url

    async def starts(user: str) -> Sequence[ServerStart] | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await client_of(url, secret).starts(user, MOST_STARTS)
        except (KplError, TimeoutError):
            return None

    return starts
