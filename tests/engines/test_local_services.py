"""Services, servers and live mounts on the local engine."""

from __future__ import annotations

import json
import os
import signal
import struct
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.local import mounts, processes
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.spec import Cause, Handle, Kind, Observation, ReplicaState, Workload
from kpl_lab.errors import EngineError
from tests.engines.harness import (
    SERVE,
    LocalBench,
    end_of,
    is_state,
    see,
    start,
    task,
    text_of,
    until,
)

READY = is_state(ReplicaState.READY)


def service(code: str, **changes: object) -> Workload:
    """Return a service that runs a Python program."""
    found = replace(
        task("s", ""),
        kind=Kind.SERVICE,
        identity="service:1",
        command=("python", "-c", code),
        start_timeout_seconds=30.0,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def server(name: str, **changes: object) -> Workload:
    """Return a server of alice with her home."""
    found = service(SERVE, name=name, kind=Kind.SERVER, identity="user:alice", home="alice")
    return replace(found, **changes)  # type: ignore[arg-type]


def answer(address: str | None) -> int:
    """Return the status that a replica answers."""
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as found:
        return int(found.status)


def toggle(address: str | None) -> None:
    """Make a replica of these tests sick, or well again."""
    urllib.request.urlopen(f"http://{address}/", data=b"x", timeout=10).close()


async def test_a_service_is_ready_when_it_answers_at_its_address(bench: LocalBench) -> None:
    await start(bench.engine, service(SERVE, health="/", replicas=2))

    def are_ready(one: Observation) -> bool:
        return [r.state for r in one.replicas] == [ReplicaState.READY] * 2

    found = await see(bench.engine, "s", are_ready)
    assert [answer(replica.address) for replica in found.replicas] == [200, 200]


async def test_a_wrong_port_is_named_beside_the_right_one(bench: LocalBench) -> None:
    code = SERVE.replace("int(os.environ['PORT'])", "0")
    await start(bench.engine, service(code))
    end = await end_of(bench.engine, "s")
    assert end.cause is Cause.WRONG_PORT
    assert end.address == f"127.0.0.1:{end.detail['port']}"
    assert len(end.detail["listening"]) == 1
    assert end.detail["listening"][0] != end.detail["port"]


async def test_a_service_that_never_listens_ends_so(bench: LocalBench) -> None:
    await start(bench.engine, service("import time; time.sleep(600)", start_timeout_seconds=1.0))
    end = await end_of(bench.engine, "s")
    assert end.cause is Cause.NEVER_LISTENED
    assert end.detail["port"]


async def test_a_service_that_crashes_at_its_start_is_tried_again_and_given_up(
    bench: LocalBench,
) -> None:
    handle = await start(bench.engine, service("print('trying'); raise SystemExit(9)"))
    end = await end_of(bench.engine, "s")
    assert (end.exit_code, end.restarts) == (9, 2)
    assert (await text_of(bench.engine, handle)).count("trying") == 3


async def test_a_service_that_was_ready_is_started_again_when_it_dies(bench: LocalBench) -> None:
    await start(bench.engine, service(SERVE))
    first = await see(bench.engine, "s", READY)
    mark = f"{processes.MARK}={bench.settings.instance}/s/0"
    processes.send(processes.pids_with_variable(mark), signal.SIGKILL)
    second = await see(bench.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1)
    assert answer(second.replicas[0].address) == 200
    assert second.replicas[0].started_at != first.replicas[0].started_at


async def test_a_service_returns_when_its_supervisor_is_killed(bench: LocalBench) -> None:
    await start(bench.engine, service(SERVE))
    await see(bench.engine, "s", READY)
    status = Status.read(bench.replica_folder("s"))
    assert status is not None
    assert status.shim is not None
    os.kill(status.shim.pid, signal.SIGKILL)
    found = await see(bench.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1)
    assert answer(found.replicas[0].address) == 200


async def test_a_stopped_service_can_be_run_again(bench: LocalBench) -> None:
    handle = await start(bench.engine, service(SERVE))
    await see(bench.engine, "s", READY)
    await bench.engine.stop(handle)
    assert (await end_of(bench.engine, "s")).cause is Cause.STOPPED
    await start(bench.engine, service(SERVE))
    assert answer((await see(bench.engine, "s", READY)).replicas[0].address) == 200


async def test_a_service_that_answers_with_errors_is_unhealthy_and_recovers(
    bench: LocalBench,
) -> None:
    code = (
        "import http.server, os\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  self.send_response(500 if os.path.exists('bad') else 200); self.end_headers()\n"
        " def do_POST(self):\n"
        "  (os.remove if os.path.exists('bad') else lambda p: open(p, 'w').close())('bad')\n"
        "  self.send_response(200); self.end_headers()\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n"
    )
    await start(bench.engine, service(code, health="/healthz"))
    address = (await see(bench.engine, "s", READY)).replicas[0].address
    for state in (ReplicaState.UNHEALTHY, ReplicaState.READY):
        toggle(address)
        await see(bench.engine, "s", is_state(state))


async def test_a_home_begins_with_the_skeleton_and_stays(bench: LocalBench) -> None:
    skeleton = bench.folder("skeleton", {"examples/digits/train.py": "print()"})
    handle = await start(bench.engine, server("server-1", skeleton=str(skeleton)))
    await see(bench.engine, "server-1", READY)
    home = bench.home / "local" / "homes" / "alice"
    example = home / "examples" / "digits" / "train.py"
    assert example.read_text() == "print()"
    assert example.stat().st_uid == home.stat().st_uid
    assert home.stat().st_mode & 0o077 == 0
    example.write_text("mine")
    await bench.engine.delete(handle)
    await start(bench.engine, server("server-2", skeleton=str(skeleton)))
    await see(bench.engine, "server-2", READY)
    assert example.read_text() == "mine"


def listing(name: str) -> Workload:
    """Return a server that says over HTTP what its datasets folder holds, and tries to write."""
    code = (
        "import http.server, os, json, pathlib\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  root = pathlib.Path.home() / 'datasets'; found = {}\n"
        "  for one in sorted(root.iterdir()):\n"
        "   try: (one / 'new').write_text('x'); wrote = True\n"
        "   except OSError as e: wrote = e.strerror\n"
        "   found[one.name] = [sorted(p.name for p in one.iterdir()), wrote]\n"
        "  self.send_response(200); self.end_headers()\n"
        "  self.wfile.write(json.dumps(found).encode())\n"
        "http.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()\n"
    )
    return server(name, command=("python", "-c", code))


def datasets(address: str | None) -> object:
    """Ask such a server."""
    with urllib.request.urlopen(f"http://{address}/", timeout=10) as found:
        return json.loads(found.read())


async def test_a_dataset_is_mounted_into_a_running_server_read_only(
    root_bench: LocalBench,
) -> None:
    bench = root_bench
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    data.chmod(0o777)  # by mode it could be written: the mount must hold
    handle = await start(bench.engine, listing("server-1"))
    address = (await see(bench.engine, "server-1", READY)).replicas[0].address
    assert datasets(address) == {}
    for _ in range(2):
        found = await bench.engine.mount(handle, data, "digits 手写")
        assert found.enforced
        assert found.path == str(bench.home / "local/homes/alice/datasets/digits 手写")
    assert datasets(address) == {"digits 手写": [["root.data"], "Read-only file system"]}

    bench.kill()  # it outlives the runner, and the next one can take it away
    assert datasets(address) == {"digits 手写": [["root.data"], "Read-only file system"]}
    bench.launch()
    await bench.engine.unmount(handle, "digits 手写")
    await bench.engine.unmount(handle, "digits 手写")
    assert datasets(address) == {}

    await bench.engine.mount(handle, data, "again")
    await bench.engine.delete(handle)
    assert [point for point in mounts.mount_points() if bench.home in point.parents] == []
    assert [path.name for path in data.iterdir()] == ["root.data"]


async def test_an_ended_server_holds_no_mount(root_bench: LocalBench) -> None:
    bench = root_bench
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    handle = await start(bench.engine, listing("server-1"))
    await see(bench.engine, "server-1", READY)
    await bench.engine.mount(handle, data, "digits")
    await bench.engine.stop(handle)
    await end_of(bench.engine, "server-1")
    await until(lambda: not [p for p in mounts.mount_points() if bench.home in p.parents])


async def test_two_servers_of_one_user_have_mounts_of_their_own(root_bench: LocalBench) -> None:
    bench = root_bench
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    handles, addresses = [], []
    for name in ("server-1", "server-2"):
        handles.append(await start(bench.engine, listing(name)))
        addresses.append((await see(bench.engine, name, READY)).replicas[0].address)
    await bench.engine.mount(handles[0], data, "digits")
    assert datasets(addresses[0]) == {"digits": [["root.data"], "Read-only file system"]}
    assert datasets(addresses[1]) == {}


async def test_without_namespaces_a_mount_is_a_link_and_says_that_it_is_not_enforced(
    bench: LocalBench,
) -> None:
    if (await bench.local.facts())["namespaces"]:
        pytest.skip("this situation has namespaces")
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    data.chmod(0o555)
    handle = await start(bench.engine, listing("server-1"))
    address = (await see(bench.engine, "server-1", READY)).replicas[0].address
    found = await bench.engine.mount(handle, data, "digits")
    assert not found.enforced
    assert datasets(address) == {"digits": [["root.data"], "Permission denied"]}
    await bench.engine.unmount(handle, "digits")
    assert datasets(address) == {}
    await bench.engine.mount(handle, data, "digits")
    await bench.engine.delete(handle)
    assert not os.path.islink(found.path)  # noqa: ASYNC240, PTH114 (a look, no wait)
    data.chmod(0o755)


async def test_without_namespaces_an_account_passes_where_something_of_it_leads_and_no_longer(
    bench: LocalBench,
) -> None:
    if (await bench.local.facts())["namespaces"] or bench.is_ordinary:
        pytest.skip("only root without namespaces opens folders to accounts one by one")
    digits = bench.input("data", "datasets/1/1", {"root.data": "seven"})
    other = bench.folder("datasets/2/1", {"root.data": "d"})
    closed = [Path(digits.source).parent, other.parent]

    def passing() -> list[set[int]]:
        return [users_of(folder) for folder in closed]

    line = f'cat "$IN/data/root.data"; cat "{other}/root.data"'
    handle = await start(bench.engine, task("t", line, inputs=(digits,)))
    assert (await end_of(bench.engine, "t")).exit_code == 1
    assert "seven" in await text_of(bench.engine, handle)
    assert "Permission denied" in await text_of(bench.engine, handle)
    assert [len(users) for users in passing()] == [1, 0]
    await bench.engine.delete(handle)
    assert passing() == [set(), set()]

    servers = [await start(bench.engine, listing(name)) for name in ("server-1", "server-2")]
    for one in servers:
        await bench.engine.mount(one, other, f"of {one.name}")
    assert [len(users) for users in passing()] == [0, 1]
    await bench.engine.unmount(servers[0], "of server-1")
    assert [len(users) for users in passing()] == [0, 1], "the user's other server still has it"
    bench.kill()
    bench.launch()
    await bench.engine.delete(servers[1])
    assert passing() == [set(), set()]


def users_of(folder: Path) -> set[int]:
    """Return the accounts that have an entry of their own in a folder's access control list."""
    try:
        found = os.getxattr(folder, "system.posix_acl_access")
    except OSError:
        return set()
    return {id for tag, _, id in struct.iter_unpack("<HHI", found[4:]) if tag == 2}


async def test_a_link_in_place_of_the_mount_folder_is_not_followed(bench: LocalBench) -> None:
    if (await bench.local.facts())["namespaces"]:
        pytest.skip("this situation has namespaces")
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    elsewhere = bench.home / "elsewhere"
    elsewhere.mkdir()
    handle = await start(bench.engine, listing("server-1"))
    await see(bench.engine, "server-1", READY)
    folder = bench.home / "local/homes/alice/datasets"
    folder.rmdir()
    folder.symlink_to(elsewhere)
    with pytest.raises(EngineError, match="something of its own called 'datasets'"):
        await bench.engine.mount(handle, data, "digits")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
async def test_a_mount_cannot_leave_its_folder(root_bench: LocalBench, name: str) -> None:
    bench = root_bench
    data = bench.folder("datasets/1/1", {"root.data": "d"})
    handle = await start(bench.engine, server("server-1"))
    with pytest.raises(EngineError):
        await bench.engine.mount(handle, data, name)
    with pytest.raises(EngineError):
        await bench.engine.mount(handle, bench.home / "local", "x")


async def test_a_part_of_a_server_that_is_killed_for_memory_is_told_while_it_lives(
    root_bench: LocalBench,
) -> None:
    code = (
        "import subprocess, sys, os\n"
        "subprocess.Popen([sys.executable, '-c', 'x = bytearray(1 << 30); x[::4096] = x[::4096]\\n"
        "for i in range(0, 1 << 30, 4096): x[i] = 1'])\n" + SERVE
    )
    await start(root_bench.engine, server("server-1", command=("python", "-c", code)))
    found = await see(
        root_bench.engine, "server-1", lambda one: bool(one.replicas[0].detail.get("oom_kills"))
    )
    assert found.replicas[0].detail["limit_mb"] == 256
    await see(root_bench.engine, "server-1", READY)


async def test_deleting_what_was_started_a_moment_ago_leaves_nothing(bench: LocalBench) -> None:
    for number in range(8):
        handle = await start(bench.engine, service(SERVE, name=f"s-{number}"))
        await bench.engine.delete(handle)
    await until(lambda: not bench.marked(), 5)
    await bench.engine.delete(Handle(engine="local", name="never"))
