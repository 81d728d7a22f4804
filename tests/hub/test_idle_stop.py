"""Idle stop from end to end: a real server, seconds in place of minutes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import websocket

from tests.hub.test_server import Hub, wait_for
from tests.installation import running_installation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
IDLE_SECONDS = 12.0
OPTIONS = f"""
c.PlatformOptions.idle_stop_minutes = {IDLE_SECONDS / 60}
c.PlatformOptions.idle_warning_minutes = {IDLE_SECONDS / 120}
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_installation("kpl-idle-", files={"platform.py": OPTIONS}) as found:
        hub = Hub(found.home)
        with hub.client:
            yield hub


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


@contextmanager
def at_work(terminal: websocket.WebSocket) -> Iterator[None]:
    """Let a program work in a terminal; it ends with this, and by itself should that fail."""
    program = f"timeout --foreground 200 {sys.executable} -c 'while True: pass'"
    terminal.send(json.dumps(["stdin", f"{program}\r"]))
    try:
        yield
    finally:
        terminal.send(json.dumps(["stdin", "\x03"]))


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
    with at_work(terminal):
        until_stage(inside, "work")
        end = time.monotonic() + 1.5 * IDLE_SECONDS
        wait_for(
            lambda: inside.idle()["stage"] == "work" and time.monotonic() > end,
            "the time of an idle server to pass",
        )

    # It ends; a warning comes, and the wish to keep it running is heard.
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
