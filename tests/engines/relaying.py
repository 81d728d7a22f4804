"""A relay as its own process, and a small HTTP server in the place of its platform."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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
        self.retry_after: str | None = None
        self.times: list[float] = []
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
                platform.times.append(time.monotonic())
                platform.calls.append((self.path, delivery, json.loads(body) if is_json else body))
                answer = b'{"code": "Success", "msg": "", "data": {"version": 2}}'
                self.send_response(platform.status)
                self.send_header("Content-Length", str(len(answer)))
                if platform.retry_after is not None:
                    self.send_header("Retry-After", platform.retry_after)
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


def progress(value: float) -> dict[str, Any]:
    return {"task_id": 7, "type": "progress", "name": "progress", "value": value}
