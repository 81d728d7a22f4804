"""The runner and the agents of nodes: whom it tells what, and what it does where none answers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import live_mounts, nodes
from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Link, Refused
from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.kubernetes.engine import KubernetesEngine
from kpl_lab.engines.kubernetes.node.config import NodeConfig
from kpl_lab.engines.kubernetes.plan import TAKES_MOUNTS
from kpl_lab.engines.kubernetes.wire import Broken, ChunkReader
from kpl_lab.engines.spec import Handle
from kpl_lab.errors import EngineError
from tests.doubles import kubernetes_play as play
from tests.engines.kubernetes.benches import Agent, Doubled, doubled, server, until

TOKEN = "of nodes"
SHOWN = "The node agent shows it: a node keeps one copy for all servers."


class Node:
    """What the agent of a node says, and the orders that it gets; over a real connection."""

    def __init__(self, bench: Doubled, name: str = play.NODE) -> None:
        folder = bench.folder_of_runner.parents[1]
        port = int((bench.folder_of_runner / "gate.port").read_text())
        config = NodeConfig(
            node=name, gate=("127.0.0.1", port), token_file=folder / "token",
            pods=folder, cache=folder, cache_bytes=1, marks=folder,
        )  # fmt: skip
        self.gateway = Gateway(config, "agent-x")
        self.orders: list[dict[str, Any]] = []
        self.report: dict[str, Any] = {"heard": 0, "pods": {}, "cache": {}}
        self.obeys = True
        self._link = Link(self.gateway, lambda: self.report, self._obey)
        self._task: asyncio.Task[None] | None = None

    def _obey(self, order: dict[str, Any]) -> None:
        self.orders.append(order)
        if self.obeys:
            self.say("shown")

    def say(self, state: str, error: str = "", done: int = 0, total: int = 0) -> None:
        """Tell how far all that was ordered is."""
        order = self.orders[-1]
        pods = {
            uid: {
                name: {
                    "state": state,
                    "version": version,
                    "error": error,
                    "done": done,
                    "total": total,
                }
                for name, version in shown.items()
            }
            for uid, shown in order["pods"].items()
        }
        self.report = {"heard": order["id"], "pods": pods, "cache": {}}
        self._link.tell()

    @property
    def wanted(self) -> dict[str, dict[str, str]]:
        """What is to be shown."""
        found: dict[str, dict[str, str]] = self.orders[-1]["pods"] if self.orders else {"?": {}}
        return found

    async def __aenter__(self) -> Node:
        self._task = asyncio.create_task(self._link.run(0.2))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Doubled]:
    monkeypatch.setattr(nodes, "SILENCE_SECONDS", 1.0)
    monkeypatch.setattr(nodes, "RETURN_SECONDS", 0.3)
    (tmp_path / "token").write_text(TOKEN)
    async with doubled(tmp_path, node_token_file=str(tmp_path / "token")) as found:
        await found.engine.capacity()  # it listens
        yield found


async def started(bench: Doubled, name: str = "lab") -> tuple[Handle, str]:
    """Start a server; return its handle and the UID of its pod."""
    handle = await bench.run(server(name))
    pod = await bench.running(name)
    return handle, str(pod["metadata"]["uid"])


async def told(node: Node, wanted: dict[str, set[str]]) -> None:
    """Wait until a node is to show this, by pod and name."""
    await until(lambda: {uid: set(one) for uid, one in node.wanted.items()} == wanted)


@contextlib.asynccontextmanager
async def copying(bench: Doubled, name: str = "lab") -> AsyncIterator[Agent]:
    """Play the agent of a pod that copies whatever it is asked to."""
    async with bench.agent(name, bench.pods(name)[0]) as agent:
        await agent.say(Phase.RUNNING)

        async def copy() -> None:
            while True:
                for order in agent.orders:
                    if "id" in order and order["id"] not in agent.report.done:
                        await agent.say(Phase.RUNNING, done={**agent.report.done, order["id"]: ""})
                await asyncio.sleep(0.01)

        task = asyncio.create_task(copy())
        yield agent
        task.cancel()


async def test_a_mount_is_the_work_of_the_nodes_agent_and_of_no_other(bench: Doubled) -> None:
    handle, uid = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with Node(bench) as node, Node(bench, "node-2") as other:
        found = await bench.engine.mount(handle, folder, "data")
        assert (found.note, found.enforced) == (SHOWN, True)
        await told(node, {uid: {"data"}})
        await bench.engine.mount(handle, bench.folder("more", {"a": "1"}), "more")
        await told(node, {uid: {"data", "more"}})
        assert len(set(node.wanted[uid].values())) == 2
        again = await bench.engine.mount(handle, folder, "data")
        assert again.note == SHOWN
        await bench.engine.unmount(handle, "data")
        await told(node, {uid: {"more"}})
        await bench.engine.unmount(handle, "data")
        await told(other, {})
        assert isinstance(bench.engine, KubernetesEngine)
        assert (await bench.engine.facts())["node_agents"] == ["node-1", "node-2"]


async def test_a_node_fetches_what_it_is_to_show_and_nothing_else(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node, Node(bench, "node-2") as other:
        await bench.engine.mount(handle, bench.folder("data", {"a": "12345"}), "data")
        version = node.wanted[uid]["data"]
        sizes: list[int] = []

        def take(answer: dict[str, int], stream: Any) -> None:
            sizes.append(answer["bytes"])
            ChunkReader(stream).finish()

        def fetch(one: Node, what: str, key: str) -> None:
            one.gateway.once("fetch", {"what": what, "key": key}, take)

        await asyncio.to_thread(fetch, node, "version", version)
        assert sizes == [5]
        for one, key in ((other, version), (node, "f" * 32), (node, "../data")):
            with pytest.raises(Refused, match="not to be shown"):
                await asyncio.to_thread(fetch, one, "version", key)
        await bench.engine.unmount(handle, "data")
        with pytest.raises(Refused, match="not to be shown"):
            await asyncio.to_thread(fetch, node, "version", version)


async def test_a_version_that_the_store_has_made_anew_is_another(bench: Doubled) -> None:
    handle, uid = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with Node(bench) as node:
        await bench.engine.mount(handle, folder, "data")
        before = node.wanted[uid]["data"]
        await bench.engine.unmount(handle, "data")
        folder.rename(folder.with_name("was"))
        shutil.copytree(folder.with_name("was"), folder)
        await bench.engine.mount(handle, folder, "data")
        assert node.wanted[uid]["data"] != before


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("failed", "The node's cache is full."),
        ("silent", "the node agent of node-1 does not answer"),
        ("deaf", "the node agent of node-1 does not answer"),
        ("none", "no node agent answers on node-1"),
    ],
)
async def test_where_no_agent_of_the_node_shows_it_it_is_copied_and_told(
    bench: Doubled, said: str, why: str
) -> None:
    handle, _ = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with contextlib.AsyncExitStack() as stack:
        agent = await stack.enter_async_context(copying(bench))
        if said != "none":
            node = await stack.enter_async_context(Node(bench))
            node.obeys = False
            await until(lambda: node.orders)
        mounting = asyncio.create_task(bench.engine.mount(handle, folder, "data"))
        if said != "none":
            await until(lambda: any(node.wanted.values()))
            if said == "failed":
                node.say("failed", "The node's cache is full.")
            if said == "silent":
                await node.__aexit__()
        found = await mounting
        assert found.note == f"It was copied into the server: {why.rstrip('.')}."
        if said in ("failed", "deaf"):
            await told(node, {})  # or it would come after all
        assert (await agent.ordered("mount"))["name"] == "data"
        await bench.engine.unmount(handle, "data")
        assert (await agent.ordered("unmount"))["name"] == "data"


async def test_how_much_has_come_to_the_node_is_told_meanwhile(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node:
        node.obeys = False
        await until(lambda: node.orders)
        assert await bench.engine.mounting(handle, "data") is None
        folder = bench.folder("data", {"a": "1"})
        mounting = asyncio.create_task(bench.engine.mount(handle, folder, "data"))
        await told(node, {uid: {"data"}})
        node.say("fetching", done=3, total=7)
        async with asyncio.timeout(5):
            while await bench.engine.mounting(handle, "data") != (3, 7):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.5)  # it says so all the time: that is no silence
        node.say("shown")
        assert (await mounting).note == SHOWN
        assert await bench.engine.mounting(handle, "data") is None


async def test_a_server_that_is_deleted_does_not_wait_for_what_it_mounts(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node:
        node.obeys = False
        folder = bench.folder("data", {"a": "1"})
        mounting = asyncio.create_task(bench.engine.mount(handle, folder, "data"))
        await told(node, {uid: {"data"}})
        node.say("fetching")
        async with asyncio.timeout(10):
            await bench.engine.delete(handle)
        with pytest.raises(EngineError, match="is being deleted"):
            await mounting
        await told(node, {})


async def test_a_pod_from_before_the_agents_gets_a_copy(bench: Doubled) -> None:
    handle, _ = await started(bench)
    pod = bench.pods("lab")[0]
    del pod["metadata"]["annotations"][TAKES_MOUNTS]
    bench.server.store.replace(pod)
    async with Node(bench), copying(bench):
        await asyncio.sleep(0.2)
        found = await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
        assert "was started before there were node agents" in found.note


async def test_a_runner_that_comes_again_takes_nothing_away(bench: Doubled) -> None:
    handle, uid = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with Node(bench) as node:
        await bench.engine.mount(handle, folder, "data")
        node.orders.clear()
        await bench.restart()
        await until(lambda: node.orders)
        assert [set(one["pods"].get(uid, ())) for one in node.orders] == [{"data"}]
        assert (await bench.engine.mount(handle, folder, "data")).note == SHOWN


async def test_a_runner_that_has_lost_its_notes_learns_what_is_shown(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node:
        await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
        await bench.crash()
        shutil.rmtree(bench.folder_of_runner / "workloads")
        node.orders.clear()
        bench.start()
        await until(lambda: node.orders)
        assert [set(one["pods"].get(uid, ())) for one in node.orders] == [{"data"}]
        await bench.engine.unmount(handle, "data")
        await told(node, {})


async def test_a_runner_that_came_again_waits_until_it_knows_the_pods(bench: Doubled) -> None:
    handle, uid = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with Node(bench) as node:
        await bench.engine.mount(handle, folder, "data")
        version = node.wanted[uid]["data"]
        await bench.crash()
        held = bench.server.faults.hold("list", "Pod")
        bench.start()
        await bench.engine.capacity()  # it listens

        def fetch() -> None:
            request = {"what": "version", "key": version}
            node.gateway.once("fetch", request, lambda _, stream: ChunkReader(stream).finish())

        with pytest.raises(Broken, match="hung up"):  # a node's agent tries that again
            await asyncio.to_thread(fetch)
        mounting = asyncio.create_task(bench.engine.mount(handle, folder, "data"))
        unmounting = asyncio.create_task(bench.engine.unmount(handle, "other"))
        await asyncio.sleep(0.3)
        held.set()
        assert (await mounting).note == SHOWN
        await unmounting
        await asyncio.to_thread(fetch)


async def test_what_a_node_does_not_fetch_in_time_is_copied(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "FETCH_SECONDS", 0.5)
    handle, uid = await started(bench)
    async with Node(bench) as node, copying(bench):
        node.obeys = False
        await until(lambda: node.orders)
        folder = bench.folder("data", {"a": "1"})
        mounting = asyncio.create_task(bench.engine.mount(handle, folder, "data"))
        await told(node, {uid: {"data"}})
        for done in range(1, 100):
            node.say("fetching", done=done, total=100)
            await asyncio.sleep(0.02)
            if mounting.done():
                break
        assert "has not fetched it in all that time" in (await mounting).note
        await told(node, {})


async def test_a_mount_that_failed_goes_by_the_node_the_next_time(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_mounts, "_COPY_SECONDS", 0.3)
    handle, _ = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    with pytest.raises(EngineError):  # no agent is there, neither the node's nor the pod's
        await bench.engine.mount(handle, folder, "data")
    async with Node(bench):
        assert (await bench.engine.mount(handle, folder, "data")).note == SHOWN


async def test_a_copy_stays_one_when_the_runner_comes_again(bench: Doubled) -> None:
    handle, _ = await started(bench)
    folder = bench.folder("data", {"a": "1"})
    async with copying(bench):
        assert (await bench.engine.mount(handle, folder, "data")).note.startswith("It was copied")
    await bench.restart()
    async with Node(bench), copying(bench) as agent:
        assert (await bench.engine.mount(handle, folder, "data")).note == ""
        assert (await agent.ordered("mount"))["name"] == "data"


async def test_an_unmount_while_the_node_is_unknown_is_tried_again(bench: Doubled) -> None:
    handle, _ = await started(bench)
    async with Node(bench):
        await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
    await bench.restart()
    with pytest.raises(EngineError, match="does not answer just now"):
        await bench.engine.unmount(handle, "data")


async def test_what_a_server_showed_goes_when_its_command_has_ended(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node:
        await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
        await told(node, {uid: {"data"}})
        bench.ends(bench.pods("lab")[0])
        await told(node, {})


async def test_an_unmount_that_the_node_has_not_heard_is_tried_again(bench: Doubled) -> None:
    handle, uid = await started(bench)
    async with Node(bench) as node:
        await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
        node.obeys = False
        with pytest.raises(EngineError, match="does not answer just now"):
            await bench.engine.unmount(handle, "data")
        await told(node, {})
        node.say("shown")
        await bench.engine.unmount(handle, "data")
        node.obeys = True
        assert uid not in node.wanted


async def test_what_an_agent_says_that_makes_no_sense_changes_nothing(bench: Doubled) -> None:
    handle, _ = await started(bench)
    async with Node(bench) as node:
        node.report = {"heard": "x", "pods": [1], "cache": None}
        node._link.tell()
        await asyncio.sleep(0.3)
        node.report = {"heard": 0, "pods": {}, "cache": {}}
        found = await bench.engine.mount(handle, bench.folder("data", {"a": "1"}), "data")
        assert found.note == SHOWN
