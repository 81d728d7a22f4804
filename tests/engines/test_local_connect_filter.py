"""Replicas of services refuse calls of other workloads: by a filter on the caller's side."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab import settings as settings_module
from kpl_lab.cli import doctor
from kpl_lab.engines.local.connect_filter import SERVICE_PORTS, obstacle
from kpl_lab.engines.local.options import LocalOptions, load_options
from kpl_lab.engines.running.probe import free_port
from kpl_lab.engines.spec import Kind, ReplicaState, Workload
from kpl_lab.errors import Invalid
from kpl_lab.settings import Home
from tests.engines import intruder
from tests.engines.harness import (
    SERVE,
    LocalBench,
    end_of,
    is_state,
    local_bench,
    possible_modes,
    see,
    start,
    task,
    text_of,
)

READY = is_state(ReplicaState.READY)
PROGRAM = Path(intruder.__file__)
LINE = "python intruder.py"
# What a way answers that our filter, and not Landlock, has closed.
REFUSALS = {
    "plain": "EACCES",
    "mapped": "EACCES",
    "option": "EACCES",
    "mptcp": "EPROTONOSUPPORT",
    "smc_by_protocol": "EPROTONOSUPPORT",
    "smc": "EAFNOSUPPORT",
    "sendto": "ENOTSUP",
    "sendmsg": "ENOTSUP",
    "sendmmsg": "ENOTSUP",
    "io_uring": "ENOSYS",
    "x32": "ENOSYS",
    "i386": "ENOSYS",
}
CALLS_ITSELF = (
    "import http.server, os, threading, urllib.request;"
    "port = int(os.environ['PORT']);"
    "one = http.server.ThreadingHTTPServer(('127.0.0.1', port), http.server.SimpleHTTPRequestHandler);"
    "thread = threading.Thread(target=one.serve_forever); thread.start();"
    "print('itself:', urllib.request.urlopen(f'http://127.0.0.1:{port}/').status, flush=True);"
    "thread.join()"
)
NO_I386 = "ended with -11"  # a kernel without these calls ends who tries

MODES = [mode for mode in possible_modes() if mode.endswith("root")]
WHY_NOT = obstacle(SERVICE_PORTS, ())
needs_filter = pytest.mark.skipif(WHY_NOT is not None, reason=f"no filter here: {WHY_NOT}")


def service(name: str, line: str, **changes: object) -> Workload:
    """Return a service that runs a shell line."""
    found = task(name, line, kind=Kind.SERVICE, identity=f"service:{name}")
    return replace(found, **changes)  # type: ignore[arg-type]


async def running_service(bench: LocalBench) -> str:
    """Start a service that answers; return its port."""
    await start(bench.engine, service("s", f'exec python -c "{SERVE}"', health="/"))
    address = (await see(bench.engine, "s", READY)).replicas[0].address
    assert address is not None
    return address.rpartition(":")[2]


def intruding(bench: LocalBench, workload: Workload, port: str) -> Workload:
    """Return the workload with the intruder as its code."""
    code = bench.folder("code/a", {"intruder.py": PROGRAM.read_text()})
    environment = {**workload.environment, "TARGET": port}
    return replace(workload, code=str(code), environment=environment)


def intrude_freely(port: str) -> dict[str, str]:
    """Return what the intruder finds as a process of the platform."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM)],
        env={**os.environ, "TARGET": port},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def assert_refused(text: str) -> None:
    """See that no way has led anywhere, each for the reason that we mean."""
    found = json.loads(text.splitlines()[0])
    assert found.pop("i386", "ENOSYS") in ("ENOSYS", NO_I386)
    assert found == {way: REFUSALS[way] for way in found}
    assert {"plain", "mptcp", "sendto", "sendmsg", "sendmmsg", "io_uring"} <= set(found)


@pytest.fixture(params=MODES or ["none: skipped before it is made"])
async def filtered(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalBench]:
    """Give an engine that keeps workloads from replicas."""
    async with local_bench(tmp_path, request.param) as found:
        assert (await found.local.facts())["replicas_refuse"]
        yield found


@needs_filter
async def test_a_task_calls_no_replica_in_any_way(filtered: LocalBench) -> None:
    port = await running_service(filtered)
    assert int(port) in SERVICE_PORTS
    handle = await start(filtered.engine, intruding(filtered, task("t", LINE), port))
    assert (await end_of(filtered.engine, "t")).exit_code == 0
    assert_refused(await text_of(filtered.engine, handle))


@needs_filter
async def test_the_same_program_reaches_it_from_a_process_of_the_platform(
    filtered: LocalBench,
) -> None:
    """Without this, a program that never reaches anything would pass the other tests."""
    port = await running_service(filtered)
    found = intrude_freely(port)
    sure = {way: found[way] for way in ("plain", "mapped", "sendto", "sendmsg", "sendmmsg")}
    assert sure == dict.fromkeys(sure, "reached")
    # Not every kernel has these; one that says so does not count as a way past the filter.
    assert {found["mptcp"], found["io_uring"]} <= {"reached", "EPROTONOSUPPORT", "ENOSYS", "EPERM"}


@needs_filter
async def test_another_services_replica_calls_it_in_no_way(filtered: LocalBench) -> None:
    port = await running_service(filtered)
    line = f'{LINE}; exec python -c "{SERVE}"'
    handle = await start(filtered.engine, intruding(filtered, service("other", line), port))
    await see(filtered.engine, "other", READY)
    assert_refused(await text_of(filtered.engine, handle))


@needs_filter
async def test_a_notebook_server_calls_it_in_no_way_but_itself(filtered: LocalBench) -> None:
    port = await running_service(filtered)
    line = f'{LINE}; exec python -c "{CALLS_ITSELF}"'
    server = service("server-1", line, kind=Kind.SERVER, identity="user:alice", home="alice")
    server = intruding(filtered, server, port)
    handle = await start(filtered.engine, server)
    await see(filtered.engine, "server-1", READY)
    text = await text_of(filtered.engine, handle)
    assert_refused(text)
    assert "itself: 200" in text


@needs_filter
async def test_a_replica_calls_itself_also_after_a_restart(filtered: LocalBench) -> None:
    # It ends by itself once, when it has called itself; the second run goes on.
    line = (
        f'if [ -e again ]; then exec python -c "{CALLS_ITSELF}"; fi; touch again; '
        f'timeout 2 python -c "{CALLS_ITSELF}"; exit 1'
    )
    handle = await start(filtered.engine, service("s", line))
    await see(filtered.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1)
    text = await text_of(filtered.engine, handle)
    assert text.count("itself: 200") == 2


@pytest.fixture
def listener() -> Iterator[int]:
    """Give the port of a program that is no service."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    yield int(found.server_address[1])
    found.shutdown()
    found.server_close()
    thread.join()


@needs_filter
async def test_other_ports_of_the_loopback_are_open(filtered: LocalBench, listener: int) -> None:
    handle = await start(filtered.engine, intruding(filtered, task("t", LINE), str(listener)))
    await end_of(filtered.engine, "t")
    found = json.loads(await text_of(filtered.engine, handle))
    assert [found[way] for way in ("plain", "mapped", "option")] == ["reached"] * 3


async def test_where_nothing_is_enforced_the_facts_say_so(bench: LocalBench) -> None:
    facts = await bench.local.facts()
    assert facts["replicas_refuse"] is (facts["replicas_refuse_why_not"] is None)
    if bench.is_ordinary:
        assert "as root" in facts["replicas_refuse_why_not"]
    if facts["replicas_refuse"]:
        return
    port = await running_service(bench)
    handle = await start(bench.engine, intruding(bench, task("t", LINE), port))
    await end_of(bench.engine, "t")
    assert json.loads(await text_of(bench.engine, handle))["plain"] == "reached"


@needs_filter
async def test_the_administrator_may_move_the_ports(tmp_path: Path) -> None:
    ports = {"service_port_first": 61_100, "service_port_last": 61_200}
    mode = possible_modes()[0]
    async with local_bench(tmp_path, mode, dict(ports)) as bench:
        port = await running_service(bench)
        assert 61_100 <= int(port) <= 61_200
        handle = await start(bench.engine, intruding(bench, task("t", LINE), port))
        await end_of(bench.engine, "t")
        assert_refused(await text_of(bench.engine, handle))


@needs_filter
def test_ports_that_the_kernel_gives_away_or_the_platform_has_are_an_obstacle(
    tmp_path: Path,
) -> None:
    (tmp_path / "ip_local_port_range").write_text("1024\t65535\n")
    (tmp_path / "ip_local_reserved_ports").write_text("\n")
    assert "62000-63999" in (obstacle(SERVICE_PORTS, (), proc_net=tmp_path) or "")
    (tmp_path / "ip_local_reserved_ports").write_text("8080,62000-63999\n")
    assert obstacle(SERVICE_PORTS, (8000,), proc_net=tmp_path) is None
    assert "port 62500 of the platform" in (obstacle(SERVICE_PORTS, (8000, 62_500)) or "")


def test_a_range_of_ports_that_is_none_is_refused(tmp_path: Path) -> None:
    assert LocalOptions().service_ports == SERVICE_PORTS
    (tmp_path / "local_engine.py").write_text("c.LocalOptions.service_port_first = 64000\n")
    with pytest.raises(Invalid, match="service_port_last"):
        load_options(Home(tmp_path))


def test_a_range_that_is_used_up_is_told() -> None:
    port = free_port(0, SERVICE_PORTS)
    with http.server.HTTPServer(("127.0.0.1", port), http.server.BaseHTTPRequestHandler):
        with pytest.raises(OSError, match="no port of the loopback is free"):
            free_port(0, [port])
        assert free_port(0, SERVICE_PORTS) != port


@pytest.mark.parametrize("port", ["8000", "62500"])
def test_the_doctor_says_in_a_sentence_whether_it_is_enforced(tmp_path: Path, port: str) -> None:
    settings = settings_module.load({"KPL_HOME": str(tmp_path), "KPL_PORT": port})
    found = next(finding for finding in doctor.examine(settings) if finding.name == "replicas")
    is_enforced = WHY_NOT is None and port == "8000"
    assert found.level == ("ok" if is_enforced else "note")
    reason = obstacle(SERVICE_PORTS, (int(port),))
    assert is_enforced or (reason or "?") in found.message
