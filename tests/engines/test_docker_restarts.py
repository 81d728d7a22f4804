"""What outlives an end of the Docker daemon, and what begins once it is back."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.spec import Cause, Kind, ReplicaState
from kpl_lab.errors import Unavailable
from tests.engines.docker_harness import DockerBench, TestDaemon, docker_bench, registry
from tests.engines.harness import behaving, end_of, is_state, see, start, task, text_of, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
RUNNING = is_state(ReplicaState.RUNNING)


class SlowWay:
    """A way to a server on the loopback that passes on what was asked, and answers once open."""

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_open, self.is_asked = threading.Event(), threading.Event()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                asking, _ = self._listener.accept()
                answering = socket.create_connection(self._target)
                ways = ((asking, answering, None), (answering, asking, self.is_open))
                for way in ways:
                    threading.Thread(target=self._pass, args=way, daemon=True).start()

    def _pass(
        self, source: socket.socket, target: socket.socket, gate: threading.Event | None
    ) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                self.is_asked.set()
                if gate is not None:
                    gate.wait()
                target.sendall(data)

    def close(self) -> None:
        """Take no more connections."""
        self.is_open.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[SlowWay, str]]:
    """A slow way to a registry, and the registry's own address."""
    if shutil.which("docker-registry") is None:
        pytest.skip("there is no docker-registry to pull from")
    with registry(tmp_path) as address:
        way = SlowWay(address)
        yield way, address
        way.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_what_runs_is_adopted_after_a_restart_of_the_daemon(
    own_daemon: TestDaemon, tmp_path: Path, number: signal.Signals
) -> None:
    async with docker_bench(tmp_path, own_daemon) as bench:
        handle = await start(bench.engine, task("t", "echo up; sleep 600"))
        line = "until [ -e go ]; do sleep 0.05; done; echo done; exit 3"
        await start(bench.engine, task("short", line))
        before = await see(bench.engine, "t", RUNNING)
        await see(bench.engine, "short", RUNNING)
        own_daemon.stop(number)
        (bench.replica_folder("short") / "inside" / "work" / "go").touch()
        own_daemon.start()
        end = await end_of(bench.engine, "short")
        assert (end.exit_code, end.cause) == (3, Cause.EXIT)
        after = await see(bench.engine, "t", RUNNING)
        assert after.replicas[0].started_at == before.replicas[0].started_at
        await bench.engine.stop(handle)
        assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED
        assert await text_of(bench.engine, handle) == "up\n"


async def test_what_is_asked_for_while_the_daemon_is_away_starts_when_it_is_back(
    own_daemon: TestDaemon, tmp_path: Path
) -> None:
    own_daemon.stop()
    try:
        async with docker_bench(tmp_path, own_daemon) as bench:
            await start(bench.engine, task("t", "echo ran"))
            with pytest.raises(Unavailable) as refused:
                await bench.engine.capacity()
            assert refused.value.code == "docker_unreachable"
            own_daemon.start()
            assert (await end_of(bench.engine, "t")).exit_code == 0
    finally:
        if own_daemon.has_ended:
            own_daemon.start()


async def test_a_task_that_ends_with_the_daemon_is_not_run_again_and_a_service_returns(
    own_daemon: TestDaemon, tmp_path: Path
) -> None:
    serves = behaving("s", "serves", kind=Kind.SERVICE, identity="service:1")
    async with docker_bench(tmp_path, own_daemon) as bench:
        own_daemon.restart(live_restore=False)
        await start(bench.engine, task("t", "echo up; sleep 600"))
        await start(bench.engine, serves)
        await see(bench.engine, "t", RUNNING)
        await see(bench.engine, "s", is_state(ReplicaState.READY))
        own_daemon.restart(live_restore=True)
        assert (await end_of(bench.engine, "t")).cause in (Cause.LOST, Cause.KILLED)
        await see(
            bench.engine,
            "s",
            lambda one: is_state(ReplicaState.READY)(one) and one.replicas[0].restarts > 0,
        )


async def test_a_notebook_server_gets_ready_though_the_daemon_ends_during_its_start(
    own_daemon: TestDaemon, tmp_path: Path
) -> None:
    serves = behaving("s", "serves").command[-1]
    waits = f"until [ -e go ]; do sleep 0.05; done; {serves}"
    server = task("s", waits, kind=Kind.SERVER, home="alice", identity="user:alice")
    async with docker_bench(tmp_path, own_daemon) as bench:
        own_daemon.restart(live_restore=True)
        await start(bench.engine, server)
        before = await see(bench.engine, "s", lambda one: one.replicas[0].started_at is not None)
        assert before.replicas[0].state is ReplicaState.STARTING
        own_daemon.stop(signal.SIGKILL)
        own_daemon.start()
        (bench.home / "docker" / "homes" / "alice" / "go").touch()
        after = await see(bench.engine, "s", is_state(ReplicaState.READY))
        assert after.replicas[0].started_at == before.replicas[0].started_at


async def test_a_pull_goes_on_after_the_daemon_was_restarted(
    own_daemon: TestDaemon, tmp_path: Path, slow: tuple[SlowWay, str]
) -> None:
    way, address = slow
    async with docker_bench(tmp_path, own_daemon) as bench:
        image = pushed(bench, tmp_path, address).replace(address, way.address)
        handle = await start(bench.engine, replace(task("t", ""), image=image))
        await until(way.is_asked.is_set)
        own_daemon.stop(signal.SIGKILL)
        way.is_open.set()
        own_daemon.start()
        # What cannot be run shows that it was had.
        assert (await end_of(bench.engine, "t")).cause is Cause.START_FAILED
        assert f"pulling {image}" in await text_of(bench.engine, handle)
        assert image.rpartition(":")[0] in own_daemon.docker("images")
        own_daemon.docker("rmi", "-f", image)


def pushed(bench: DockerBench, folder: Path, address: str) -> str:
    """Put an image that holds nothing to run into a registry; the daemon forgets it."""
    image = f"{address}/{bench.settings.instance}/nothing:1"
    tar = folder / "layer.tar"
    with tarfile.open(tar, "w") as layer:
        layer.addfile(tarfile.TarInfo(bench.settings.instance))
    for words in (("import", str(tar), image), ("push", "-q", image), ("rmi", image)):
        bench.daemon.docker(*words)
    return image
