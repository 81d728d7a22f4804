"""A small platform over real HTTP, and scripts that run against it as real processes."""

from __future__ import annotations

import email.parser
import email.policy
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kpl_helper import _numbers, _sender, base, parameter

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "jwt-of-task-7"
SUCCESS = {"code": "Success", "msg": "", "data": None}


class Platform:
    """Answers as the platform does, keeps what it got, and misbehaves on request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.requests: list[dict[str, Any]] = []
        self.uploads: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        #: What the next requests are answered with: a status, an answer, or "hang up" after storing.
        self.misbehaviour: list[int | str | dict[str, Any]] = []
        #: Requests wait for it.
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.keep_uploads = True
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"platform": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.gate.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def note(self, request: dict[str, Any]) -> None:
        with self.arrived:
            self.requests.append(request)
            self.arrived.notify_all()

    def wait_for(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        with self.arrived:
            assert self.arrived.wait_for(condition, seconds), self.requests

    @property
    def batches(self) -> list[dict[str, Any]]:
        """Batches that were taken, each id once."""
        taken: dict[str, dict[str, Any]] = {}
        for request in self.requests:
            if request["path"] == "/task/metrics/batch" and request["taken"]:
                taken.setdefault(request["json"]["batch_id"], request["json"])
        return list(taken.values())

    def points(self, title: str, series: str) -> list[tuple[Any, Any]]:
        return [
            pair
            for batch in self.batches
            for part in batch["points"]
            if (part["title"], part["series"]) == (title, series)
            for pair in zip(part["x"], part["y"], strict=True)
        ]

    def latest(self, key: str) -> Any:
        values = [batch[key] for batch in self.batches if batch[key] not in (None, [], {})]
        return values[-1] if values else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    platform: Platform

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        platform = self.platform
        platform.entered.set()
        answer = platform.misbehaviour.pop(0) if platform.misbehaviour else SUCCESS
        if answer == "unread":
            self._answer(413, {"code": "TooLarge", "msg": "too large", "data": None})
            self.close_connection = True
            return
        request: dict[str, Any] = {"path": self.path, "headers": dict(self.headers.items())}
        length = int(self.headers["Content-Length"])
        if self.headers["Content-Type"].startswith("multipart/"):
            request["form"] = self._form(length)
        else:
            request["json"] = json.loads(self.rfile.read(length))
        platform.gate.wait()
        request["taken"] = answer in (SUCCESS, "hang up")
        platform.note(request)
        if answer == "hang up":
            self.close_connection = True
        elif isinstance(answer, dict):
            self._answer(200, answer)
        else:
            self._answer(int(answer), {"code": "Broken", "msg": "on purpose", "data": None})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        if body is SUCCESS and self.path.endswith("/upload"):
            body = {**SUCCESS, "data": {"id": 5, "name": "saved"}}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _form(self, length: int) -> dict[str, Any]:
        if not self.platform.keep_uploads:
            left = length
            while left:
                left -= len(self.rfile.read(min(left, 1 << 20)))
            return {"length": length}
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        parser = email.parser.BytesParser(policy=email.policy.HTTP)
        message = parser.parsebytes(head + self.rfile.read(length))
        form: dict[str, Any] = {}
        for part in message.iter_parts():
            name = part.get_param("name", header="content-disposition")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            form[str(name)] = content if name == "file" else content.decode("utf-8")
            if name == "file":
                form["file_name"] = part.get_filename()
        return form


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A running platform."""
    platform = Platform(tmp_path)
    platform.start()
    yield platform
    platform.stop()


def task_environment(url: str, **more: str) -> dict[str, str]:
    """The variables of a task, and of nothing else of KPL."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KPL_")}
    return clean | {
        "KPL_INNER": "1",
        "KPL_ENV": "pipeline",
        "KPL_ENV_TASK_ID": "7",
        "KPL_ENV_INTERNAL_API_HOST": url,
        "KPL_TOKEN": TOKEN,
        "KPL_ENV_PARAMETER": "{}",
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


class Script:
    """One running script; waits for lines that it prints."""

    def __init__(self, source: str, folder: Path, environment: dict[str, str]) -> None:
        path = folder / "script.py"
        path.write_text(source, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, str(path)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def wait_for(self, text: str) -> None:
        assert self.process.stdout is not None
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"ended without {text!r}: {self.output}"
            self.output += line

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        output, _ = self.process.communicate(timeout=60)
        self.output += output
        return self.process.returncode


@pytest.fixture
def start(tmp_path: Path, platform: Platform) -> Iterator[Callable[..., Script]]:
    """Start a script as a task of the platform; keyword arguments are further variables."""
    scripts: list[Script] = []

    def run(source: str, **variables: str) -> Script:
        script = Script(source, tmp_path, task_environment(platform.url, **variables))
        scripts.append(script)
        return script

    yield run
    for script in scripts:
        if script.process.poll() is None:
            script.process.kill()
        script.process.communicate()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set the variables of this process and forget what the client had read before."""

    def put(variables: dict[str, str]) -> None:
        for key in [key for key in os.environ if key.startswith("KPL_")]:
            monkeypatch.delenv(key)
        for key, value in variables.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(base, "_config", None)
        monkeypatch.setattr(parameter, "_parameter", None)
        monkeypatch.setattr(_sender, "_sender", None)
        monkeypatch.setattr(_numbers, "_told", set())

    before = signal.getsignal(signal.SIGTERM)
    put({})
    yield put
    if _sender._sender is not None:
        _sender._sender.flush(0.0 if not os.environ.get("KPL_INNER") else 1.0)
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def as_task(environment: Callable[..., None], platform: Platform) -> Callable[..., None]:
    """Make this process a task of the platform; keyword arguments are further variables."""

    def put(**more: str) -> None:
        everything = task_environment(platform.url, **more)
        environment({key: value for key, value in everything.items() if key.startswith("KPL_")})

    put()
    return put
