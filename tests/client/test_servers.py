"""Notebook servers through hub and platform: progress in words, and why a start failed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from kpl_lab.cli.session import Session, report
from kpl_lab.client.events import Events
from kpl_lab.client.servers import Servers
from kpl_lab.client.transport import Transport
from kpl_lab.errors import EngineError

START = {
    "id": 7,
    "name": "",
    "user": "ada",
    "image": "base",
    "state": "failed",
    "created_at": "2026-01-01T00:00:00Z",
    "resources": {},
    "events": [],
}


def servers(*progress: dict[str, Any], answers: dict[str, Any]) -> Servers:
    """Return the client of a hub with this progress and a platform with these answers."""
    told = "".join(f"data: {json.dumps(event)}\n\n" for event in progress)

    def hub(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/progress"):
            return httpx.Response(200, text=told)
        return httpx.Response(202, json={})

    def platform(request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/kpl/api/v1")
        if path in answers:
            return httpx.Response(200, json=answers[path])
        problem = {"code": "not_found", "message": "There is none.", "request_id": "x"}
        return httpx.Response(404, json=problem)

    def at(url: str, handle: Callable[[httpx.Request], httpx.Response]) -> Transport:
        return Transport(url, "t", transport=httpx.MockTransport(handle))

    here = at("http://x/kpl/api/v1", platform)
    return Servers(here, at("http://x/hub/api", hub), Events(here))


FAILED = {"progress": 100, "failed": True, "message": "Spawn failed: It needed more memory."}
NONE: dict[str, Any] = {"items": [], "next": None}


def test_a_failed_start_says_why_and_has_the_end_of_the_log_without_a_terminal_s_codes() -> None:
    log = {"text": "\x1b[31mKilled\x1b[0m\r\n", "offset": 0, "next_offset": 9, "complete": True}
    history = {"items": [START], "next": None}
    answers = {"/servers": NONE, "/servers/history": history, "/servers/7/log": log}
    told: list[str] = []
    with pytest.raises(EngineError) as caught:
        servers({"progress": 10, "message": "Waiting for 1 GPU"}, FAILED, answers=answers).start(
            "ada", options={}, on_message=lambda _percent, words: told.append(words)
        )
    assert caught.value.message == "The notebook server did not start: It needed more memory."
    assert caught.value.detail == {"log": "Killed"}
    assert told == ["Waiting for 1 GPU"]


def test_a_start_that_was_refused_is_not_shown_with_the_log_of_the_one_before() -> None:
    log = {"text": "old", "offset": 0, "next_offset": 3, "complete": True}
    known = {**START, "mounts": [], "url": "/user/ada/"}
    del known["events"]
    answers = {
        "/servers": {"items": [known], "next": None},
        "/servers/history": {"items": [START], "next": None},
        "/servers/7/log": log,
    }
    with pytest.raises(EngineError, match="It needed more memory") as caught:
        servers(FAILED, answers=answers).start("ada", options={})
    assert caught.value.detail == {}


def test_a_start_that_was_given_up_is_none_though_the_hub_calls_it_ready() -> None:
    answers: dict[str, Any] = {"/servers": NONE}
    waiting = {**START, "state": "pending", "mounts": [], "url": "/user/ada/"}
    del waiting["events"]

    def begin(_percent: int, _words: str) -> None:
        answers["/servers"] = {"items": [waiting], "next": None}

    made = servers({"message": "Waiting"}, {"ready": True}, answers=answers)
    with pytest.raises(EngineError, match="stopped meanwhile") as caught:
        made.start("ada", options={}, on_message=begin)
    assert caught.value.code == "server_stopped"


def test_a_log_that_cannot_be_had_hides_no_reason() -> None:
    with pytest.raises(EngineError, match="It needed more memory") as caught:
        servers(FAILED, answers={"/servers": NONE}).start("ada", options={})
    assert caught.value.detail == {}


def test_the_end_of_a_log_is_printed_for_people_below_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = EngineError("It did not start.", detail={"log": "first\nlast"})
    assert report(Session(json=True), error) == 1
    printed = capsys.readouterr()
    assert printed.err == "kpl: It did not start.\nThe end of its log:\n  first\n  last\n"
    assert printed.out == ""
