"""How the output of pods is followed while nodes and the API server come and go."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import pump
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.forms import LogQuery
from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.kubernetes.pump import Pump
from kpl_lab.engines.kubernetes.words import Json
from kpl_lab.engines.running.logfile import LogFile
from tests.doubles.kubernetes import Server
from tests.engines.harness import until
from tests.engines.kubernetes.clusters import cluster, naps, pod, server

__all__ = ["cluster", "naps", "server"]  # fixtures


def file_in(folder: Path) -> LogFile:
    folder.mkdir(exist_ok=True)
    return LogFile(folder / "log", max_bytes=1 << 20, gid=os.getgid())


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    file = file_in(tmp_path)
    yield file
    file.close()


def running(name: str, state: str = "running", restarts: int = 0) -> Json:
    container = {"name": COMMAND_CONTAINER, "containerID": "x", "restartCount": restarts}
    status = {"containerStatuses": [{**container, "state": {state: {}}}]}
    found = pod(name)
    return {**found, "metadata": {**found["metadata"], "uid": f"uid-{name}"}, "status": status}


async def test_a_log_goes_on_where_it_was_when_the_api_server_was_away(
    cluster: Cluster, server: Server, log: LogFile, tmp_path: Path
) -> None:
    await cluster.create(pod("a"))
    written = server.logs.of("a", COMMAND_CONTAINER)
    written.write("one\n")
    following = Pump(log, cluster, lambda: None)
    following.look(running("a"))
    await until(lambda: (tmp_path / "log").read_bytes() == b"one\n")

    await server.stop()
    written.write("two\n")
    written.end()
    await until(lambda: not cluster.is_answering)
    await server.start()
    assert await cluster.can("get", "Pod")  # anybody's request tells that it is back

    await until(lambda: (tmp_path / "log").read_bytes() == b"one\ntwo\n")
    assert not following.is_through  # for all that is known the command runs
    following.look(running("a", "terminated"))
    await until(lambda: following.is_through)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


async def test_a_stream_that_ends_before_its_container_is_not_the_end_of_the_log(
    cluster: Cluster, server: Server, log: LogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cuts a stream at the node's end, a kubelet that is started again, ends it like this."""
    monkeypatch.setattr(pump, "_ENDED_SECONDS", 0.05)
    await cluster.create(pod("a"))
    written = server.logs.of("a", COMMAND_CONTAINER)
    written.write("one\n")
    following = Pump(log, cluster, lambda: None)
    following.look(running("a"))
    await until(lambda: (tmp_path / "log").read_bytes() == b"one\n")
    written.end()
    await until(lambda: server.count("get", "Pod") > 1)
    written.ended = False
    written.write("two\n")
    await until(lambda: (tmp_path / "log").read_bytes() == b"one\ntwo\n")
    written.write("three\n")
    written.end()
    following.look(running("a", "terminated"))
    await until(lambda: following.is_through)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"


async def test_a_node_that_does_not_answer_for_a_while_costs_no_line(
    cluster: Cluster, server: Server, log: LogFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server says 500 for it."""
    monkeypatch.setattr(pump, "_AWAY_SECONDS", 0.01)
    await cluster.create(pod("a"))
    written = server.logs.of("a", COMMAND_CONTAINER)
    written.write("one\n")
    written.end()
    server.faults.fail(500, "get", "Pod", times=30)
    following = Pump(log, cluster, lambda: None)
    following.look(running("a", "terminated"))
    await until(lambda: following.is_through)
    assert (tmp_path / "log").read_bytes() == b"one\n"


async def test_a_run_that_is_over_is_left_for_the_next_one(
    cluster: Cluster, server: Server, log: LogFile, tmp_path: Path
) -> None:
    await cluster.create(pod("a"))
    written = server.logs.of("a", COMMAND_CONTAINER)
    written.write("one\n")
    following = Pump(log, cluster, lambda: None)
    following.look(running("a"))
    await until(lambda: (tmp_path / "log").read_bytes() == b"one\n")
    written.end()
    following.look(running("a", "waiting"))
    await until(lambda: following.is_through)
    server.logs.forget("a", COMMAND_CONTAINER)
    again = server.logs.of("a", COMMAND_CONTAINER)
    again.write("two\n")
    again.end()
    following.look(running("a", restarts=1))
    await until(lambda: (tmp_path / "log").read_bytes() == b"one\ntwo\n")
    following.look(running("a", "terminated", restarts=1))
    await until(lambda: following.is_through)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


async def test_while_nobody_answers_logs_are_not_asked_for_over_and_over(
    cluster: Cluster, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: Counter[str] = Counter()
    ask = cluster.log

    def counted(name: str, container: str, wanted: LogQuery) -> AsyncGenerator[bytes, None]:
        tries[name] += 1
        return ask(name, container, wanted)

    monkeypatch.setattr(cluster, "log", counted)
    monkeypatch.setattr(pump, "_SPREAD_SECONDS", 0.1)
    pumps = [Pump(file_in(tmp_path / f"{number}"), cluster, lambda: None) for number in range(20)]
    for number in range(20):
        await cluster.create(pod(f"pod-{number}"))
    await server.stop()
    for number, one in enumerate(pumps):
        one.look(running(f"pod-{number}"))
    await asyncio.sleep(1.0)
    assert set(tries.values()) == {1}

    for number in range(20):
        written = server.logs.of(f"pod-{number}", COMMAND_CONTAINER)
        written.write("done\n")
        written.end()
    await server.start()
    assert await cluster.can("get", "Pod")
    for number, one in enumerate(pumps):
        one.look(running(f"pod-{number}", "terminated"))
    await until(lambda: all(one.is_through for one in pumps))
    assert {(tmp_path / f"{number}" / "log").read_text() for number in range(20)} == {"done\n"}
    for one in pumps:
        await one.close()


async def test_a_container_that_never_had_a_log_is_not_asked_for_ever(
    cluster: Cluster, server: Server, log: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "_REFUSED_SECONDS", 0.05)
    await cluster.create(pod("a"))
    following = Pump(log, cluster, lambda: None)
    following.look(running("a"))
    await until(lambda: following.is_through)
    assert server.count("get", "Pod") == 11
