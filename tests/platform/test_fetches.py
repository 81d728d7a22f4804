"""What has to be fetched first: once for all who wait, again while that may help, and in words."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kpl_lab.errors import Conflict, KplError, Unavailable
from kpl_lab.platform.runtime.fetches import Fetches, Lack
from kpl_lab.platform.storage.files import FileStore
from tests.platform.running import until

AWAY = Unavailable("The object storage does not answer.")
DAMAGED = Conflict("datasets/1/1 is damaged.")


class Far(FileStore):
    """A store whose folders come when they are let."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[Path] = []
        self.answers: list[KplError | None] = []
        self.here: set[Path] = set()
        self.may_come = threading.Event()
        self.may_come.set()

    def is_at_hand(self, path: Path) -> bool:
        return path in self.here

    def at_hand(self, path: Path, seconds: float | None = 0.0) -> Path:
        assert seconds is None, "nobody waits for this one"
        self.asked.append(path)
        assert self.may_come.wait(30)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self.here.add(path)
        return path

    def progress(self, path: Path) -> str:
        return " (1 of 2 MiB)"


@pytest.fixture
def far(tmp_path: Path) -> Far:
    return Far(tmp_path)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
async def fetches(far: Far, told: list[str]) -> AsyncIterator[Fetches[str]]:
    with ThreadPoolExecutor() as threads:
        made: Fetches[str] = Fetches(far, told.append, threads)
        work = asyncio.create_task(made.queue.run())
        yield made
        work.cancel()


async def test_what_is_here_is_not_waited_for(fetches: Fetches[str], far: Far) -> None:
    folder = far.dataset(1, 1)
    far.here.add(folder)
    assert await fetches.lacking([folder], "task") is None
    assert await fetches.lacking([], "task") is None
    assert far.asked == []


async def test_all_who_wait_hear_of_one_fetch(
    fetches: Fetches[str], far: Far, told: list[str]
) -> None:
    folder = far.dataset(1, 1)
    far.may_come.clear()
    found = await asyncio.gather(*(fetches.lacking([folder], key) for key in ("task", "mount")))
    far.may_come.set()
    text = "Its files are being fetched from the object storage (1 of 2 MiB)."
    assert found == [Lack(text, is_progress=True)] * 2
    await until(lambda: set(told) >= {"task", "mount"})
    assert far.asked == [folder]
    assert await fetches.lacking([folder], "task") is None


async def test_while_the_server_is_away_it_is_said_and_tried_again(
    fetches: Fetches[str], far: Far, told: list[str]
) -> None:
    folder = far.dataset(1, 1)
    far.answers = [AWAY, AWAY]
    await fetches.lacking([folder], "task")
    await until(lambda: told)
    assert await fetches.lacking([folder], "task") == Lack(AWAY.message, is_progress=False)
    await until(lambda: folder in far.here)
    assert await fetches.lacking([folder], "task") is None
    assert len(far.asked) == 3


async def test_what_waiting_does_not_mend_is_raised_once(
    fetches: Fetches[str], far: Far, told: list[str]
) -> None:
    folder = far.dataset(1, 1)
    far.answers = [DAMAGED]
    await fetches.lacking([folder], "task")
    await until(lambda: told)
    with pytest.raises(Conflict, match="damaged"):
        await fetches.lacking([folder], "task")
    await fetches.lacking([folder], "another")  # somebody may have mended it
    await until(lambda: folder in far.here)
