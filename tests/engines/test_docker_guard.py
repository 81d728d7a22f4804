"""What containers and builds must not reach, behind a real packet filter."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_lab.engines.docker.daemon import Daemon
from kpl_lab.engines.docker.engine import DockerEngine
from kpl_lab.engines.docker.guard import Guard
from kpl_lab.engines.spec import Dockerfile
from tests.engines.docker_harness import (
    IMAGE,
    DockerBench,
    TestDaemon,
    docker_bench,
    filter_rules,
)
from tests.engines.harness import end_of, start, task, text_of, until
from tests.installation import wait_for

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
# Of a range that is kept for examples: the machine's own metadata service is left alone.
ADDRESS, HERE = "198.51.100.7", "198.51.100.6"
NAMESPACE = "kpl-metadata"
SERVER = (
    "import http.server as h, socketserver as s; "  # HTTPServer asks for its own name first
    f"s.TCPServer(('{ADDRESS}', 80), h.SimpleHTTPRequestHandler).serve_forever()"
)
ASK = (
    "import time, urllib.request as r\n"
    "try:\n"
    f"    print('answered', r.urlopen('http://{ADDRESS}/', timeout=20).status)\n"
    "except OSError as error:\n"
    "    print('refused', error)\n"
)


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def metadata() -> Iterator[None]:
    """A metadata service behind the machine, as a cloud has it."""
    for program in ("ip", "iptables"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program}")
    # One that was killed leaves it.
    subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False, capture_output=True)
    subprocess.run(["ip", "link", "delete", "kplmeta0"], check=False, capture_output=True)
    made = subprocess.run(
        ["ip", "netns", "add", NAMESPACE], check=False, capture_output=True, text=True
    )
    if made.returncode and ("ermission" in made.stderr or "not permitted" in made.stderr):
        pytest.skip(f"no network namespace can be made here: {made.stderr}")
    assert made.returncode == 0, made.stderr
    inside = ("ip", "netns", "exec", NAMESPACE)
    server = None
    try:
        run("ip", "link", "add", "kplmeta0", "type", "veth", "peer", "kplmeta1", "netns", NAMESPACE)
        run("ip", "addr", "add", f"{HERE}/31", "dev", "kplmeta0")
        run("ip", "link", "set", "kplmeta0", "up")
        run(*inside, "ip", "addr", "add", f"{ADDRESS}/31", "dev", "kplmeta1")
        run(*inside, "ip", "link", "set", "kplmeta1", "up")
        run(*inside, "ip", "route", "add", "default", "via", HERE)
        server = subprocess.Popen([*inside, "python3", "-c", SERVER], cwd="/")
        wait_for(listens, "the metadata service")
        yield
    finally:
        if server is not None:
            server.kill()
            server.wait()
        subprocess.run(["ip", "link", "delete", "kplmeta0"], check=False)
        run("ip", "netns", "delete", NAMESPACE)


def listens() -> bool:
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex((ADDRESS, 80)) == 0


@pytest.fixture
async def docker(
    daemon: TestDaemon, tmp_path: Path, metadata: None, request: pytest.FixtureRequest
) -> AsyncIterator[DockerBench]:
    """An engine on which some addresses are blocked."""
    options = {"blocked_addresses": request.param}
    async with docker_bench(tmp_path, daemon, options) as found:
        yield found


def rules(bench: DockerBench) -> list[str]:
    return filter_rules(bench.settings.instance)


async def unguarded(bench: DockerBench) -> str:
    assert isinstance(bench.engine, DockerEngine)
    return str((await bench.engine.facts())["unguarded"])


async def asked_by_a_task(bench: DockerBench) -> str:
    handle = await start(bench.engine, task("t", f"python3 -c {shlex.quote(ASK)}"))
    await end_of(bench.engine, "t")
    return await text_of(bench.engine, handle)


@pytest.mark.parametrize("docker", [[]], indirect=True)
async def test_without_rules_it_answers(docker: DockerBench) -> None:
    assert await asked_by_a_task(docker) == "answered 200\n"
    assert rules(docker) == []
    assert await unguarded(docker) == "blocked_addresses is empty"


@pytest.mark.parametrize("docker", [[f"{ADDRESS}/32"]], indirect=True)
async def test_a_task_is_refused_at_once(docker: DockerBench) -> None:
    assert "Connection refused" in await asked_by_a_task(docker)
    assert await unguarded(docker) == ""
    assert len(rules(docker)) == 2


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("docker", [[f"{ADDRESS}/32"]], indirect=True)
async def test_a_step_of_a_build_is_refused(docker: DockerBench, newer: bool) -> None:
    text = f"FROM {IMAGE}\nRUN {json.dumps(['python3', '-c', ASK])}\n"
    asked = Dockerfile(text=text, use_cache=False, needs_buildkit=newer)
    handles = [
        handle
        async for handle in docker.engine.build("b", replace(docker.recipe(), dockerfile=asked))
    ]
    await end_of(docker.engine, "b")
    log = await text_of(docker.engine, handles[-1])
    assert "Connection refused" in log
    assert "answered 200" not in log


@pytest.mark.parametrize("docker", [[f"{ADDRESS}/32"]], indirect=True)
async def test_the_rules_go_with_the_last_workload(docker: DockerBench) -> None:
    handle = await start(docker.engine, task("t", "sleep 60"))
    await until(lambda: len(rules(docker)) == 2)
    await docker.engine.delete(handle)
    assert rules(docker) == []


@pytest.mark.parametrize("docker", [[f"{ADDRESS}/32"]], indirect=True)
async def test_what_was_swept_away_is_there_for_the_next_one(docker: DockerBench) -> None:
    await start(docker.engine, task("first", "sleep 60"))
    await until(lambda: len(rules(docker)) == 2)
    for rule in rules(docker):
        run("iptables", "-w", "5", "-D", *shlex.split(rule)[1:])
    assert "Connection refused" in await asked_by_a_task(docker)


@pytest.mark.parametrize("docker", [[f"{ADDRESS}/32"]], indirect=True)
async def test_a_network_without_a_bridge_is_named(docker: DockerBench) -> None:
    client = Daemon(docker.daemon.socket)
    guard = Guard(client, "i", [ADDRESS])
    await guard.ensure("host")
    assert guard.obstacle == "the network host has no bridge of Docker's"
    await client.close()


async def test_who_cannot_add_rules_says_why(
    daemon: TestDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("kpl_lab.engines.docker.guard._PLACES", "/nowhere")
    client = Daemon(daemon.socket)
    guard = Guard(client, "i", [ADDRESS])
    assert guard.obstacle == "there is no iptables on this machine"
    await guard.ensure("bridge")
    await guard.lower()
    await client.close()
