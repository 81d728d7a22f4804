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


class Outlooks:
    """Asks one engine what there is.

    Parameters
    ----------
    engine
        It; how long it may take to answer is its own matter.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asking: asyncio.Task[Outlook] | None = None
        self._asked_at = 0.0

    async def ask(self) -> Outlook:
        """Wait for the answer for as long as the engine takes: for those who want to have something."""
        try:
            return Outlook(await self._engine.capacity())
        except KplError as error:
            return Outlook(error)

    async def look(self) -> Outlook:
        """Wait for a moment only: for those who are told what others wait for.

        One question is asked however many look, and one that is late is late for all of them.
        """
        now = asyncio.get_running_loop().time()
        if self._asking is None or self._asking.done():
            self._asking, self._asked_at = asyncio.create_task(self.ask()), now
        try:
            async with asyncio.timeout(max(0.0, self._asked_at + LOOK_SECONDS - now)):
                return await asyncio.shield(self._asking)
        except TimeoutError:
            return Outlook(Unavailable("The engine has not said in time what there is; try again."))
