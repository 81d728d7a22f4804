"""What dies is started again; what runs is adopted; what was started otherwise is replaced."""

import asyncio
import contextlib
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import kpl_lab
from kpl_lab.settings import Home
from kpl_lab.supervisor import records
from kpl_lab.supervisor.ending import end_processes
from kpl_lab.supervisor.keeper import WAITS, Keeper
from kpl_lab.supervisor.plan import Plan
from kpl_lab.supervisor.records import Record
from tests.installation import free_port

WITH_OURS = {"PYTHONPATH": str(Path(kpl_lab.__file__).parents[1])}
SLEEPER = "import time\nwhile True: time.sleep(1)"
STUBBORN = (
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
    + SLEEPER
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.run.mkdir()
    home.logs.mkdir()
    return home


def plan_of(home: Home, code: str = SLEEPER, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "name": "worker",
        "command": (sys.executable, "-c", code),
        "environment": {},
        "directory": home.root,
        "log": home.logs / "worker.log",
        "grace_seconds": 5.0,
    }
    return Plan(**(values | changes))


@contextlib.asynccontextmanager
async def keeping(home: Home, *plans: Plan) -> AsyncIterator[Keeper]:
    keeper = Keeper(home, plans, {})
    keeper.take_doors()
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(home: Home, is_wanted: Callable[[Record], object]) -> Record:
    await until_true(lambda: is_wanted(records.read(home, "worker")))
    return records.read(home, "worker")


async def until_true(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        for _ in itertools.count():
            if is_so():
                return
            await asyncio.sleep(0.02)


async def is_running(home: Home) -> Record:
    return await until(home, lambda r: r.state == "running" and r.identity)


async def test_a_killed_process_is_started_again(home: Home) -> None:
    plan = plan_of(home)
    async with keeping(home, plan):
        first = await is_running(home)
        os.kill(first.pid or 0, signal.SIGKILL)
        second = await until(home, lambda r: r.identity and r.pid != first.pid)
    assert second.restarts == 1
    await asyncio.to_thread(end_processes, home, [plan])


async def test_a_resting_keeper_starts_nothing_and_reaps_what_ends(home: Home) -> None:
    plan = plan_of(home)
    async with keeping(home, plan) as keeper:
        first = await is_running(home)
        keeper.rest()
        await asyncio.to_thread(end_processes, home, [plan])
        await until_true(lambda: not Path(f"/proc/{first.pid}").exists())
        await asyncio.sleep(2 * WAITS[0])
    assert records.read(home, "worker").pid is None


async def test_processes_run_on_without_their_keeper_and_are_adopted(home: Home) -> None:
    plan = plan_of(home)
    async with keeping(home, plan):
        first = await is_running(home)
    assert first.identity, "it ended with its keeper"
    async with keeping(home, plan):
        await asyncio.sleep(0)
        assert (await is_running(home)).pid == first.pid
        os.kill(first.pid or 0, signal.SIGKILL)
        await until(home, lambda r: r.identity and r.pid != first.pid)
    await asyncio.to_thread(end_processes, home, [plan])


async def test_a_process_that_was_started_otherwise_is_replaced(home: Home) -> None:
    async with keeping(home, plan_of(home)):
        first = await is_running(home)
    changed = plan_of(home, environment={"CHANGED": "1"})
    async with keeping(home, changed):
        second = await until(home, lambda r: r.identity and r.plan == changed.digest)
    assert second.pid != first.pid
    assert not first.identity
    await asyncio.to_thread(end_processes, home, [changed])


async def test_one_that_keeps_dying_is_told_and_started_ever_more_rarely(home: Home) -> None:
    port = free_port()
    plan = plan_of(home, "raise SystemExit('no such thing')", port=port)
    async with keeping(home, plan):
        found = await until(home, lambda r: r.state == "failing")
        with pytest.raises(ConnectionRefusedError):
            call(port, b"?")
    assert found.pid is None
    assert str(plan.log) in found.message
    assert "no such thing" in plan.log.read_text()


async def test_one_that_ignores_sigterm_is_killed_after_its_grace(home: Home) -> None:
    plan = plan_of(home, STUBBORN, grace_seconds=0.2)
    async with keeping(home, plan):
        found = await is_running(home)
        await until_true(lambda: "up" in plan.log.read_text())
    await asyncio.to_thread(end_processes, home, [plan])
    assert not found.identity
    assert not records.path_of(home, "worker").exists()


async def test_a_command_that_is_not_there_is_a_sentence(home: Home) -> None:
    async with keeping(home, plan_of(home, command=("/no/such/program",))):
        found = await until(home, lambda r: r.state in ("failing", "restarting"))
    assert found.pid is None


DOORKEEPER = """
import os, signal, socket, sys
from pathlib import Path
from kpl_lab.platform.door import lend
door = socket.socket(fileno=int(sys.argv[sys.argv.index("--listen-fd") + 1]))
lend(door.dup(), Path("run/worker.door"))
while True:
    caller = door.accept()[0]
    if caller.recv(1) == b"k":
        os.kill(os.getpid(), signal.SIGKILL)
    caller.sendall(b"%d" % os.getpid())
    caller.close()
"""


def call(port: int, word: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(word)
        with contextlib.suppress(ConnectionResetError):
            return caller.recv(100)
    return b""


async def kill_and_call(port: int) -> None:
    """Have the process behind the port kill itself; whoever calls at once is answered."""
    assert await asyncio.to_thread(call, port, b"k") == b""
    assert await asyncio.to_thread(call, port, b"?")


async def test_who_calls_while_it_is_started_again_is_not_refused(home: Home) -> None:
    port = free_port()
    plan = plan_of(home, DOORKEEPER, port=port, environment=WITH_OURS)
    async with keeping(home, plan):
        await is_running(home)
        for _ in range(3):
            await kill_and_call(port)
    await asyncio.to_thread(end_processes, home, [plan])


async def test_nor_when_another_supervisor_has_taken_over(home: Home) -> None:
    port = free_port()
    plan = plan_of(home, DOORKEEPER, port=port, environment=WITH_OURS)
    async with keeping(home, plan):
        first = await is_running(home)
        assert await asyncio.to_thread(call, port, b"?") == str(first.pid).encode()
    async with keeping(home, plan):
        await kill_and_call(port)
    await asyncio.to_thread(end_processes, home, [plan])
