"""The agent of a node as a process of its own: real mounts, the real gate, and what may go wrong between them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Refused
from kpl_lab.engines.kubernetes.gate import token_of
from kpl_lab.engines.kubernetes.node.config import NodeConfig
from kpl_lab.engines.kubernetes.node.marks import LINKED, ROUND
from tests.engines.kubernetes.node_runner import KEY, Runner, done, opened, started, until
from tests.engines.kubernetes.nodes import (
    NAME,
    OTHER,
    TOKEN,
    UID,
    VERSION,
    Inside,
    Node,
    made,
    why_not,
)  # fmt: skip

needs_mounts = pytest.mark.skipif(why_not() != "", reason=why_not() or "?")
PLACE = Path(UID) / "volumes/kubernetes.io~empty-dir/datasets" / NAME
# Kills the agent when it has mounted, before it can say so.
DIES = """
import os, sys
from kpl_lab.engines.kubernetes.node import mounts
show = mounts.Mounts.show
def show_and_die(*given):
    show(*given)
    os.kill(os.getpid(), 9)
mounts.Mounts.show = show_and_die
sys.argv = ["node", *sys.argv[1:]]
import runpy
runpy.run_module("kpl_lab.engines.kubernetes.node", run_name="__main__")
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with made(tmp_path) as found:
        found.pod()
        yield found


@pytest.fixture
async def runner(tmp_path: Path) -> AsyncIterator[Runner]:
    async with opened(tmp_path) as found:
        yield found


@needs_mounts
async def test_a_version_is_fetched_once_and_shown_in_each_pod(node: Node, runner: Runner) -> None:
    second = "0a1b2c3d-0000-4000-8000-00000000000b"
    node.pod(second)
    runner.version(VERSION, {"a/ü 文.bin": os.urandom(3 << 20), "empty": b""})
    (runner.store / VERSION / "link").symlink_to("/etc/passwd")
    await started(node, runner)
    runner.order({UID: {NAME: VERSION}})
    shown = await runner.showing("shown")
    assert shown["error"] == ""
    runner.order({UID: {NAME: VERSION}, second: {"x": VERSION}})
    await runner.showing("shown", second, "x")
    assert runner.fetched == [VERSION]
    inside = Inside()
    there = f"'{node.volume()}/{NAME}'"
    assert inside.run(f"cmp {there}/a/* '{runner.store}/{VERSION}/a/ü 文.bin'") == "ended 0"
    assert inside.run(f"ls {there}") == "a\nempty\n\nended 0"  # no link leads out of it
    assert "Read-only" in inside.run(f"touch {there}/a/new")
    inside.close()
    assert runner.reports[-1]["cache"] == {"bytes": 3 << 20, "limit": 64 << 20, "versions": 1}

    runner.order({second: {"x": VERSION}})
    await until(lambda: node.points() == [node.volume(second).relative_to(node.pods) / "x"])
    runner.order({})
    await until(lambda: node.points() == [])
    assert (node.cache / VERSION / "data/empty").exists()


@needs_mounts
async def test_marks_say_that_an_agent_goes_on_and_that_the_gate_knows_it(
    node: Node, runner: Runner
) -> None:
    (node.marks / ROUND).touch()
    (node.marks / LINKED).touch()
    (runner.store / "token").write_text("another")
    node.start(runner.port)
    # What a former agent has left goes; this one is let in nowhere yet.
    await until(lambda: "the gate:" in node.log() and (node.marks / ROUND).exists())
    assert not (node.marks / LINKED).exists()
    (runner.store / "token").write_text(TOKEN)
    await until((node.marks / LINKED).exists)
    before = (node.marks / ROUND).stat().st_mtime_ns
    await until(lambda: (node.marks / ROUND).stat().st_mtime_ns > before)
    await runner.close()
    await until(lambda: not (node.marks / LINKED).exists())
    before = (node.marks / ROUND).stat().st_mtime_ns
    await until(lambda: (node.marks / ROUND).stat().st_mtime_ns > before)


@needs_mounts
async def test_progress_is_told_and_what_nobody_wants_any_more_is_given_up(
    node: Node, runner: Runner
) -> None:
    runner.version(VERSION, {f"{index}": b"x" * (1 << 20) for index in range(400)})
    await started(node, runner, cache_mb=1000)
    runner.order({UID: {NAME: VERSION}})
    await runner.showing("fetching")
    await until(lambda: any(done(report) > 0 for report in runner.reports))
    (one,) = [report for report in runner.reports if done(report) > 0][:1]
    assert one["pods"][UID][NAME]["total"] == 400 << 20
    runner.order({})
    await until(lambda: list(node.cache.iterdir()) == [])
    assert node.points() == []


@needs_mounts
async def test_an_agent_that_dies_between_mount_and_report_is_followed_by_one_that_knows(
    node: Node, runner: Runner
) -> None:
    runner.version(VERSION, {"a": b"1"})
    node.version()
    dying = node.start(runner.port)
    dying.kill()
    dying.wait()
    words = [sys.executable, "-c", DIES, *dying.args[3:]]  # type: ignore[index]
    environment = {**os.environ, "KPL_NODE": "node-1", "KPL_POD": "agent-x"}
    dying = subprocess.Popen(  # noqa: ASYNC220 (it begins at once)
        words, env=environment, cwd=Path(__file__).parents[3]
    )
    node.agents.append(dying)
    await until(lambda: runner.reports and runner.line)
    runner.order({UID: {NAME: VERSION}})
    await asyncio.to_thread(dying.wait, 20)
    assert dying.returncode == -signal.SIGKILL
    assert node.points() == [PLACE]

    await started(node, runner)
    # Before any order: what is there, so that a runner without notes can learn it.
    assert runner.reports[-1]["pods"][UID][NAME]["version"] == VERSION
    runner.order({UID: {NAME: VERSION}})
    await runner.showing("shown")
    assert node.points() == [PLACE]  # and not twice
    runner.order({})
    await until(lambda: node.points() == [])


@needs_mounts
async def test_what_cannot_be_shown_is_told_and_the_rest_goes_on(
    node: Node, runner: Runner
) -> None:
    node.version()
    unknown = UID[:-1] + "f"
    (node.volume() / "link").symlink_to("/etc")
    await started(node, runner)
    runner.order({
        UID: {NAME: VERSION, "link": VERSION, "gone": OTHER},
        unknown: {"x": VERSION},
        "../../etc": {"x": VERSION},
    })  # fmt: skip
    await runner.showing("shown")
    assert "of its own called 'link'" in (await runner.showing("failed", UID, "link"))["error"]
    assert "no pod" in (await runner.showing("failed", unknown, "x"))["error"]
    assert "not the UID" in (await runner.showing("failed", "../../etc", "x"))["error"]
    assert "is not to be shown" in (await runner.showing("failed", UID, "gone"))["error"]
    assert node.points() == [PLACE]
    assert runner.fetched == [OTHER]  # it is not asked for over and over


@needs_mounts
async def test_a_full_cache_lets_go_of_what_is_unused_and_of_nothing_else(
    node: Node, runner: Runner
) -> None:
    third = "c" * 32
    for version in (VERSION, OTHER, third):
        runner.version(version, {"a": b"x" * (5 << 20)})
    await started(node, runner, cache_mb=11)
    runner.order({UID: {"first": VERSION, "second": OTHER}})
    await runner.showing("shown", UID, "first")
    await runner.showing("shown", UID, "second")
    runner.order({UID: {"first": VERSION, "second": OTHER, "third": third}})
    failed = await runner.showing("failed", UID, "third")
    assert failed["error"] == (
        "The node's cache has no room for 5 MiB: it may hold 11 MiB, and 10 MiB are in use."
    )
    runner.order({UID: {"second": OTHER}})
    await until(lambda: len(node.points()) == 1)
    runner.order({UID: {"second": OTHER, "third": third}})
    await runner.showing("shown", UID, "third")
    assert sorted(path.name for path in node.cache.iterdir()) == [OTHER, third]


@needs_mounts
async def test_what_is_shown_stays_while_the_gate_is_gone_and_goes_with_its_pod(
    node: Node, runner: Runner
) -> None:
    second = "0a1b2c3d-0000-4000-8000-00000000000b"
    node.pod(second)
    node.version()
    await started(node, runner)
    runner.order({UID: {NAME: VERSION}, second: {"x": VERSION}})
    await runner.showing("shown")
    await runner.showing("shown", second, "x")
    await runner.close()
    shutil.rmtree(node.config(second))
    await until(lambda: node.points() == [PLACE])
    shutil.rmtree(node.pods / second)
    links = runner.links
    await runner.open()
    await until(lambda: runner.links > links)
    assert node.points() == [PLACE]
    runner.order({UID: {NAME: VERSION}})
    await runner.showing("shown")


@needs_mounts
async def test_a_fetch_that_breaks_off_begins_again_and_leaves_nothing_half(
    node: Node, runner: Runner
) -> None:
    runner.version(VERSION, {f"{index}": b"x" * (1 << 20) for index in range(200)})
    await started(node, runner, cache_mb=1000)
    runner.order({UID: {NAME: VERSION}})
    await until(lambda: list(node.cache.glob(".*.part/.data.part/*")))
    await runner.close()
    await until(lambda: "trying again" in node.log())
    assert not (node.cache / VERSION).exists()
    assert node.points() == []
    await runner.open()
    await until(lambda: node.points() == [PLACE])
    assert len(list((node.volume() / NAME).iterdir())) == 200


@needs_mounts
async def test_an_agent_that_is_asked_to_end_leaves_what_is_shown(
    node: Node, runner: Runner
) -> None:
    node.version()
    agent = await started(node, runner)
    runner.order({UID: {NAME: VERSION}})
    await runner.showing("shown")
    agent.terminate()
    assert await asyncio.to_thread(agent.wait, 10) == 0
    assert node.points() == [PLACE]


class TestTokens:
    """What opens the gate for whom."""

    def gateway(self, runner: Runner, token: str, workload: str) -> Gateway:
        class Shown:
            gate = ("127.0.0.1", runner.port)

        Shown.token, Shown.workload = token, workload  # type: ignore[attr-defined]
        return Gateway(Shown(), "pod")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("token", "workload"),
        [
            (token_of(KEY, "task-1"), "node:node-1"),
            (token_of(KEY, "node:node-1"), "node:node-1"),
            ("", "node:node-1"),
            (TOKEN, "task-1"),
        ],
    )
    async def test_of_a_pod_opens_nothing_of_a_nodes_and_the_other_way_round(
        self, runner: Runner, token: str, workload: str
    ) -> None:
        with pytest.raises(Refused, match="not the token"):
            await self.gateway(runner, token, workload).open("stay", {})

    async def test_without_a_token_of_nodes_nobody_is_one(self, runner: Runner) -> None:
        kept = runner.store / "token"
        for change in (lambda: kept.write_text("\n"), kept.unlink):
            change()
            for token in (TOKEN, "", "None"):
                with pytest.raises(Refused, match="not the token"):
                    await self.gateway(runner, token, "node:node-1").open("stay", {})

    @pytest.mark.parametrize("call", ["give", "door", "tunnel"])
    async def test_a_node_may_fetch_and_listen_alone(self, runner: Runner, call: str) -> None:
        with pytest.raises(Refused, match="knows no call"):
            await self.gateway(runner, TOKEN, "node:node-1").open(call, {})

    async def test_a_token_that_was_changed_counts_at_the_next_call(
        self, runner: Runner, tmp_path: Path
    ) -> None:
        file = tmp_path / "shown"
        file.write_text(TOKEN)
        config = NodeConfig(
            node="node-1", gate=("127.0.0.1", runner.port), token_file=file,
            pods=tmp_path, cache=tmp_path, cache_bytes=1, marks=tmp_path,
        )  # fmt: skip
        for token in (TOKEN, "another"):
            (runner.store / "token").write_text(token)
            file.write_text(f"{token}\n")
            _, writer = await Gateway(config, "pod").open("stay", {})
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
