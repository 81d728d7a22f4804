"""Idle stop from end to end: a real server, seconds in place of minutes."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import websocket

from kpl_lab.supervisor.ports import is_free
from tests.hub.test_server import ROOT, Hub, wait_for
from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
IDLE_SECONDS = 12.0
OPTIONS = f"""
c.PlatformOptions.idle_stop_minutes = {IDLE_SECONDS / 60}
c.PlatformOptions.idle_warning_minutes = {IDLE_SECONDS / 120}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = passable(tmp_path_factory.mktemp("kpl")) / "h"
    home.mkdir(mode=0o711)
    (home / "platform.py").write_text(OPTIONS)
    port = next(port for port in itertools.count(19800 + os.getpid() % 1000) if is_free(port))
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
        kpl_lab("down")


class Inside:
    """The admin's server, as an open page sees it."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def idle(self) -> dict[str, Any]:
        found: dict[str, Any] = self._hub.client.get("/user/admin/kpl-lab/local/idle").json()
        return found

    def keep(self) -> dict[str, Any]:
        answer = self._hub.client.post("/user/admin/kpl-lab/local/idle")
        found: dict[str, Any] = answer.json()
        return found

    def terminal(self) -> websocket.WebSocket:
        """Open a terminal; closing the socket leaves it running."""
        client = self._hub.client
        name = client.post("/user/admin/api/terminals").json()["name"]
        address = str(client.base_url).replace("http", "ws", 1)
        return websocket.create_connection(
            f"{address.rstrip('/')}/user/admin/terminals/websocket/{name}",
            header=[f"Authorization: {client.headers['Authorization']}"],
            timeout=30,
        )


def history(hub: Hub) -> dict[str, Any]:
    """Return the newest start with its events."""
    found: dict[str, Any] = hub.client.get("/kpl/api/v1/servers/history").json()["items"][0]
    return found


def told(hub: Hub) -> list[str]:
    return [event["data"]["event"] for event in history(hub)["events"]]


def until_stage(inside: Inside, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = wait_for(
        lambda: (now := inside.idle())["stage"] == stage and now, f"the stage {stage}"
    )
    return found


def test_work_keeps_a_server_a_page_does_not_and_the_end_is_told(hub: Hub) -> None:
    hub.start(memory=1024)
    wait_for(lambda: (hub.server() or {}).get("ready"), "the server")
    inside = Inside(hub)

    # A terminal at work, for longer than the server may be idle, and nobody at the page.
    terminal = inside.terminal()
    terminal.send(json.dumps(["stdin", f"{sys.executable} -c 'while True: pass'\r"]))
    until_stage(inside, "work")
    begin = time.monotonic()
    wait_for(
        lambda: inside.idle()["stage"] == "work" and time.monotonic() - begin > 1.5 * IDLE_SECONDS,
        "the time of an idle server to pass",
    )

    # It ends; a warning comes, and the wish to keep it running is heard.
    terminal.send(json.dumps(["stdin", "\x03"]))
    warned = until_stage(inside, "warning")
    assert 0 < warned["seconds_left"] <= IDLE_SECONDS / 2
    wait_for(lambda: "StopNotebookResourceIdle" in told(hub), "the platform to hear of it")
    assert inside.keep()["seconds_left"] > IDLE_SECONDS / 2

    # A page that asks all the time, with a terminal open, keeps nothing alive.
    def has_ended() -> bool:
        hub.client.get("/user/admin/api/status")
        hub.client.get("/user/admin/api/kernels")
        return hub.state() == "stopped"

    wait_for(has_ended, "the server's end")
    terminal.close()
    start = history(hub)
    assert start["reason"] == "idle"
    assert start["message"] == "The server was stopped: nothing had run in it for 12 seconds."
    assert told(hub)[-6:] == [
        "StopNotebookResourceIdle",
        "KeepNotebookRunning",
        "StopNotebookResourceIdle",
        "StopNotebookResourceIdle",
        "StoppingNotebook",
        "StopNotebook",
    ]
    wait_for(lambda: hub.server() is None, "the hub to notice")


def test_a_user_s_own_choice_goes_before_the_administrator_s(hub: Hub) -> None:
    hub.start(memory=1024, idle_stop=0)
    wait_for(lambda: (hub.server() or {}).get("ready"), "the server")
    assert Inside(hub).idle()["minutes"] is None
    hub.stop()


def test_the_page_of_the_hub_shows_the_history(hub: Hub) -> None:
    credentials = json.loads((hub.home / "credentials.json").read_text())
    with httpx.Client(base_url=credentials["url"], timeout=30, trust_env=False) as browser:
        browser.get("/hub/login")
        signed_in = browser.post(
            "/hub/login?next=%2Fhub%2Fhome",
            data={
                "username": "admin",
                "password": credentials["password"],
                "_xsrf": browser.cookies.get("_xsrf", path="/hub/"),
            },
            follow_redirects=True,
        )
    assert signed_in.status_code == 200
    assert "StopNotebookResourceIdle" in signed_in.text
    assert "nothing had run in it for 12 seconds" in signed_in.text
