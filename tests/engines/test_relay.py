"""The relay: a task's clients never notice that the platform is away, and nothing arrives twice."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.local.spool import Spool
from kpl_lab.engines.local.tensorboard import EventFollower, masked_crc, read_events
from kpl_lab.trees import remove_tree
from tests.places import nest

TOKEN = "header.payload.signature"


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    """Wait for a condition; fail when it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


class Platform:
    """A small real HTTP server in the platform's place; may be shut and opened on its port."""

    def __init__(self) -> None:
        self.port = self._free_port()
        self.calls: list[tuple[str, str, Any]] = []
        self.status = 200
        self._server: ThreadingHTTPServer | None = None

    @staticmethod
    def _free_port() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    def open(self) -> None:
        platform = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                delivery = self.headers.get("X-KPL-Delivery", "")
                is_json = "json" in self.headers["Content-Type"]
                platform.calls.append((self.path, delivery, json.loads(body) if is_json else body))
                answer = b'{"code": "Success", "msg": "", "data": {"version": 2}}'
                self.send_response(platform.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def shut(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class RelayProcess:
    """A relay as its own process, as a task has it."""

    def __init__(self, folder: Path, platform: Platform, **more: Any) -> None:
        self.folder = folder
        self.config = folder / "relay.json"
        self.port_file = folder / "relay.port"
        facts = {
            "url": f"http://127.0.0.1:{platform.port}/kpl/runtime",
            "token": TOKEN,
            "metric_token": "word",
            "task_id": 7,
            "spool": str(folder / "spool"),
            "port_file": str(self.port_file),
            "event_poll_seconds": 0.05,
            "unknown": "ignored",
        }
        self.config.write_text(json.dumps(facts | more))
        self.start()

    def start(self) -> None:
        self.port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kpl_lab.engines.local.relay", "--config", str(self.config)],
            stderr=subprocess.DEVNULL,
        )
        until(self.port_file.exists)
        self.port = int(self.port_file.read_text())

    def post(
        self, path: str, body: Any, token: str = TOKEN, kind: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", path, data, {"Authorization": token, "Content-Type": kind})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        return answer.status, found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()
    yield made
    made.shut()


@pytest.fixture
def relay(tmp_path: Path, platform: Platform) -> Iterator[RelayProcess]:
    made = RelayProcess(tmp_path, platform)
    yield made
    made.process.kill()
    made.process.wait()


def progress(value: float) -> dict[str, Any]:
    return {"task_id": 7, "type": "progress", "name": "progress", "value": value}


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


def test_an_upload_that_is_repeated_keeps_its_name_and_another_one_has_its_own(
    relay: RelayProcess, platform: Platform
) -> None:
    platform.status = 503
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


def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append({"path": "/a", "body": {}})
    spool.close()
    with (tmp_path / "records").open("ab") as file:
        file.write(b'{"path": "/b", "bo')
    again = Spool(tmp_path)
    record = again.next_after(0, wait_seconds=0)
    assert record is not None
    assert record.message == {"path": "/a", "body": {}}
    assert again.next_after(record.end, wait_seconds=0) is None
    again.append({"path": "/c", "body": {}})
    following = again.next_after(record.end, wait_seconds=0)
    assert following is not None
    assert following.message == {"path": "/c", "body": {}}
    again.close()


def test_a_record_for_which_there_was_no_room_is_not_written_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append({"path": "/a"})
    size = (tmp_path / "records").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        with pytest.raises(OSError, match="too large"):
            spool.append({"path": "/refused", "body": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "records").stat().st_size == size
    spool.append({"path": "/b"})
    assert messages(spool) == [{"path": "/a"}, {"path": "/b"}]
    spool.close()
    again = Spool(tmp_path)
    assert messages(again) == [{"path": "/a"}, {"path": "/b"}]
    again.close()


def test_a_damaged_record_is_passed_over(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    (tmp_path / "records").write_bytes(b'{"path":"/a"}\n\xff{broken\n{"path":"/b"}\n')
    spool = Spool(tmp_path)
    assert messages(spool) == [{"path": "/a"}, None, {"path": "/b"}]
    spool.close()


def test_letters_of_any_kind_survive_the_queue_at_their_size(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    message = {"body": "\u8bad\u7ec3 \ud800 \u2028"}
    spool.append(message)
    assert messages(spool) == [message]
    assert "\u8bad".encode() in (tmp_path / "records").read_bytes()
    spool.close()


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


def test_many_points_go_in_calls_that_the_platform_takes(
    tmp_path: Path, platform: Platform
) -> None:
    platform.open()
    run = tmp_path / "outputs" / os.fsdecode(b"run-\xff")
    run.mkdir(parents=True)
    (run / "events.out.tfevents.1").write_bytes(_record(_event("loss", 1, 0.5)) * 50_010)
    relay = RelayProcess(tmp_path, platform, outputs=str(tmp_path / "outputs"))
    until(lambda: len(platform.calls) == 2, 60)
    assert relay.end() == 0
    bodies = [body for _, _, body in platform.calls]
    assert [len(body["points"][0]["x"]) for body in bodies] == [50_000, 10]
    assert len({body["batch_id"] for body in bodies}) == 2
    assert {body["points"][0]["series"] for body in bodies} == {"run-\ufffd"}


def test_event_files_are_found_beside_folders_of_any_depth(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    nest(outputs, 1300)
    (outputs / "events.out.tfevents.1").write_bytes(_record(_event("acc", 3, 1.0)))
    found = list(EventFollower(outputs, tmp_path / "memory.json").poll())
    assert [key for key, _ in found] == ["events.out.tfevents.1@0"]
    remove_tree(outputs)


def messages(spool: Spool) -> list[Any]:
    """Return everything that a queue holds."""
    found, offset = [], 0
    while (record := spool.next_after(offset, wait_seconds=0)) is not None:
        found.append(record.message)
        offset = record.end
    return found


def _event(tag: str, step: int, value: float) -> bytes:
    """Serialise an Event with one simple_value, as event.proto lays it out."""
    inner = b"\x0a" + bytes([len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(inner)]) + inner
    event = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + bytes([step])
    return event + b"\x2a" + bytes([len(summary)]) + summary


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    crc = struct.pack("<I", masked_crc(length))
    return length + crc + data + struct.pack("<I", masked_crc(data))


def test_event_files_become_curves_while_they_grow(tmp_path: Path, platform: Platform) -> None:
    platform.open()
    outputs = tmp_path / "outputs"
    run = outputs / "save" / "run1"
    run.mkdir(parents=True)
    relay = RelayProcess(tmp_path, platform, outputs=str(outputs))
    file = run / "events.out.tfevents.1.host"
    file.write_bytes(_record(_event("loss", 1, 0.5)) + _record(_event("loss", 2, 0.25))[:-3])
    until(lambda: len(platform.calls) == 1)
    file.write_bytes(_record(_event("loss", 1, 0.5)) + _record(_event("loss", 2, 0.25)))
    assert relay.end() == 0
    points = [p for _, _, body in platform.calls for p in body["points"]]
    assert points == [
        {"title": "loss", "series": "save/run1", "x": [1], "y": [0.5]},
        {"title": "loss", "series": "save/run1", "x": [2], "y": [0.25]},
    ]


def test_event_files_are_read_once_and_links_and_broken_ones_never(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "events.out.tfevents.1").write_bytes(_record(_event("acc", 3, 1.0)))
    (outputs / "events.out.tfevents.2").symlink_to(outputs / "events.out.tfevents.1")
    (outputs / "events.out.tfevents.3").write_bytes(b"\xff" * 64)
    memory = tmp_path / "memory.json"
    first = list(EventFollower(outputs, memory).poll())
    assert [(key, [s.value for s in found]) for key, found in first] == [
        ("events.out.tfevents.1@0", [1.0])
    ]
    assert list(EventFollower(outputs, memory).poll()) == []
    scalars, end = read_events(outputs / "events.out.tfevents.3", 0, ".")
    assert (scalars, end) == ([], 64)
