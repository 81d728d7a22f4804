"""A notebook server through the real hub, front door, platform and engine."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from kpl_lab.settings import load
from kpl_lab.supervisor.ports import is_free
from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]


def wait_for(look: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    for _ in itertools.count():
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return None


class Hub:
    """The hub's API as the admin, through the front door."""

    def __init__(self, home: Path) -> None:
        self.home = home
        credentials = json.loads((home / "credentials.json").read_text())
        self.client = httpx.Client(
            base_url=credentials["url"],
            headers={"Authorization": f"token {credentials['token']}"},
            timeout=30,
            trust_env=False,
        )

    def server(self, name: str = "") -> dict[str, Any] | None:
        """Return the hub's model of a running server of the admin."""
        answer = self.client.get("/hub/api/users/admin")
        if answer.status_code != 200:
            return None
        found: dict[str, Any] = answer.json()["servers"]
        return found.get(name)

    def start(self, name: str = "", **options: Any) -> httpx.Response:
        return self.client.post(f"/hub/api/users/admin/{self._place(name)}", json=options)

    def stop(self, name: str = "") -> None:
        self.client.delete(f"/hub/api/users/admin/{self._place(name)}")
        wait_for(lambda: self.server(name) is None, "the server's end")

    def progress(self, name: str = "") -> list[dict[str, Any]]:
        """Return the events of a start until its end."""
        path = f"/hub/api/users/admin/{self._place(name)}/progress"
        with self.client.stream("GET", path, timeout=120) as answer:
            lines = [line for line in answer.iter_lines() if line.startswith("data:")]
        return [json.loads(line.removeprefix("data:")) for line in lines]

    def state(self, name: str = "") -> str:
        """Return the platform's word for the newest server of this name."""
        found = self.client.get("/kpl/api/v1/servers")
        items = found.json()["items"] if found.status_code == 200 else []
        return next((str(item["state"]) for item in items if item["name"] == name), "")

    def pid(self, name: str) -> int:
        found = json.loads((self.home / "run" / f"{name}.json").read_text())["pid"]
        return int(found or 0)

    @staticmethod
    def _place(name: str) -> str:
        return f"servers/{name}" if name else "server"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = passable(tmp_path_factory.mktemp("kpl")) / "h"
    port = next(port for port in itertools.count(18700 + os.getpid() % 1000) if is_free(port))
    environment = {**os.environ, "KPL_HOME": str(home), "KPL_PORT": str(port)}

    def kpl_lab(word: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kpl_lab.cli.kpl_lab", word],
            env=environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    try:
        done = kpl_lab("up")
        assert done.returncode == 0, done.stderr
        hub = Hub(home)
        with hub.client:
            yield hub
    finally:
        # A server runs at this moment; its mounts must go with it.
        kpl_lab("down")
        assert str(home) not in Path("/proc/self/mounts").read_text()


def refused(hub: Hub, **options: Any) -> str:
    """Return why a start is refused: in the answer, or where that took long in the progress."""
    answer = hub.start(**options)
    if answer.status_code >= 400:
        return str(answer.json()["message"])
    last = hub.progress()[-1]
    assert last.get("failed"), last
    wait_for(lambda: hub.server() is None, "the end of the refused start")
    return str(last["message"])


def test_an_unknown_image_is_refused_with_the_ones_there_are(hub: Hub) -> None:
    assert "There is no image 'pytroch'; the catalog has: base" in refused(hub, image="pytroch")


def test_more_than_the_machine_has_is_refused_with_numbers(hub: Hub) -> None:
    words = refused(hub, memory=100_000_000)
    assert "this installation has" in words
    assert "memory" in words
    assert hub.state() == ""


def test_a_wrong_value_is_refused_with_its_field(hub: Hub) -> None:
    assert "no amount of CPU cores" in refused(hub, cpu="many")


def test_a_server_starts_in_words_and_answers(hub: Hub) -> None:
    # Without the controller the start waits until somebody follows it.
    controller = hub.pid("controller")
    os.kill(controller, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as aside:
        try:
            # JupyterHub answers 201 after a refused start, whose spawner it still looks at.
            assert hub.start(memory=1024).status_code in (201, 202)
            following = aside.submit(hub.progress)
            wait_for(lambda: hub.state() == "starting", "the platform to start it")
        finally:
            os.kill(controller, signal.SIGCONT)
        events = following.result()
    assert events[-1].get("ready"), events
    assert "Starting JupyterLab" in [event.get("message") for event in events]
    assert hub.client.get("/user/admin/api/status").status_code == 200


def test_the_server_finds_its_platform_and_the_example(hub: Hub) -> None:
    listed = hub.client.get("/user/admin/api/contents/").json()["content"]
    assert {"datasets", "digits"} <= {item["name"] for item in listed}


@pytest.mark.drill
@pytest.mark.parametrize("name", ["hub", "frontdoor", "platform", "controller", "runner"])
def test_the_server_outlives_every_process_of_the_platform(hub: Hub, name: str) -> None:
    started = hub.client.get("/user/admin/api/status").json()["started"]
    pid = hub.pid(name)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: hub.pid(name) not in (0, pid), f"a new {name}")

    def answers() -> bool:
        try:
            found = hub.client.get("/user/admin/api/status")
        except httpx.HTTPError:
            return False
        return found.status_code == 200 and bool(found.json()["started"] == started)

    wait_for(answers, "the same server behind the front door")
    wait_for(lambda: (hub.server() or {}).get("ready"), "the hub to know it")
    # A dead platform says nothing; once it answers, the server must not have been given up.
    assert wait_for(hub.state, "the platform") == "running"


def test_a_second_server_of_a_name_runs_beside_it(hub: Hub) -> None:
    assert hub.start("second").status_code in (201, 202)
    events = hub.progress("second")
    assert events[-1].get("ready"), events
    assert (hub.server() or {}).get("ready")
    hub.stop("second")


def test_a_stopped_server_starts_again_with_its_files(hub: Hub) -> None:
    path = "/user/admin/api/contents/kept.txt"
    body = {"type": "file", "format": "text", "content": "kept"}
    assert hub.client.put(path, json=body).status_code == 201
    hub.stop()
    hub.start()
    wait_for(lambda: (hub.server() or {}).get("ready"), "the server")
    assert hub.client.get(path).json()["content"] == "kept"


def test_the_ports_are_kept(hub: Hub) -> None:
    environment = {"KPL_HOME": str(hub.home)}
    assert load(environment).ports == load(environment).ports


@pytest.mark.drill
def test_a_start_over_which_the_hub_dies_leaves_no_server_behind(hub: Hub) -> None:
    # Without the controller the start stays where it is.
    controller, pid = hub.pid("controller"), hub.pid("hub")
    os.kill(controller, signal.SIGSTOP)
    try:
        assert hub.start("second", memory=256).status_code == 202
        wait_for(lambda: hub.state("second") == "starting", "the platform to start it")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: hub.pid("hub") not in (0, pid), "a new hub")
    finally:
        os.kill(controller, signal.SIGCONT)
    wait_for(lambda: hub.state("second") == "stopped", "the end of what the dead hub had begun")
    wait_for(lambda: hub.server("second") is None, "the hub to take it for ended")
    # The new hub ends what the dead one had begun before it answers anybody.
    # Its answer is 202, or 201 where it looks at what was begun before.
    begun = (201, 202)
    wait_for(lambda: hub.start("second", memory=256).status_code in begun, "the new hub's answer")
    assert hub.progress("second")[-1].get("ready")
    hub.stop("second")
