"""A whole installation: up, again, killed piece by piece, down. Nothing is replaced by a double."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import (
    NAMES,
    Installation,
    processes_of,
    running_installation,
    wait_for,
)
from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with running_installation("kpl-up-") as found:
        yield found


def test_up_leaves_everything_running_and_says_how_to_sign_in(installation: Installation) -> None:
    status = installation.status()
    assert [item["name"] for item in status["items"]] == list(NAMES)
    assert {item["state"] for item in status["items"]} == {"running"}
    assert installation.get("/hub/api/user") == 200
    assert installation.get("/kpl/api/v1/me") == 200
    credentials = installation.credentials
    assert set(credentials) == {"url", "username", "password", "token"}
    assert (installation.home / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_second_up_changes_nothing(installation: Installation) -> None:
    before, credentials = installation.pids(), installation.credentials
    said = installation.up()
    assert installation.pids() == before
    assert installation.credentials == credentials
    assert credentials["password"] in said


def test_a_lost_token_is_made_again(installation: Installation) -> None:
    (installation.home / "credentials.json").unlink()
    installation.up()
    assert installation.get("/hub/api/user") == 200


def test_doctor_finds_nothing_wrong(installation: Installation) -> None:
    done = installation.run("kpl-lab", "doctor", "--json")
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


def test_down_leaves_no_process_and_no_port_and_may_be_repeated(installation: Installation) -> None:
    assert installation.run("kpl-lab", "down").returncode == 0
    assert processes_of(installation.home) == []
    with socket.create_server(("127.0.0.1", installation.port)):
        pass
    mounts = Path("/proc/self/mounts").read_text()
    assert str(installation.home) not in mounts
    assert installation.run("kpl-lab", "down").returncode == 0
    assert installation.run("kpl-lab", "status").returncode == 1


def test_a_taken_port_is_named_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = Installation(passable(tmp_path) / "h", port).run("kpl-lab", "up")
    assert done.returncode == 1
    assert f"Port {port} is taken by the process" in done.stderr
    assert f"pid {os.getpid()}" in done.stderr
    assert "KPL_PORT=" in done.stderr
    assert processes_of(tmp_path / "h") == []
