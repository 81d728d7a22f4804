"""What the engine says there is, for requests: asked before their transactions begin.

An engine whose cluster is away answers late. A transaction that waited for it would keep everybody
else from writing; a page that waited for it would not come at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from kpl_lab.engines.base import Engine
from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import KplError, Unavailable

# So long after a question was asked, those who only look wait for its answer.
LOOK_SECONDS = 2.0
# So long an answer stands in for the next one, which is late.
KEPT_SECONDS = 30.0


@dataclass(frozen=True)
class Outlook:
    """What the engine has said there is, or why it has not."""

    said: Capacity | KplError

    def capacity(self) -> Capacity:
        """Return it.

        Raises
        ------
        KplError
            Why the engine has not said it.
        """
        if isinstance(self.said, KplError):
            raise self.said
        return self.said


@dataclass(frozen=True)
class _Answer:
    """What was said to one question, by the event loop's clock."""

    outlook: Outlook
    asked_at: float
    said_at: float

    def is_news(self, now: float) -> bool:
        """Say whether asking again would take longer than this answer is old."""
        return now - self.said_at < min(self.said_at - self.asked_at, KEPT_SECONDS)

    def is_kept(self, now: float) -> bool:
        """Say whether it stands in for one that is late."""
        return now - self.said_at < KEPT_SECONDS


class Outlooks:
    """Asks one engine what there is, and keeps its last answer for those who only look.

    Parameters
    ----------
    engine
        It; how long it may take to answer is its own matter.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asking: asyncio.Task[Outlook] | None = None
        self._asked_at = 0.0
        self._last: _Answer | None = None

    async def ask(self) -> Outlook:
        """Wait for the answer for as long as the engine takes: for those who want to have something."""
        now = asyncio.get_running_loop().time
        asked_at = now()
        try:
            found = Outlook(await self._engine.capacity())
        except KplError as error:
            found = Outlook(error)
        self._last = _Answer(found, asked_at, now())
        return found

    async def look(self) -> Outlook:
        """Wait for a moment only: for those who are told what others wait for.

        One question is asked however many look, and one that is late is late for all of them: they
        are told what was said last. An engine that always takes long is asked half of the time.
        """
        clock = asyncio.get_running_loop().time
        now = clock()
        if self._asking is None or self._asking.done():
            if self._last is not None and self._last.is_news(now):
                return self._last.outlook
            self._asking, self._asked_at = asyncio.create_task(self.ask()), now
        try:
            async with asyncio.timeout(max(0.0, self._asked_at + LOOK_SECONDS - now)):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            if self._last is not None and self._last.is_kept(clock()):
                return self._last.outlook
            return Outlook(Unavailable("The engine has not said in time what there is; try again."))
