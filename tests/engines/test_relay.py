"""The relay: a task's clients never notice that the platform is away, and nothing arrives twice."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engines.relaying import TOKEN, Platform, RelayProcess, progress, until


def test_messages_sent_while_the_platform_is_away_arrive_in_order(
    relay: RelayProcess, platform: Platform
) -> None:
    for step in range(5):
        assert relay.post("/task/attribute/update", progress(step / 10)) == (
            200,
            {"code": "Success", "msg": "", "data": None},
        )
    platform.open()
    until(lambda: len(platform.calls) == 5)
    assert [body["value"] for _, _, body in platform.calls] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert {path for path, _, _ in platform.calls} == {"/kpl/runtime/task/attribute/update"}


def test_a_killed_relay_delivers_what_it_had_accepted_under_the_same_names(
    relay: RelayProcess, platform: Platform
) -> None:
    relay.post("/task/attribute/update", progress(0.5))
    relay.process.kill()
    relay.process.wait()
    relay.start()
    relay.post("/task/attribute/update", progress(0.6))
    platform.open()
    until(lambda: len(platform.calls) == 2)
    deliveries = [delivery for _, delivery, _ in platform.calls]
    assert deliveries[0].startswith("7:")
    assert deliveries[0].endswith(":0")
    assert len({d.rsplit(":", 1)[0] for d in deliveries}) == 1


def test_a_server_error_is_tried_again_and_a_refusal_is_not(
    relay: RelayProcess, platform: Platform
) -> None:
    platform.status = 500
    platform.open()
    relay.post("/task/attribute/update", progress(0.1))
    until(lambda: len(platform.calls) >= 2)
    platform.status = 400
    relay.post("/task/attribute/update", progress(0.2))
    until(lambda: platform.calls[-1][2]["value"] == 0.2)
    assert relay.end() == 0
    assert [c[2]["value"] for c in platform.calls].count(0.2) == 1


def test_a_platform_that_has_too_much_to_do_is_left_alone_for_as_long_as_it_asks(
    relay: RelayProcess, platform: Platform
) -> None:
    platform.status, platform.retry_after = 429, "1"
    platform.open()
    for value in (0.1, 0.2):
        relay.post("/task/attribute/update", progress(value))
    until(lambda: len(platform.calls) == 1)
    platform.status = 200
    until(lambda: len(platform.calls) == 3)
    assert platform.times[1] - platform.times[0] >= 1.0
    assert [body["value"] for _, _, body in platform.calls] == [0.1, 0.1, 0.2]
    assert platform.calls[0][1] == platform.calls[1][1]


@pytest.mark.parametrize("said", [None, "0", "Wed, 21 Oct 2026 07:28:00 GMT", "-5", "soon"])
def test_too_much_to_do_is_never_a_refusal_whatever_is_said_of_how_long(
    said: str | None, tmp_path: Path, platform: Platform
) -> None:
    relay = RelayProcess(tmp_path, platform, digest_seconds=0.1)
    platform.status, platform.retry_after = 429, said
    platform.open()
    relay.post("/task/attribute/update", progress(0.1))
    until(lambda: len(platform.calls) >= 4)
    platform.status = 200
    relay.post("/task/attribute/update", progress(0.2))
    assert relay.end() == 0
    assert [body["value"] for _, _, body in platform.calls][-2:] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("path", "body", "token"),
    [
        ("/task/attribute/update", progress(0.1), "another.task.token"),
        ("/task/attribute/update", progress(0.1) | {"task_id": 8}, TOKEN),
        ("/task/stop", {"task_id": 8}, TOKEN),
        ("/uploadTaskMetrics", {"token": "wrong", "items": []}, ""),
        ("/model/upload", b"x", "another.task.token"),
    ],
)
def test_what_speaks_for_another_task_is_refused_and_not_forwarded(
    relay: RelayProcess, platform: Platform, path: str, body: Any, token: str
) -> None:
    platform.open()
    status, answer = relay.post(path, body, token)
    assert (status, answer["code"]) == (403, "Forbidden")
    assert relay.end() == 0
    assert platform.calls == []


def test_the_oldest_clients_show_their_word_and_may_write_a_double_slash(
    relay: RelayProcess, platform: Platform
) -> None:
    platform.open()
    assert relay.post("/uploadTaskMetrics", {"token": "word", "items": []}, "")[0] == 200
    assert relay.post("//upload/model", b"--multipart--", kind="multipart/form-data")[0] == 200
    until(lambda: len(platform.calls) == 2)
    assert {c[0] for c in platform.calls} == {
        "/kpl/runtime/uploadTaskMetrics",
        "/kpl/runtime/upload/model",
    }


def test_an_upload_waits_for_the_platform_and_gets_its_own_answer(
    relay: RelayProcess, platform: Platform
) -> None:
    found: list[Any] = []
    body = bytes(3_000_000)
    sender = threading.Thread(
        target=lambda: found.append(relay.post("/model/upload", body, kind="multipart/form-data"))
    )
    sender.start()
    assert not found
    platform.open()
    sender.join(20)
    assert found[0] == (200, {"code": "Success", "msg": "", "data": {"version": 2}})
    assert platform.calls[-1][2] == body


@pytest.mark.parametrize("status", [429, 503])
def test_an_upload_that_is_repeated_keeps_its_name_and_another_one_has_its_own(
    status: int, relay: RelayProcess, platform: Platform
) -> None:
    platform.status = status
    platform.open()
    sender = threading.Thread(
        target=lambda: relay.post("/model/upload", b"x", kind="multipart/form-data")
    )
    sender.start()
    until(lambda: len(platform.calls) >= 2)
    platform.status = 200
    sender.join(20)
    names = {delivery for _, delivery, _ in platform.calls}
    assert len(names) == 1
    assert names.pop().startswith("7:")
    relay.post("/model/upload", b"x", kind="multipart/form-data")
    assert platform.calls[-1][1] not in {delivery for _, delivery, _ in platform.calls[:-1]}


def test_malformed_calls_are_answered_in_words(relay: RelayProcess) -> None:
    assert relay.post("/task/attribute/update", b"{not json")[1]["code"] == "InvalidParameter"
    assert relay.post("/task/attribute/update", b"[1]")[1]["code"] == "InvalidParameter"
    assert relay.post("/no/such/call", {})[1]["code"] == "NotFound"


def test_a_listening_socket_can_be_inherited_so_that_the_task_need_not_wait(
    tmp_path: Path, platform: Platform
) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = {
        "url": f"http://127.0.0.1:{platform.port}/kpl/runtime",
        "token": TOKEN,
        "metric_token": "word",
        "task_id": 7,
        "spool": str(tmp_path / "spool"),
        "listen_fd": listener.fileno(),
    }
    (tmp_path / "relay.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "kpl_lab.engines.local.relay", "--config", tmp_path / "relay.json"],
        pass_fds=[listener.fileno()],
        stderr=subprocess.DEVNULL,
    )
    connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=20)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    process.terminate()
    assert process.wait(20) == 0
    listener.close()


def test_a_delivery_that_the_platform_fails_at_does_not_keep_those_after_it(
    tmp_path: Path, platform: Platform
) -> None:
    relay = RelayProcess(tmp_path, platform, digest_seconds=0.2)
    platform.status = 500
    platform.open()
    relay.post("/task/attribute/update", progress(0.1))
    relay.post("/task/attribute/update", progress(0.2))
    until(lambda: platform.calls != [] and platform.calls[-1][2]["value"] == 0.2)
    assert [call[2]["value"] for call in platform.calls].count(0.1) > 1
    platform.status = 503
    seen = len(platform.calls)
    relay.post("/task/attribute/update", progress(0.3))
    until(lambda: len(platform.calls) > seen + 8)
    platform.status = 200
    assert relay.end() == 0
    assert platform.calls[-1][2]["value"] == 0.3
