"""Idle stop inside a server: what counts as work, the warning, and what the platform is asked."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from kpl_lab.clock import SYSTEM_CLOCK, ManualClock
from kpl_lab.errors import Unavailable
from kpl_lab.lab.idle import IdlePolicy, IdleStop, IdleStops, IdleWatch, Stage, Work, policies_of
from kpl_lab.lab.work import Gpus, Kernels, Processes
from kpl_lab.measures import gpus
from kpl_lab.schemas.servers import IdleReport

POLICY = IdlePolicy(stop_seconds=600.0, warning_seconds=120.0)
PATIENCE_SECONDS = 20.0


class Found:
    """A measure that finds what the test says."""

    def __init__(self) -> None:
        self.work: Work | None = None

    async def look(self) -> Work | None:
        return self.work


class Told:
    """What the platform was told."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.is_away = False

    async def __call__(self, said: IdleReport) -> None:
        if self.is_away:
            raise Unavailable("The platform does not answer.")
        self.states.append(said.state)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def found() -> Found:
    return Found()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def idle(clock: ManualClock, found: Found, told: Told) -> IdleStop:
    return IdleStop(POLICY, found, told, clock, logging.getLogger("test"))


def test_it_is_off_unless_the_platform_has_set_it() -> None:
    assert policies_of({}) == []
    assert policies_of({"KPL_IDLE_STOP_MINUTES": "0"}) == []
    assert policies_of({"KPL_IDLE_STOP_MINUTES": "soon"}) == []
    given = {"KPL_IDLE_STOP_MINUTES": "30", "KPL_IDLE_WARNING_MINUTES": "5"}
    assert policies_of(given) == [IdlePolicy(1800.0, 300.0)]
    found = policies_of({**given, "KPL_IDLE_GPU_MINUTES": "8"})
    assert found == [IdlePolicy(1800.0, 300.0), IdlePolicy(480.0, 240.0, "gpu")]


async def test_gpus_that_compute_nothing_end_a_server_in_which_a_kernel_is_busy(
    clock: ManualClock, told: Told
) -> None:
    log, kernels, on_gpus = logging.getLogger("test"), Found(), Found()
    kernels.work = Work("A kernel is busy")
    on_gpus.work = Work("A GPU is in use")
    whole = IdleStop(POLICY, kernels, told, clock, log)
    of_gpus = IdleStop(IdlePolicy(300.0, 60.0, "gpu"), on_gpus, told, clock, log)
    both = IdleStops([whole, of_gpus])
    await of_gpus.look()
    on_gpus.work = None
    for _ in range(6):
        await whole.look()
        await of_gpus.look()
        clock.advance(60)
    assert told.states == ["warned", "over"]
    assert both.view().what == "gpu"
    await both.keep()
    assert (both.view().what, both.view().stage) == ("gpu", Stage.IDLE)
    on_gpus.work = Work("A GPU is in use")
    kernels.work = None
    await whole.look()
    await of_gpus.look()
    assert both.view().what == "server"


def test_it_looks_often_enough_for_a_warning_to_come_in_time() -> None:
    assert POLICY.look_seconds <= POLICY.warning_seconds / 4
    assert IdlePolicy(6.0, 3.0).look_seconds <= 0.5
    assert IdlePolicy(10**6, 10**5).look_seconds == 30.0


async def test_it_warns_once_then_asks_to_be_stopped(
    idle: IdleStop, clock: ManualClock, told: Told
) -> None:
    stages = []
    for _ in range(11):
        stages.append(await idle.look())
        clock.advance(60)
    assert stages == [Stage.IDLE] * 8 + [Stage.WARNING] * 2 + [Stage.OVER]
    assert told.states == ["warned", "over"]


async def test_work_begins_the_time_anew_and_takes_a_warning_back(
    idle: IdleStop, clock: ManualClock, found: Found, told: Told
) -> None:
    clock.advance(500)
    assert await idle.look() is Stage.WARNING
    found.work = Work("A kernel is busy")
    assert await idle.look() is Stage.WORK
    found.work = None
    clock.advance(470)
    assert await idle.look() is Stage.IDLE
    clock.advance(20)
    assert await idle.look() is Stage.WARNING
    assert told.states == ["warned", "warned"]


async def test_what_worked_between_two_looks_counts_from_its_end(
    idle: IdleStop, clock: ManualClock, found: Found
) -> None:
    clock.advance(1000)
    found.work = Work("A kernel was busy", seconds_ago=590)
    assert await idle.look() is Stage.WARNING
    assert idle.watch.seconds_left == 10


async def test_keep_running_gives_the_whole_time_again_and_is_told(
    idle: IdleStop, clock: ManualClock, told: Told
) -> None:
    clock.advance(500)
    await idle.look()
    await idle.keep()
    assert await idle.look() is Stage.IDLE
    assert idle.watch.seconds_left == 600
    assert told.states == ["warned", "kept"]


async def test_a_page_that_is_ahead_of_the_platform_is_heard_too(
    idle: IdleStop, clock: ManualClock, told: Told
) -> None:
    clock.advance(500)
    await idle.keep()
    assert told.states == ["kept"]


async def test_keep_running_without_a_warning_is_nothing_to_tell(
    idle: IdleStop, told: Told
) -> None:
    await idle.keep()
    assert told.states == []


async def test_a_platform_that_is_away_is_asked_again_at_the_next_look(
    idle: IdleStop, clock: ManualClock, told: Told
) -> None:
    told.is_away = True
    clock.advance(700)
    assert await idle.look() is Stage.OVER
    told.is_away = False
    assert await idle.look() is Stage.OVER
    assert await idle.look() is Stage.OVER
    assert told.states == ["over"]


def test_a_page_is_told_when_to_look_again(clock: ManualClock) -> None:
    watch = IdleWatch(POLICY, clock)
    assert watch.view().look_again_seconds == 30
    clock.advance(475)
    assert watch.view().look_again_seconds == 5
    clock.advance(5)
    view = watch.view()
    assert (view.stage, view.seconds_left, view.look_again_seconds) == (Stage.WARNING, 120, 10)


def kernels(*found: tuple[str, float]) -> Kernels:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    known = {
        str(number): SimpleNamespace(
            execution_state=state, last_activity=now - dt.timedelta(seconds=ago)
        )
        for number, (state, ago) in enumerate(found)
    }
    manager = SimpleNamespace(list_kernel_ids=lambda: list(known), get_kernel=known.__getitem__)
    return Kernels(manager, lambda: now)


def test_a_busy_kernel_is_work_now_and_an_idle_one_was_work_when_it_last_ran() -> None:
    assert kernels().look() is None
    busy = kernels(("idle", 5.0), ("busy", 500.0)).look()
    assert busy is not None and busy.seconds_ago == 0
    was = kernels(("idle", 50.0), ("idle", 20.0)).look()
    assert was is not None and was.seconds_ago == 20


class Terminal:
    """A shell as a terminal runs it, on a terminal of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.master, slave = os.openpty()
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "PS1": "$ ", **environment},
        )
        os.close(slave)

    def type(self, line: str) -> None:
        os.write(self.master, f"{line}\n".encode())

    def close(self) -> None:
        # A test run that ignores SIGHUP hands that down to what the shell has started.
        for one in psutil.Process(self.shell.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.shell.kill()
        self.shell.wait()
        os.close(self.master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal({"KPL_SERVER_ID": f"test-{os.getpid()}"})
    yield found
    found.close()


@pytest.fixture
def processes() -> Processes:
    return Processes(os.getpid(), f"test-{os.getpid()}", SYSTEM_CLOCK)


def until(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def quiet(look: Callable[[], Work | None]) -> None:
    """Wait until three looks in a row find nothing."""
    count = 0

    def is_quiet() -> bool:
        nonlocal count
        count = 0 if look() else count + 1
        return count >= 3

    until(is_quiet)


def test_a_shell_at_its_prompt_and_a_program_that_only_waits_are_no_work(
    terminal: Terminal, processes: Processes
) -> None:
    shells = [terminal.shell.pid]
    quiet(lambda: processes.look(shells))
    terminal.type("exec 2>/dev/null; sleep 1000")
    quiet(lambda: processes.look(shells))


def test_a_program_that_computes_is_work(terminal: Terminal, processes: Processes) -> None:
    shells = [terminal.shell.pid]
    quiet(lambda: processes.look(shells))
    terminal.type(f"{sys.executable} -c 'while True: pass'")
    for _ in range(3):
        until(lambda: processes.look(shells))


def test_a_program_that_only_writes_is_work(terminal: Terminal, processes: Processes) -> None:
    shells = [terminal.shell.pid]
    quiet(lambda: processes.look(shells))
    program = "import time\nwhile True: time.sleep(0.2); print(1, flush=True)"
    terminal.type(f'{sys.executable} -c "$(printf {program!r})"')
    for _ in range(3):
        until(lambda: processes.look(shells))


def test_what_left_its_terminal_is_work_still_and_what_others_do_is_not(
    terminal: Terminal, processes: Processes, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    busy = f"{sys.executable} -c 'while True: pass'"
    # No subshell: of one, `$$` is not the number.
    terminal.type(f"setsid nohup sh -c 'echo $$ > {pid}; exec {busy.replace(chr(39), chr(34))}' &")
    until(lambda: pid.exists() and pid.read_text().strip())
    detached = int(pid.read_text())
    try:
        quiet(lambda: Processes(os.getpid(), "of another server", SYSTEM_CLOCK).look([]))
        for _ in range(3):
            until(lambda: processes.look([]))
    finally:
        os.kill(detached, signal.SIGKILL)


async def gpu_work(folder: Path, said: str | None, count: int = 2) -> Work | None:
    """Return what is found of GPUs of which ``nvidia-smi`` says this; None: there is no program."""
    program = folder / "nvidia-smi"
    program.unlink(missing_ok=True)
    if said is not None:
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
        program.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0,1"}
    return await Gpus(count, gpus.Gpus(environment)).look()


@pytest.mark.parametrize(
    ("busy", "what"),
    [
        (("0", "0"), None),
        (("0", "37"), "A GPU is in use"),
        (("0", "[N/A]"), "The use of the GPU cannot be measured"),
    ],
)
async def test_a_gpu_in_use_is_work_and_one_that_does_not_tell_is_taken_for_used(
    tmp_path: Path, busy: tuple[str, ...], what: str | None
) -> None:
    said = "\n".join(f"{n}, Tesla T4, {share}, 4, 15360" for n, share in enumerate(busy))
    found = await gpu_work(tmp_path, said)
    assert (found and found.what) == what


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has GPUs")
async def test_gpus_that_nobody_can_ask_are_taken_for_used(tmp_path: Path) -> None:
    found = await gpu_work(tmp_path, None)
    assert found is not None and "cannot be measured" in found.what


async def test_a_server_without_gpus_asks_nobody(tmp_path: Path) -> None:
    assert await gpu_work(tmp_path, "0, Tesla T4, 37, 4, 15360", count=0) is None


class TestInAServer:
    """The handler in a real Jupyter server."""

    @pytest.fixture
    def jp_server_config(
        self, jp_server_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, Any]:
        monkeypatch.setenv("KPL_IDLE_STOP_MINUTES", "60")
        monkeypatch.setenv("KPL_IDLE_WARNING_MINUTES", "60")
        monkeypatch.setenv("KPL_SERVER_ID", "7")
        return jp_server_config

    async def test_it_says_how_long_it_is_and_begins_anew_when_asked(self, jp_fetch: Any) -> None:
        first = json.loads((await jp_fetch("kpl-lab", "local", "idle")).body)
        assert (first["minutes"], first["stage"]) == (60, "warning")
        kept = await jp_fetch("kpl-lab", "local", "idle", method="POST", body="")
        second = json.loads(kept.body)
        assert second["seconds_left"] > first["seconds_left"] - 60
        assert second["warning_seconds"] == 3600


async def test_a_server_without_idle_stop_says_so(jp_fetch: Any) -> None:
    found = json.loads((await jp_fetch("kpl-lab", "local", "idle")).body)
    assert (found["minutes"], found["seconds_left"]) == (None, None)
    again = await jp_fetch("kpl-lab", "local", "idle", method="POST", body="")
    assert json.loads(again.body)["minutes"] is None


async def test_a_running_kernel_of_a_real_server_is_seen_at_work(jp_serverapp: Any) -> None:
    manager = jp_serverapp.kernel_manager
    id = await manager.start_kernel()
    watched = Kernels(manager, SYSTEM_CLOCK.now)
    client = manager.get_kernel(id).client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        manager.notify_connect(id)
        client.execute("import time; time.sleep(3600)")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                work = watched.look()
                if work is not None and work.seconds_ago == 0:
                    break
                await asyncio.sleep(0.05)
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(id, now=True)
