"""The work queue: duplicates merge, one look at a time per key, back-off per key."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpl_lab.errors import Unavailable
from kpl_lab.platform.runtime import workqueue
from kpl_lab.platform.runtime.workqueue import WorkQueue
from tests.platform.running import until


@contextlib.asynccontextmanager
async def working(queue: WorkQueue[str]) -> AsyncIterator[None]:
    work = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


class Looks:
    """What was looked at, and how many looks at one key went on at once."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.at_once: Counter[str] = Counter()
        self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.failures: list[Exception] = []

    async def __call__(self, key: str) -> float | None:
        self.at_once[key] += 1
        self.most_at_once = max(self.most_at_once, self.at_once[key])
        self.seen.append(key)
        try:
            await asyncio.sleep(0)
            await self.go_on.wait()
            if self.failures:
                raise self.failures.pop()
        finally:
            self.at_once[key] -= 1
        return None


async def settled(queue: WorkQueue[str]) -> None:
    async with asyncio.timeout(20):
        await queue.settled()


async def test_what_is_added_often_before_it_is_looked_at_is_looked_at_once() -> None:
    looks = Looks()
    queue = WorkQueue(looks)
    for key in "aabab":
        queue.add(key)
    async with working(queue):
        await settled(queue)
    assert sorted(looks.seen) == ["a", "b"]


async def test_what_is_added_during_its_look_is_looked_at_once_more() -> None:
    looks = Looks()
    looks.go_on.clear()
    queue = WorkQueue(looks)
    queue.add("a")
    async with working(queue):
        await until(lambda: looks.seen)
        queue.add("a")
        queue.add("a")
        looks.go_on.set()
        await settled(queue)
    assert looks.seen == ["a", "a"]
    assert looks.most_at_once == 1


async def test_no_more_look_at_once_than_there_are_workers() -> None:
    looks = Looks()
    looks.go_on.clear()
    queue = WorkQueue(looks, workers=3)
    for key in "abcdefgh":
        queue.add(key)
    async with working(queue):
        await until(lambda: len(looks.seen) >= 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(looks.seen) == 3
        looks.go_on.set()
        await settled(queue)
    assert sorted(looks.seen) == list("abcdefgh")


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a fault of ours")])
async def test_a_look_that_fails_is_taken_again_and_holds_up_no_other(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workqueue, "backoff", lambda *_a, **_k: iter([0.01, 0.02, 0.03]))
    looks = Looks()
    looks.failures = [error, error]
    queue = WorkQueue(looks, workers=1)
    queue.add("a")
    queue.add("b")
    async with working(queue):
        await until(lambda: len(looks.seen) >= 4)
        await settled(queue)
    assert Counter(looks.seen) == {"a": 2, "b": 2}


async def test_a_look_may_ask_for_the_next_one() -> None:
    seen: list[str] = []

    async def look(key: str) -> float | None:
        seen.append(key)
        return 0.01 if len(seen) < 3 else None

    queue = WorkQueue(look)
    queue.add("a")
    async with working(queue):
        await until(lambda: len(seen) >= 3)
    assert seen == ["a", "a", "a"]


async def test_what_is_added_does_not_wait_for_its_back_off() -> None:
    looks = Looks()
    looks.failures = [Unavailable("away")]
    queue = WorkQueue(looks)
    queue.add("a")
    async with working(queue):
        await until(lambda: not looks.failures)
        await settled(queue)
        queue.add_after("a", 3600)
        queue.add("a")
        await settled(queue)
    assert looks.seen == ["a", "a"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40))
def test_whatever_is_added_whenever_is_looked_at_afterwards_and_never_twice_at_once(
    steps: list[tuple[str, int]],
) -> None:
    async def scenario() -> None:
        looks = Looks()
        queue = WorkQueue(looks, workers=2)
        after: dict[str, int] = {}
        async with working(queue):
            for key, pause in steps:
                after[key] = len(looks.seen)
                queue.add(key)
                for _ in range(pause):
                    await asyncio.sleep(0)
            await settled(queue)
        assert looks.most_at_once <= 1
        for key, since in after.items():
            assert key in looks.seen[since:]
        assert len(looks.seen) <= len(steps)

    asyncio.run(scenario())
