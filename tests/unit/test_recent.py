"""One answer for all who ask within some seconds."""

from __future__ import annotations

import asyncio

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.recent import Recent


class Asked:
    """Answers with how often it was asked, when it is let."""

    def __init__(self) -> None:
        self.count = 0
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.count += 1
        self.was_asked.set()
        count = self.count
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return count


async def test_it_is_asked_again_when_it_is_too_old() -> None:
    clock, asked = ManualClock(), Asked()
    recent = Recent(2.0, asked, clock=clock)
    assert [await recent.get(), await recent.get()] == [1, 1]
    clock.advance(2.0)
    assert await recent.get() == 2


async def test_it_is_as_old_as_the_question() -> None:
    clock, asked = ManualClock(), Asked()
    recent = Recent(2.0, asked, clock=clock)
    asked.may_answer.clear()
    first = asyncio.create_task(recent.get())
    await asked.was_asked.wait()
    clock.advance(2.0)  # the answer takes that long
    asked.may_answer.set()
    assert await first == 1
    assert await recent.get() == 2


async def test_many_at_once_are_one_question() -> None:
    asked = Asked()
    recent = Recent(60.0, asked)
    assert await asyncio.gather(*(recent.get() for _ in range(1000))) == [1] * 1000


async def test_a_failure_is_everybody_s_and_the_next_one_asks_again() -> None:
    asked = Asked()
    recent = Recent(60.0, asked)
    asked.error = ValueError("away")
    found = await asyncio.gather(*(recent.get() for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [ValueError] * 3
    assert asked.count == 1
    asked.error = None
    assert await recent.get() == 2


async def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    asked = Asked()
    recent = Recent(60.0, asked)
    asked.may_answer.clear()
    first, second = asyncio.create_task(recent.get()), asyncio.create_task(recent.get())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    asked.may_answer.set()
    assert await second == 1
