"""The gate and the agents that call it, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import tarfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.agent.doors import Doors
from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Link, Refused
from kpl_lab.engines.kubernetes.gate import Caller, Gate, Line, load_key, token_of
from kpl_lab.engines.kubernetes.reach import Reach, Streams
from kpl_lab.engines.kubernetes.wire import CHUNK_BYTES, LENGTH, Broken, ChunkReader, to_line
from kpl_lab.engines.running.service_watch import Timing
from kpl_lab.errors import EngineError

KEY = b"k" * 32
TIMING = Timing(
    time_limit=None, grace=1, start_timeout=5, health=1, health_timeout=1, health_failures=3,
    unhealthy_restart=60, wrong_port=5, restarts_max=3, restart_first=1, restart_last=5,
    relay_wait=1, watchdog=15,
)  # fmt: skip


class Host:
    """What stands behind the gate of these tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.doors: set[int] = set()
        self.reports: list[dict[str, Any]] = []
        self.lines: dict[Caller, Line] = {}
        self.reach = Reach("tunnel", self.lines.get)

    def source(self, caller: Caller, what: str, key: str) -> Path:
        if key == "none":
            raise EngineError(f"{caller.workload} has no {what} {key!r}.", code="no_source")
        return self.root / what / key

    def place_for(self, caller: Caller, output: str) -> Path:
        return self.root / "outputs" / caller.workload / output

    def may_call(self, caller: Caller, port: int) -> bool:
        return port in self.doors

    def arrived(self, number: str, streams: Streams) -> bool:
        return self.reach.arrived(number, streams)

    def linked(self, caller: Caller, line: Line) -> None:
        self.lines[caller] = line

    def unlinked(self, caller: Caller, line: Line) -> None:
        if self.lines.get(caller) is line:
            del self.lines[caller]

    def reported(self, caller: Caller, report: dict[str, Any]) -> None:
        self.reports.append(report)


def config(gate: int, **changes: Any) -> AgentConfig:
    """Return what an agent is told that calls a port."""
    values: dict[str, Any] = {
        "workload": "task-1", "kind": "task", "gate": ("127.0.0.1", gate),
        "token": token_of(KEY, "task-1"), "inputs": [], "outputs": [], "has_code": False,
        "home": None, "has_skeleton": False, "mounts": None, "doors": [], "relay": None,
        "relay_port": 1, "platform_port": 1, "port": None, "health": None, "timing": TIMING,
        **changes,
    }  # fmt: skip
    return AgentConfig(**values)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "store")


@pytest.fixture
async def port(host: Host) -> AsyncIterator[int]:
    """The port of an open gate."""
    gate = Gate(KEY, host)
    yield await gate.open("127.0.0.1", 0)
    host.reach.close()
    await gate.close()
    await at_rest()


async def at_rest() -> None:
    """Let the loop close what was closed: it does so at its next turns."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def gateway(port: int) -> Gateway:
    return Gateway(config(port), "pod-a")


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition; fails when it does not come."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (what is waited for knows nothing of us)
            await asyncio.sleep(0.01)


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def test_what_an_agent_is_told_survives_its_file(tmp_path: Path) -> None:
    told = config(5, inputs=["a"], port=8080, health="/health")
    (tmp_path / "agent.json").write_text(json.dumps(told.plain()))
    assert AgentConfig.read(tmp_path / "agent.json") == told


class TestFetching:
    async def test_a_folder_of_the_store_arrives_whole(
        self, host: Host, gateway: Gateway, tmp_path: Path
    ) -> None:
        big = os.urandom(3 * CHUNK_BYTES + 17)
        source = fill(host.root / "input/data", {"a/ü 文.bin": big, "b": b""})
        (source / "run.sh").write_text("#!/bin/sh\n")
        (source / "run.sh").chmod(0o755)
        (source / "link").symlink_to("b")
        source.chmod(0o555)
        target = tmp_path / "inputs" / "data"
        await asyncio.to_thread(gateway.fetch, {"what": "input", "key": "data"}, target)
        assert (target / "a/ü 文.bin").read_bytes() == big
        assert (target / "b").read_bytes() == b""
        assert os.access(target / "run.sh", os.X_OK)
        assert (target / "link").readlink() == Path("b")
        assert [path.name for path in target.parent.iterdir()] == ["data"]

    async def test_it_replaces_what_an_earlier_try_has_left(
        self, host: Host, gateway: Gateway, tmp_path: Path
    ) -> None:
        fill(host.root / "code", {"main.py": b"new"})
        target = fill(tmp_path / "work", {"old.py": b"old"})
        await asyncio.to_thread(gateway.fetch, {"what": "code"}, target)
        assert [path.name for path in target.iterdir()] == ["main.py"]

    async def test_what_the_workload_does_not_have_is_refused_at_once(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        with pytest.raises(Refused, match="task-1 has no input 'none'"):
            await asyncio.to_thread(gateway.fetch, {"what": "input", "key": "none"}, tmp_path / "x")

    async def test_a_wrong_token_opens_nothing(self, port: int, tmp_path: Path) -> None:
        stranger = Gateway(config(port, token=token_of(KEY, "task-2")), "pod-a")
        with pytest.raises(Refused, match="not the token"):
            await asyncio.to_thread(stranger.fetch, {"what": "code"}, tmp_path / "x")

    async def test_it_waits_for_a_gate_that_is_not_there_yet(
        self, host: Host, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = int(probe.getsockname()[1])
        fill(host.root / "code", {"main.py": b"x"})
        gateway = Gateway(config(free), "pod-a")
        fetching = asyncio.create_task(
            asyncio.to_thread(gateway.fetch, {"what": "code"}, tmp_path / "work")
        )
        await asyncio.sleep(0)
        gate = Gate(KEY, host)
        await gate.open("127.0.0.1", free)
        async with asyncio.timeout(20):
            await fetching
        assert (tmp_path / "work/main.py").read_bytes() == b"x"
        await gate.close()
        await at_rest()


class TestGiving:
    async def give(self, gateway: Gateway, folder: Path, seconds: float = 20) -> None:
        until = time.monotonic() + seconds
        await asyncio.to_thread(gateway.give, "save", folder, until)

    async def test_outputs_arrive_as_plain_files_and_folders(
        self, host: Host, gateway: Gateway, tmp_path: Path
    ) -> None:
        folder = fill(tmp_path / "save", {"model.bin": b"weights", "d/é": b"x"})
        (folder / "hard").hardlink_to(folder / "model.bin")
        (folder / "soft").symlink_to("/etc/passwd")
        os.mkfifo(folder / "pipe")
        (folder / "empty").mkdir()
        (folder / "model.bin").chmod(0o4755)
        (folder / os.fsdecode(b"\xff")).write_bytes(b"y")
        await self.give(gateway, folder)
        kept = host.root / "outputs/task-1/save"
        found = {str(path.relative_to(kept)) for path in kept.rglob("*")}
        assert found == {"model.bin", "hard", "d", "d/é", "empty", os.fsdecode(b"\xff")}
        assert (kept / "hard").read_bytes() == b"weights"
        assert (kept / "model.bin").stat().st_mode & 0o7777 == 0o755
        assert (kept / "hard").stat().st_nlink == 1

    async def test_giving_again_replaces(
        self, host: Host, gateway: Gateway, tmp_path: Path
    ) -> None:
        folder = fill(tmp_path / "save", {"a": b"1"})
        await self.give(gateway, folder)
        (folder / "a").rename(folder / "b")
        await self.give(gateway, folder)
        assert [path.name for path in (host.root / "outputs/task-1/save").iterdir()] == ["b"]

    async def test_folders_that_are_too_deep_are_refused_in_words(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        fill(tmp_path / "save", {"/".join("d" * 80) + "/f": b"x"})
        with pytest.raises(Refused, match="64 folders deep"):
            await self.give(gateway, tmp_path / "save")

    async def test_an_agent_gives_up_when_nobody_is_there_for_long(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = int(probe.getsockname()[1])
        fill(tmp_path / "save", {"a": b"1"})
        with pytest.raises(TimeoutError, match="could not be reached"):
            await self.give(Gateway(config(free), "pod-a"), tmp_path / "save", seconds=0.2)

    @pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
    async def test_a_forged_archive_writes_nothing_outside(
        self, host: Host, port: int, tmp_path: Path, name: str
    ) -> None:
        evil = tmp_path / "evil.tar"
        with tarfile.open(evil, "w") as archive:
            info = tarfile.TarInfo(name)
            archive.addfile(info)
        answer = await forged(port, evil.read_bytes())
        assert b"leads outside" in answer
        assert list(host.root.rglob("evil")) == []

    async def test_links_in_a_forged_archive_are_left_out(
        self, host: Host, port: int, tmp_path: Path
    ) -> None:
        evil = tmp_path / "evil.tar"
        with tarfile.open(evil, "w") as archive:
            link = tarfile.TarInfo("out")
            link.type, link.linkname = tarfile.SYMTYPE, "/"
            archive.addfile(link)
            hard = tarfile.TarInfo("hard")
            hard.type, hard.linkname = tarfile.LNKTYPE, "/etc/passwd"
            archive.addfile(hard)
            device = tarfile.TarInfo("device")
            device.type = tarfile.CHRTYPE
            archive.addfile(device)
            archive.addfile(tarfile.TarInfo("good"))
        assert b"done" in await forged(port, evil.read_bytes())
        assert [p.name for p in (host.root / "outputs/task-1/save").iterdir()] == ["good"]

    async def test_half_an_archive_leaves_nothing(self, host: Host, port: int) -> None:
        assert b"error" not in await forged(port, b"x" * 700, is_whole=False)
        assert not (host.root / "outputs/task-1/save").exists()


async def forged(port: int, data: bytes, *, is_whole: bool = True) -> bytes:
    """Send an archive as an agent does that is none of ours; return the last answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    told = config(port)
    request = {"call": "give", "token": told.token, "workload": "task-1", "pod": "p"}
    writer.write(to_line({**request, "args": {"output": "save"}}))
    await reader.readline()
    writer.write(LENGTH.pack(len(data)) + data + (LENGTH.pack(0) if is_whole else b""))
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def test_a_chunk_larger_than_ours_is_refused() -> None:
    with pytest.raises(Broken, match="none of ours"):
        ChunkReader(io.BytesIO(LENGTH.pack(2**31))).read(1)


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server on the loopback that answers what it is sent, in capitals."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])
    await at_rest()


async def said(port: int, host: str = "127.0.0.1") -> bytes:
    """Return what a port answers to a word."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"word\n")
    answer = await reader.read()
    writer.close()
    return answer


class TestDoors:
    async def test_a_port_of_the_platform_is_reached_through_the_gate(
        self, host: Host, gateway: Gateway, tmp_path: Path
    ) -> None:
        async with echo() as inner:
            host.doors = {inner}
            doors = Doors(gateway, [])
            await doors.open_socket(tmp_path / "d.sock", inner)
            reader, writer = await asyncio.open_unix_connection(tmp_path / "d.sock")
            writer.write(b"word\n")
            assert await reader.read() == b"WORD\n"
            writer.close()
            doors.close()

    async def test_a_door_that_is_not_for_the_workload_stays_closed(self, gateway: Gateway) -> None:
        async with echo() as inner:
            with pytest.raises(Refused, match="is not for task-1"):
                await gateway.open("door", {"port": inner})


class TestLink:
    async def test_reports_go_there_and_orders_come_back(
        self, host: Host, gateway: Gateway
    ) -> None:
        present = {"phase": "running"}
        orders: list[dict[str, Any]] = []
        link = Link(gateway, lambda: dict(present), orders.append)
        running = asyncio.create_task(link.run(beat_seconds=30))
        assert await link.settle(10)
        await until(lambda: host.reports == [{"phase": "running"}])
        present["phase"] = "ready"
        assert await link.settle(10)
        await until(lambda: host.reports[-1] == {"phase": "ready"})
        host.lines[Caller("task-1", "pod-a")].order({"do": "stop", "grace": 3})
        await until(lambda: orders)
        assert orders == [{"do": "stop", "grace": 3}]
        running.cancel()
        await asyncio.wait({running})

    async def test_it_comes_back_when_the_gate_does(self, host: Host, tmp_path: Path) -> None:
        gate = Gate(KEY, host)
        port = await gate.open("127.0.0.1", 0)
        link = Link(Gateway(config(port), "pod-a"), lambda: {"phase": "running"}, lambda _o: None)
        running = asyncio.create_task(link.run(beat_seconds=30))
        assert await link.settle(10)
        await gate.close()
        host.reports.clear()
        again = Gate(KEY, host)
        await again.open("127.0.0.1", port)
        await until(lambda: host.reports)
        running.cancel()
        await asyncio.wait({running})
        await again.close()
        await at_rest()


class TestReach:
    async def test_an_agent_leads_connections_in_where_its_pod_cannot_be_reached(
        self, host: Host, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(socket, "gethostbyname", lambda _name: "127.0.0.1")
        doors = Doors(gateway, [])
        tasks: set[asyncio.Task[None]] = set()

        def obey(order: dict[str, Any]) -> None:
            tasks.add(asyncio.create_task(doors.lead_in(str(order["id"]), int(order["port"]))))

        running = asyncio.create_task(Link(gateway, dict, obey).run(beat_seconds=30))
        caller = Caller("task-1", "pod-a")
        await until(lambda: caller in host.lines)
        async with echo() as inner:
            address = await host.reach.address(caller, f"192.0.2.1:{inner}", None)
            assert address.startswith("127.0.0.1:")
            port = int(address.rpartition(":")[2])
            assert [await said(port) for _ in range(3)] == [b"WORD\n"] * 3
            host.reach.forget(caller)
            again = await host.reach.address(caller, f"192.0.2.1:{inner}", address)
            assert again == address  # the hub has written the first one down
        running.cancel()
        await asyncio.wait({running})

    async def test_a_pod_that_can_be_reached_is(self, host: Host) -> None:
        async with echo() as inner:
            reach = Reach("auto", host.lines.get)
            address = f"127.0.0.1:{inner}"
            assert await reach.address(Caller("s", "p"), address, None) == address


def test_the_key_is_made_once_and_is_for_us_alone(tmp_path: Path) -> None:
    key = load_key(tmp_path / "gate.key")
    assert load_key(tmp_path / "gate.key") == key
    assert len(key) == 32
    assert (tmp_path / "gate.key").stat().st_mode & 0o777 == 0o600
    assert token_of(key, "a") != token_of(key, "b")
