"""Services, servers, live mounts and relays as containers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.names import Role
from kpl_lab.engines.local import mounts
from kpl_lab.engines.spec import Cause, Kind, RelayTarget, ReplicaState, Workload
from kpl_lab.errors import EngineError
from tests.engines.contract import wait_for_text
from tests.engines.docker_harness import DockerBench
from tests.engines.harness import SERVE, end_of, is_state, see, start, task, text_of, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
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


def server(name: str, code: str = SERVE, **changes: object) -> Workload:
    """Return a server of alice with her home."""
    found = service(code, name=name, kind=Kind.SERVER, identity="user:alice", home="alice")
    return replace(found, **changes)  # type: ignore[arg-type]


def ask(address: str | None, data: bytes | None = None) -> bytes:
    """Return what a replica answers."""
    with urllib.request.urlopen(f"http://{address}/", data=data, timeout=10) as found:
        return bytes(found.read())


async def test_it_listens_on_the_port_that_the_code_declares(docker: DockerBench) -> None:
    await start(docker.engine, service(SERVE, health="/", port=9123))
    found = await see(docker.engine, "s", READY)
    assert str(found.replicas[0].address).endswith(":9123")
    assert b"Directory listing" in ask(found.replicas[0].address)


async def test_a_wrong_port_is_named_beside_the_right_one(docker: DockerBench) -> None:
    await start(docker.engine, service(SERVE.replace("int(os.environ['PORT'])", "8099")))
    end = await end_of(docker.engine, "s")
    assert end.cause is Cause.WRONG_PORT
    assert (end.detail["port"], end.detail["listening"]) == (8080, [8099])


async def test_what_listens_on_the_loopback_alone_is_told_so(docker: DockerBench) -> None:
    code = SERVE.replace("os.environ['HOST']", "'127.0.0.1'")
    handle = await start(docker.engine, service(code, start_timeout_seconds=10.0))
    end = await end_of(docker.engine, "s")
    assert end.cause is Cause.NEVER_LISTENED
    assert end.detail["loopback"]
    assert "0.0.0.0" in await text_of(docker.engine, handle)


async def test_a_service_that_crashes_at_its_start_is_tried_again_and_given_up(
    docker: DockerBench,
) -> None:
    handle = await start(docker.engine, service("print('trying'); raise SystemExit(9)"))
    end = await end_of(docker.engine, "s")
    assert (end.exit_code, end.restarts) == (9, 2)
    assert (await text_of(docker.engine, handle)).count("trying\n") == 3


@pytest.mark.parametrize("command", [("kill",), ("rm", "-f")])
async def test_a_service_that_was_ready_returns_whatever_ends_it(
    docker: DockerBench, command: tuple[str, ...]
) -> None:
    await start(docker.engine, service(SERVE))
    first = await see(docker.engine, "s", READY)
    docker.daemon.docker(*command, docker.container("s"))
    second = await see(docker.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1)
    assert b"Directory listing" in ask(second.replicas[0].address)
    assert second.replicas[0].started_at != first.replicas[0].started_at


async def test_a_stopped_service_can_be_run_again(docker: DockerBench) -> None:
    handle = await start(docker.engine, service(SERVE))
    await see(docker.engine, "s", READY)
    await docker.engine.stop(handle)
    assert (await end_of(docker.engine, "s")).cause is Cause.STOPPED
    await start(docker.engine, service(SERVE))
    assert ask((await see(docker.engine, "s", READY)).replicas[0].address)


async def test_what_has_just_ended_is_cleared_away_before_the_runner_goes(
    docker: DockerBench,
) -> None:
    handle = await start(docker.engine, service(SERVE, replicas=2))
    await see(docker.engine, "s", READY)
    await docker.engine.stop(handle)
    await asyncio.gather(end_of(docker.engine, "s", 0), end_of(docker.engine, "s", 1))
    assert docker.process is not None
    docker.process.terminate()
    assert docker.process.wait(timeout=60) == 0
    assert docker.containers() == []
    network = names.network(docker.settings.instance)
    assert network not in docker.daemon.docker("network", "ls", "--format", "{{.Name}}").split()


async def test_a_service_stays_ready_while_the_runner_is_away(docker: DockerBench) -> None:
    await start(docker.engine, service(SERVE))
    first = await see(docker.engine, "s", READY)
    docker.kill()
    assert ask(first.replicas[0].address)
    docker.launch()
    second = await see(docker.engine, "s", lambda _: True)
    assert second.replicas[0].state is ReplicaState.READY
    assert second.replicas[0].address == first.replicas[0].address


async def test_a_service_that_answers_with_errors_is_unhealthy_and_recovers(
    docker: DockerBench,
) -> None:
    code = (
        "import http.server, os\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  self.send_response(500 if os.path.exists('bad') else 200); self.end_headers()\n"
        " def do_POST(self):\n"
        "  (os.remove if os.path.exists('bad') else lambda p: open(p, 'w').close())('bad')\n"
        "  self.send_response(200); self.end_headers()\n"
        "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n"
    )
    await start(docker.engine, service(code, health="/healthz"))
    address = (await see(docker.engine, "s", READY)).replicas[0].address
    for state in (ReplicaState.UNHEALTHY, ReplicaState.READY):
        ask(address, b"x")
        await see(docker.engine, "s", is_state(state))


LISTING = (
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
    "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n"
)


async def test_a_dataset_is_mounted_into_a_running_server_read_only(docker: DockerBench) -> None:
    data = docker.folder("datasets/1/1", {"root.data": "d"})
    data.chmod(0o777)  # by mode it could be written: the mount must hold
    handle = await start(docker.engine, server("server-1", LISTING))
    address = (await see(docker.engine, "server-1", READY)).replicas[0].address

    def shown() -> object:
        return json.loads(ask(address))

    assert shown() == {}
    for _ in range(2):
        found = await docker.engine.mount(handle, data, "digits 手写")
        assert found.enforced
        assert found.path == "/home/alice/datasets/digits 手写"
    assert shown() == {"digits 手写": [["root.data"], "Read-only file system"]}

    docker.kill()  # it outlives the runner, and the next one can take it away
    assert shown() == {"digits 手写": [["root.data"], "Read-only file system"]}
    docker.launch()
    await docker.engine.unmount(handle, "digits 手写")
    await docker.engine.unmount(handle, "digits 手写")
    assert shown() == {}

    await docker.engine.mount(handle, data, "again")
    await docker.engine.delete(handle)
    assert [point for point in mounts.mount_points() if docker.home in point.parents] == []
    assert [path.name for path in data.iterdir()] == ["root.data"]


async def test_an_ended_server_holds_no_mount(docker: DockerBench) -> None:
    data = docker.folder("datasets/1/1", {"root.data": "d"})
    handle = await start(docker.engine, server("server-1"))
    await see(docker.engine, "server-1", READY)
    await docker.engine.mount(handle, data, "digits")
    await docker.engine.stop(handle, grace_seconds=0)
    await end_of(docker.engine, "server-1")
    await until(lambda: not [p for p in mounts.mount_points() if docker.home in p.parents])


async def test_a_home_begins_with_the_skeleton_and_stays(docker: DockerBench) -> None:
    skeleton = docker.folder("skeleton", {"examples/train.py": "print()"})
    write = (
        "import pathlib; (pathlib.Path.home() / 'examples/train.py').write_text('mine');" + SERVE
    )
    handle = await start(docker.engine, server("server-1", write, skeleton=str(skeleton)))
    await see(docker.engine, "server-1", READY)
    home = docker.home / "docker" / "homes" / "alice"
    assert (home / "examples" / "train.py").read_text() == "mine"
    assert home.stat().st_mode & 0o077 == 0
    await docker.engine.delete(handle)
    await start(docker.engine, server("server-2", skeleton=str(skeleton)))
    await see(docker.engine, "server-2", READY)
    assert (home / "examples" / "train.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["..", "a/b", "", "."])
async def test_a_mount_cannot_leave_its_folder(docker: DockerBench, name: str) -> None:
    data = docker.folder("datasets/1/1", {"root.data": "d"})
    handle = await start(docker.engine, server("server-1"))
    with pytest.raises(EngineError):
        await docker.engine.mount(handle, data, name)
    with pytest.raises(EngineError):
        await docker.engine.mount(handle, docker.home / "docker", "x")


class Platform(ThreadingHTTPServer):
    """Takes what relays deliver."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Answer)
        self.bodies: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        """Base of the runtime surface."""
        return f"http://127.0.0.1:{self.server_address[1]}/kpl/runtime"


class Answer(BaseHTTPRequestHandler):
    """One delivery."""

    server: Platform

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        """Keep the body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers["Authorization"]
        self.server.bodies.append({**json.loads(body), "token": token})
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


@pytest.fixture
def platform() -> Iterator[Platform]:
    """Give a platform on the loopback of the machine, which no container reaches."""
    with Platform() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.05,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


PUSH = """
import json, os, sys, time, urllib.request
def push(value):
    body = {"task_id": 7, "type": "progress", "name": "p", "value": value}
    request = urllib.request.Request(os.environ["RELAY"] + "/task/attribute/update",
        data=json.dumps(body).encode(), headers={"Authorization": os.environ["TOKEN"]})
    answer = json.load(urllib.request.urlopen(request, timeout=10))
    print(value, answer["code"], flush=True)
push(0)
more = range(int(sys.argv[1]))
while more and not os.path.exists("go"):
    time.sleep(0.05)
for line in more:
    push(line + 1)
"""


def pushing(platform: Platform, times: int) -> Workload:
    """Return a task that calls its relay first thing, and some times more once it is told to."""
    relay = RelayTarget(url=platform.url, token="jwt", metric_token="m", task_id=7)
    return replace(
        task("t", ""),
        command=("python", "-c", PUSH, str(times)),
        environment={"RELAY": "{{relay}}", "TOKEN": "jwt"},
        relay=relay,
    )


async def test_a_task_calls_its_relay_on_its_own_loopback(
    docker: DockerBench, platform: Platform
) -> None:
    handle = await start(docker.engine, pushing(platform, 0))
    assert (await end_of(docker.engine, "t")).exit_code == 0
    assert await text_of(docker.engine, handle) == "0 Success\n"
    assert [(body["value"], body["token"]) for body in platform.bodies] == [(0, "jwt")]
    await until(lambda: docker.containers() == [])


async def test_a_relay_that_is_killed_and_a_runner_that_is_away_lose_nothing(
    docker: DockerBench, platform: Platform
) -> None:
    handle = await start(docker.engine, pushing(platform, 40))
    await wait_for_text(docker, handle, "0 Success")
    docker.kill()  # with it the way to the platform: the relay keeps what comes
    (docker.replica_folder("t") / "inside" / "work" / "go").touch()
    inside = docker.container("t")
    await until(lambda: "\n40 Success" in docker.daemon.docker("logs", inside))
    docker.launch()
    assert (await end_of(docker.engine, "t")).exit_code == 0
    await until(lambda: len(platform.bodies) == 41)
    assert [body["value"] for body in platform.bodies] == list(range(41))
    await until(lambda: docker.containers() == [])


async def test_a_relay_that_dies_is_started_again_by_docker(
    docker: DockerBench, platform: Platform
) -> None:
    await start(docker.engine, pushing(platform, 0))
    sleeping = replace(pushing(platform, 0), name="u", command=("sleep", "600"))
    handle = await start(docker.engine, sleeping)
    relay = docker.container("u", role=Role.RELAY)
    await until(lambda: relay in docker.containers())
    asked = ("inspect", "-f", "{{.State.Running}} {{.RestartCount}} {{.State.Pid}}", relay)
    await until(lambda: docker.daemon.docker(*asked).startswith("true 0"))
    os.kill(int(docker.daemon.docker(*asked).split()[2]), signal.SIGKILL)
    await until(lambda: docker.daemon.docker(*asked).startswith("true 1"))
    await docker.engine.stop(handle, grace_seconds=0)
    assert (await end_of(docker.engine, "u")).cause is Cause.STOPPED
    await until(lambda: docker.containers() == [])


async def test_a_service_reaches_the_platform_at_its_address_outside_after_a_restart_too(
    docker: DockerBench,
) -> None:
    # It answers what the platform answers to it; the platform's port is that of the settings.
    code = (
        "import http.server, os, sys, urllib.request\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        " def do_GET(self):\n"
        "  with urllib.request.urlopen(sys.argv[1], b'{\"value\": 1}', timeout=10) as found:\n"
        "   data = found.read()\n"
        "  self.send_response(200); self.end_headers(); self.wfile.write(data)\n"
        "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n"
    )
    with Platform(docker.settings.ports.platform) as at_its_port:
        thread = threading.Thread(target=at_its_port.serve_forever, args=(0.05,))
        thread.start()
        workload = replace(service(code), command=("python", "-c", code, at_its_port.url))
        await start(docker.engine, workload)
        first = await see(docker.engine, "s", READY)
        assert ask(first.replicas[0].address) == b"{}"
        docker.daemon.docker("kill", docker.container("s"))
        again = await see(
            docker.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1
        )
        assert ask(again.replicas[0].address) == b"{}"
        at_its_port.shutdown()
        thread.join()


async def test_what_a_relay_still_has_is_delivered_after_the_end_of_its_task_and_of_the_runner(
    docker: DockerBench,
) -> None:
    with Platform() as closed:
        port = closed.server_address[1]
        workload = pushing(closed, 0)
    await start(docker.engine, workload)
    assert (await end_of(docker.engine, "t")).exit_code == 0  # told after relay_wait_seconds
    relay = docker.container("t", role=Role.RELAY)
    await until(lambda: docker.containers() == [relay])
    docker.kill()
    docker.launch()
    with Platform(port) as open_again:
        thread = threading.Thread(target=open_again.serve_forever, args=(0.05,))
        thread.start()
        await until(lambda: [body["value"] for body in open_again.bodies] == [0])
        await until(lambda: docker.containers() == [])
        open_again.shutdown()
        thread.join()
