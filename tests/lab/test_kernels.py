"""Which kernel memory has cost: what is told, and what is not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from kpl_lab.lab.kernels import EVENTS_VARIABLE, SCHEMA_ID, SETTING, Kernels, OomKills
from kpl_lab.measures.processes import is_expendable

Fetch = Callable[..., Any]


@pytest.fixture(autouse=True)
def own_factory() -> Iterator[None]:
    """Every server makes the factory of its kernels anew."""
    KernelProvisionerFactory.clear_instance()
    yield
    KernelProvisionerFactory.clear_instance()


class Supervised:
    """A server whose supervisor counts in a file, and a clock that can be set."""

    def __init__(self, app: Any, file: Path) -> None:
        self._file = file
        self.seconds = 100.0
        self.count(0)
        kills = OomKills(None, {EVENTS_VARIABLE: str(file)})
        self.kernels = Kernels(app, kills, clock=lambda: self.seconds)

    def count(self, kills: int) -> None:
        """Have something killed."""
        self._file.write_text(f"oom_kill {kills}\n")

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with a look as the server has them."""
        self.seconds += seconds
        self.kernels.look()

    @property
    def told(self) -> list[str | None]:
        """What users were told."""
        return [one.path for one in self.kernels.ended]


@pytest.fixture
def supervised(jp_serverapp: Any, tmp_path: Path) -> Supervised:
    return Supervised(jp_serverapp, tmp_path / "memory.events")


async def session(jp_fetch: Fetch, path: str) -> dict[str, Any]:
    body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}}
    answer = await jp_fetch("api", "sessions", method="POST", body=json.dumps(body))
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 (the server tells nobody)
            await asyncio.sleep(0.05)


async def test_a_kernel_that_is_killed_when_the_count_rises_is_named(
    supervised: Supervised,
) -> None:
    supervised.pass_time(3)
    supervised.count(1)
    await supervised.kernels.note_end("an-id", -9, 300 << 20)
    assert supervised.told == ["an-id"]
    assert supervised.kernels.ended[0].memory == 300
    supervised.pass_time(60)
    assert supervised.told == ["an-id"]


@pytest.mark.parametrize("code", [-9, 137])
async def test_a_kernel_that_is_killed_by_hand_is_not(supervised: Supervised, code: int) -> None:
    await supervised.kernels.note_end("an-id", code, 0)
    supervised.pass_time(60)
    assert supervised.told == []


async def test_a_kernel_that_crashes_beside_is_not(supervised: Supervised) -> None:
    supervised.count(1)
    await supervised.kernels.note_end("an-id", -11, 0)
    assert supervised.told == []


async def test_two_kernels_may_end_at_once(supervised: Supervised) -> None:
    supervised.count(2)
    await supervised.kernels.note_end("first", -9, 0)
    supervised.pass_time(3)
    await supervised.kernels.note_end("second", -9, 0)
    supervised.pass_time(60)
    assert supervised.told == ["first", "second"]


async def test_what_was_no_kernel_is_told_after_a_while(supervised: Supervised) -> None:
    supervised.count(1)
    supervised.pass_time(1)
    supervised.pass_time(3)
    assert supervised.told == []
    supervised.pass_time(6)
    supervised.pass_time(60)
    assert supervised.told == [None]


async def test_what_was_killed_before_the_server_started_is_nobodys(
    jp_serverapp: Any, tmp_path: Path
) -> None:
    file = tmp_path / "memory.events"
    file.write_text("oom_kill 4\n")
    kernels = Kernels(jp_serverapp, OomKills(None, {EVENTS_VARIABLE: str(file)}))
    await kernels.note_end("an-id", -9, 0)
    assert kernels.ended == []


def test_without_anybody_who_counts_nothing_was_killed(tmp_path: Path) -> None:
    assert OomKills(None, {}).total() == 0
    assert OomKills(None, {EVENTS_VARIABLE: str(tmp_path / "absent")}).total() == 0


async def test_a_real_kernel_is_expendable_and_its_end_is_told_at_once(
    jp_fetch: Fetch, jp_serverapp: Any, tmp_path: Path
) -> None:
    supervised = Supervised(jp_serverapp, tmp_path / "memory.events")
    jp_serverapp.web_app.settings[SETTING] = supervised.kernels
    emitted: list[dict[str, Any]] = []

    async def listen(logger: Any, schema_id: str, data: dict[str, Any]) -> None:
        emitted.append(data)

    jp_serverapp.event_logger.add_listener(schema_id=SCHEMA_ID, listener=listen)
    kernel = (await session(jp_fetch, "digits.ipynb"))["kernel"]["id"]
    manager = jp_serverapp.kernel_manager.get_kernel(kernel)
    first = manager.provisioner.pid
    assert is_expendable(first)
    assert not is_expendable(os.getpid())
    living = await supervised.kernels.living()
    assert [(one.id, one.pid, one.path) for one in living] == [(kernel, first, "digits.ipynb")]

    supervised.count(1)
    os.kill(first, signal.SIGKILL)
    await until(lambda: emitted)
    assert emitted == [{"number": 1}]
    assert supervised.told == ["digits.ipynb"]
    # The server starts it anew by itself; that one is expendable too.
    await until(lambda: manager.provisioner.pid != first and manager.ready.done())
    assert is_expendable(manager.provisioner.pid)
    await jp_fetch("api", "kernels", kernel, method="DELETE")
    assert supervised.told == ["digits.ipynb"]
