"""Orders to the agents of pods, each until its answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from kpl_lab.engines.kubernetes.gate import Line
from kpl_lab.engines.kubernetes.ledger import Entry
from kpl_lab.errors import EngineError

# So long an agent takes at most to come again where it, the runner or the gate were restarted.
_RETURN_SECONDS = 8.0
# Between two looks whether the workload and its agent are still there.
_LOOK_SECONDS = 0.2


class Orders:
    """Sends orders, again to an agent that comes again, and waits for what becomes of them.

    Parameters
    ----------
    line
        Gives the connection to the agent of a workload; None while it has none.
    is_over
        Says whether a workload runs no more.
    """

    def __init__(self, line: Callable[[str], Line | None], is_over: Callable[[str], bool]) -> None:
        self._line, self._is_over = line, is_over
        self._answers: dict[tuple[str, str], asyncio.Future[str]] = {}

    def answered(self, workload: str, done: Mapping[str, str]) -> None:
        """Take the answers of a workload's agent: errors by the orders' numbers, empty where it went well.

        Agents repeat theirs, also to the next runner, and speak for nobody else.
        """
        for number, error in done.items():
            waiting = self._answers.get((workload, number))
            if waiting is not None and not waiting.done():
                waiting.set_result(error)

    async def give(self, entry: Entry, order: Mapping[str, Any], seconds: float) -> None:
        """Have the agent of a running workload do something, and wait until it has.

        Raises
        ------
        EngineError
            It does not run, is being deleted, does not answer, or could not.
        """
        # No number of an earlier runner: agents keep telling of what that had asked for.
        number = secrets.token_hex(8)
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answers[entry.name, number] = answer
        try:
            async with asyncio.timeout(seconds):
                error = await self._answer(entry, {**order, "id": number}, answer)
        except TimeoutError as late:
            raise EngineError(
                f"The agent of {entry.name} has not answered within {seconds:g} s; try again.",
                code="agent_away",
            ) from late
        finally:
            del self._answers[entry.name, number]
        if error:
            raise EngineError(f"That could not be done in the pod: {error}", code="agent_failed")

    async def _answer(
        self, entry: Entry, order: dict[str, Any], answer: asyncio.Future[str]
    ) -> str:
        told, heard_at = None, time.monotonic()
        while not answer.done():
            if entry.is_deleting:
                raise EngineError(f"{entry.name} is being deleted.", code="deleting")
            line, now = self._line(entry.name), time.monotonic()
            if line is not None:
                heard_at = now
                if line is not told:
                    line.order(order)
                    told = line
            elif self._is_over(entry.name) or now - heard_at > _RETURN_SECONDS:
                raise EngineError(
                    f"The agent of {entry.name} is not connected just now; try again in a moment.",
                    code="agent_away",
                )
            await asyncio.wait({answer}, timeout=_LOOK_SECONDS)
        return answer.result()
