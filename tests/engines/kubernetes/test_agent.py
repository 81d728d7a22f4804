"""An agent beside its command, from what it prepares to who ends first; /proc is a folder of the test."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.agent import agent as agents
from kpl_lab.engines.kubernetes.agent import filling
from kpl_lab.engines.kubernetes.agent.agent import Agent
from kpl_lab.engines.kubernetes.agent.command import Command
from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Refused
from kpl_lab.engines.kubernetes.gate import Gate
from kpl_lab.engines.kubernetes.objects.containers import _AGAIN
from tests.engines.kubernetes.test_gate import KEY, Host, config, fill, until

HEAD = 77


class Box:
    """A pod: its folders, its processes, and the gate that its agent calls."""

    def __init__(self, root: Path, port: int, host: Host) -> None:
        self.root, self.host, self._port = root, host, port
        self.proc, self.home = root / "proc", root / "home"
        self.home.mkdir()
        self.proc.mkdir()
        self._show(os.getpid(), "agent")

    def agent(self, *, is_together: bool, **changes: object) -> Agent:
        """Return an agent of this pod."""
        given = config(self._port, **changes)
        found = Agent(given, 5.0, is_together=is_together)
        found._command = Command(self.proc)
        return found

    def begin(self) -> None:
        """Let the command run."""
        self._show(HEAD, "main")

    def end(self) -> None:
        """Let the command be over."""
        shutil.rmtree(self.proc / str(HEAD))

    def said(self) -> list[str]:
        """Return what its agent has told of how far it is."""
        return [report["phase"] for report in self.host.reports]

    def _show(self, pid: int, group: str) -> None:
        folder = self.proc / str(pid)
        folder.mkdir()
        (folder / "cgroup").write_text(f"0::/{group}\n")
        words = ["S", "0", *["0"] * 17, "5", *["0"] * 5]
        (folder / "stat").write_text(f"{pid} (x) {' '.join(words)}\n")


@pytest.fixture
async def box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> AsyncIterator[Box]:
    for module, name in (
        (agents, "READY_FILE"), (agents, "BEGUN_FILE"), (agents, "_LAST_WORDS"), (filling, "INSIDE"), (filling, "INPUTS"),
        (filling, "OUTPUTS"), (filling, "WORK"),
    ):  # fmt: skip
        place = tmp_path / name.lower()
        if module is filling:
            place.mkdir()
        monkeypatch.setattr(module, name, place if name == "_LAST_WORDS" else str(place))
    monkeypatch.setenv("KPL_POD", "pod-a")
    host = Host(tmp_path / "store")
    gate = Gate(KEY, host)
    found = Box(tmp_path, await gate.open("127.0.0.1", 0), host)
    (found.proc / "1").mkdir()
    (found.proc / "1" / "cgroup").write_text("0::/pause\n")
    (found.proc / "uptime").write_text("100.0 100.0\n")
    yield found
    await gate.close()


async def ended(running: asyncio.Task[None]) -> None:
    """Wait until an agent has ended by itself."""
    async with asyncio.timeout(20):
        await running


async def stays(running: asyncio.Task[None]) -> None:
    """See that an agent does not end."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await asyncio.shield(running)


async def test_an_agent_together_with_its_command_ends_after_it(box: Box) -> None:
    running = asyncio.create_task(box.agent(is_together=True).run())
    await until(lambda: "prepared" in box.said())
    await stays(running)
    box.begin()
    await until(lambda: "running" in box.said())
    box.end()
    await ended(running)
    await until(lambda: box.said()[-1] == "sent")


async def test_asked_to_end_it_waits_for_its_command_which_was_asked_too(box: Box) -> None:
    agent = box.agent(is_together=True)
    box.begin()
    running = asyncio.create_task(agent.run())
    await until(lambda: "running" in box.said())
    agent._end()
    await stays(running)
    box.end()
    await ended(running)


async def test_asked_to_end_it_does_where_no_command_runs(box: Box) -> None:
    agent = box.agent(is_together=True)
    running = asyncio.create_task(agent.run())
    await until(lambda: "prepared" in box.said())
    agent._end()
    await ended(running)


async def test_a_sidecar_stays_until_it_is_asked(box: Box) -> None:
    agent = box.agent(is_together=False)
    running = asyncio.create_task(agent.run())
    box.begin()
    await until(lambda: "running" in box.said())
    box.end()
    await until(lambda: "ended" in box.said())
    await stays(running)
    agent._end()
    await ended(running)


async def test_a_sidecar_that_cannot_prepare_says_so_and_goes_when_asked(box: Box) -> None:
    agent = box.agent(is_together=False, inputs=["none"])
    running = asyncio.create_task(agent.run())
    await until(lambda: "failed" in box.said())
    assert box.host.reports[-1]["doom"]["cause"] == "start_failed"
    await stays(running)
    agent._end()
    await ended(running)


async def test_what_a_command_finds_is_no_reason_to_end_it(
    box: Box, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(agents, "fill", no_room)
    box.begin()
    running = asyncio.create_task(box.agent(is_together=True).run())
    await until(lambda: "its home has no first files" in caplog.text)
    await until(lambda: "running" in box.said())
    await stays(running)
    box.end()
    await ended(running)
    assert "failed" not in box.said()


async def test_one_that_is_started_again_knows_that_its_command_ran(box: Box) -> None:
    box.begin()
    first = asyncio.create_task(box.agent(is_together=True).run())
    await until(lambda: "running" in box.said())
    first.cancel()
    await asyncio.wait([first])
    box.end()
    await ended(asyncio.create_task(box.agent(is_together=True).run()))


def again(*words: str) -> subprocess.Popen[bytes]:
    """Run a program as the agent's container does."""
    return subprocess.Popen([*_AGAIN, *words])


def test_an_agent_is_started_again_until_it_ends_well(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    program = f"echo x >>{runs}; [ $(wc -l <{runs}) = 3 ] || kill -KILL $$"
    assert again("sh", "-c", program).wait(20) == 0
    assert runs.read_text().count("x") == 3


@pytest.mark.parametrize(("seconds", "runs"), [(5, 10), (60, 15)])
def test_only_an_agent_that_ends_soon_each_time_is_given_up(
    seconds: int, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, ran = tmp_path / "clock", tmp_path / "runs"
    played = {"sleep": "exit 0", "date": f"echo $(( $(wc -l <{clock}) * {seconds} ))"}
    for name, body in played.items():
        place = tmp_path / "bin" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"#!/bin/sh\n{body}\n")
        place.chmod(0o755)
    clock.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    program = f"echo x >>{ran}; echo tick >>{clock}; [ $(wc -l <{ran}) = 15 ] || exit 7"
    assert again("sh", "-c", program).wait(20) == (7 if runs < 15 else 0)
    assert ran.read_text().count("x") == runs


def test_an_agent_that_is_asked_to_end_is_waited_for_and_not_started_again(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    program = f"trap 'sleep 0.5; echo end >>{runs}; exit 3' TERM; echo begin >>{runs}; while :; do sleep 0.1; done"
    running = again("sh", "-c", program)
    deadline = time.monotonic() + 20
    while not runs.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.terminate()
    assert running.wait(20) == 3
    assert runs.read_text().split() == ["begin", "end"]


# A home


class Shop(Gateway):
    """A gateway whose store has two files for new homes."""

    def __init__(self, *, is_refused: bool = False) -> None:
        self.fetched, self._is_refused = 0, is_refused

    def fetch(self, args: dict[str, str], target: Path) -> None:
        assert args == {"what": "skeleton"}
        if self._is_refused:
            raise Refused("the store has it no longer")
        self.fetched += 1
        fill(target, {"first.ipynb": b"1", ".bashrc": b"2"})


def begin(box: Box, shop: Shop) -> None:
    given = config(1, home=str(box.home), has_skeleton=True, mounts=str(box.home / "datasets"))
    filling._begin_home(given, shop, box.home)


def visible(box: Box) -> list[str]:
    return sorted(path.name for path in box.home.iterdir() if path.name != ".kpl-begun")


# What lies in a home, for how many seconds, and whether it is a new one.
HOMES: dict[str, tuple[list[str], float, bool]] = {
    "empty": ([], 0, True),
    "the volume's own": (["lost+found", "datasets"], 9000, True),
    "what a server writes as it starts": ([".local", ".jupyter"], 5, True),
    "in use": (["work.py", ".local"], 5, False),
    "emptied by its user": ([".kpl-begun", ".local"], 5, False),
    "emptied by its user, before there was a mark": ([".bash_history", ".local"], 9000, False),
}


@pytest.mark.parametrize("case", HOMES.values(), ids=HOMES.keys())
def test_a_new_home_begins_with_files(box: Box, case: tuple[list[str], float, bool]) -> None:
    names, age, is_new = case
    for name in names:
        (box.home / name).mkdir()
        os.utime(box.home / name, (time.time() - age,) * 2)
    shop = Shop()
    begin(box, shop)
    assert ("first.ipynb" in visible(box)) is is_new
    begin(box, shop)
    assert shop.fetched == int(is_new)


def test_folders_of_both_are_one(box: Box) -> None:
    class Deep(Shop):
        def fetch(self, args: dict[str, str], target: Path) -> None:
            super().fetch(args, target)
            fill(target, {".config/editor": b"of the store", ".config/deep/x": b"1"})

    fill(box.home, {".config/editor": b"of the server"})
    begin(box, Deep())
    assert (box.home / ".config/editor").read_bytes() == b"of the server"
    assert (box.home / ".config/deep/x").read_bytes() == b"1"
    assert not (box.home / ".kpl-new").exists()


def test_a_file_that_goes_while_a_home_is_looked_at_is_not_in_the_way(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    (box.home / ".going").touch()
    looked = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        if path.name == ".going":
            path.unlink(missing_ok=True)
        return looked(path)

    monkeypatch.setattr(Path, "lstat", lstat)
    begin(box, Shop())
    assert visible(box) == [".bashrc", "first.ipynb"]


def test_a_home_is_filled_as_soon_as_there_is_room(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def filled(*_: object) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(agents, "fill", filled)
    monkeypatch.setattr(agents, "_FILL_SECONDS", 0.01)
    box.agent(is_together=True)._fill_beside()
    assert (len(tries), Path(agents.READY_FILE).exists()) == (3, True)


def test_what_the_server_has_written_meanwhile_stays(box: Box) -> None:
    (box.home / ".bashrc").write_text("of the user")
    begin(box, Shop())
    assert visible(box) == [".bashrc", "first.ipynb"]
    assert (box.home / ".bashrc").read_text() == "of the user"


def test_moving_files_into_a_home_is_gone_on_with(box: Box) -> None:
    fill(box.home / ".kpl-new", {"second.ipynb": b"3"})
    (box.home / "first.ipynb").touch()
    begin(box, Shop(is_refused=True))
    assert visible(box) == ["first.ipynb", "second.ipynb"]
