"""A whole installation: up, again, killed piece by piece, down. Nothing is replaced by a double."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = ("frontdoor", "hub", "platform", "controller", "runner")


@dataclass(frozen=True)
class Installation:
    """An installation below a temporary folder, on a free port."""

    home: Path
    port: int

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kpl_lab.cli.kpl_lab", *words],
            env={**os.environ, "KPL_HOME": str(self.home), "KPL_PORT": str(self.port)},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def up(self) -> subprocess.CompletedProcess[str]:
        done = self.run("up")
        assert done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return found

    def pids(self) -> dict[str, int | None]:
        return {item["name"]: item["pid"] for item in self.status()["items"]}

    def credentials(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "credentials.json").read_text())
        return found

    def get(self, path: str) -> int:
        """Return the status with which the front door answers, 0 where nobody does."""
        token = self.credentials()["token"]
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{self.port}{path}",
                headers={"Authorization": f"token {token}"},
                timeout=10,
                trust_env=False,
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(is_so: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    for _ in itertools.count():
        if is_so():
            return
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return everything that was started for this home, zombies left out."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("KPL_HOME") == str(home)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # Unix sockets have short paths: not below pytest's own long one.
    found = Installation(passable(tmp_path_factory.mktemp("kpl")) / "h", free_port())
    try:
        found.up()
        yield found
    finally:
        found.run("down")


def test_up_leaves_everything_running_and_says_how_to_sign_in(installation: Installation) -> None:
    status = installation.status()
    assert [item["name"] for item in status["items"]] == list(NAMES)
    assert {item["state"] for item in status["items"]} == {"running"}
    assert installation.get("/hub/api/user") == 200
    assert installation.get("/kpl/api/v1/me") == 200
    credentials = installation.credentials()
    assert set(credentials) == {"url", "username", "password", "token"}
    assert (installation.home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_second_up_changes_nothing(installation: Installation) -> None:
    before, credentials = installation.pids(), installation.credentials()
    said = installation.up().stdout
    assert installation.pids() == before
    assert installation.credentials() == credentials
    assert credentials["password"] in said


def test_a_lost_token_is_made_again(installation: Installation) -> None:
    (installation.home / "credentials.json").unlink()
    installation.up()
    assert installation.get("/hub/api/user") == 200


def test_doctor_finds_nothing_wrong(installation: Installation) -> None:
    done = installation.run("doctor", "--json")
    errors = [f for f in json.loads(done.stdout)["items"] if f["level"] == "error"]
    assert (done.returncode, errors) == (0, [])


@pytest.mark.drill
@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_is_back_and_the_others_never_noticed(
    installation: Installation, name: str
) -> None:
    before = installation.pids()
    pid = before[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: installation.pids()[name] not in (None, pid), f"a new {name}")
    after = installation.pids()
    assert {k: v for k, v in after.items() if k != name} == {
        k: v for k, v in before.items() if k != name
    }
    wait_for(lambda: installation.get("/hub/api/user") == 200, "the hub")
    wait_for(lambda: installation.get("/kpl/api/v1/me") == 200, "the platform")


@pytest.mark.drill
def test_a_dead_supervisor_ends_nothing_and_the_next_up_adopts(installation: Installation) -> None:
    before = installation.pids()
    os.kill(installation.status()["supervisor"]["pid"], signal.SIGKILL)
    wait_for(lambda: installation.status()["supervisor"]["pid"] is None, "its end")
    assert installation.pids() == before
    hub = before["hub"]
    assert hub is not None
    os.kill(hub, signal.SIGKILL)
    installation.up()
    after = installation.pids()
    assert after["hub"] not in (None, hub)
    assert {k: v for k, v in after.items() if k != "hub"} == {
        k: v for k, v in before.items() if k != "hub"
    }


@pytest.mark.drill
def test_two_ups_at_once_leave_one_installation(installation: Installation) -> None:
    installation.run("down")
    command = [sys.executable, "-m", "kpl_lab.cli.kpl_lab", "up"]
    environment = {**os.environ, "KPL_HOME": str(installation.home)}
    environment["KPL_PORT"] = str(installation.port)
    root = Path(__file__).parents[2]
    both = [
        subprocess.Popen(
            command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    hubs = [p for p in processes_of(installation.home) if "jupyterhub" in p.cmdline()]
    assert len(hubs) == 1


def test_down_leaves_no_process_and_no_port_and_may_be_repeated(installation: Installation) -> None:
    assert installation.run("down").returncode == 0
    assert processes_of(installation.home) == []
    with socket.create_server(("127.0.0.1", installation.port)):
        pass
    mounts = Path("/proc/self/mounts").read_text()
    assert str(installation.home) not in mounts
    assert installation.run("down").returncode == 0
    assert installation.run("status").returncode == 1


def test_a_taken_port_is_named_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = Installation(tmp_path / "h", port).run("up")
    assert done.returncode == 1
    assert f"Port {port} is taken by the process" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "KPL_PORT=" in done.stderr
    assert processes_of(tmp_path / "h") == []
