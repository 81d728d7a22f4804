"""The relay's HTTP half: checks who speaks, stores, answers as the original platform did."""

from __future__ import annotations

import hmac
import http.client
import json
import logging
import secrets
import socket
import tempfile
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING, Any

from kpl_lab.retry import backoff

if TYPE_CHECKING:
    from kpl_lab.engines.local.relay import RelayConfig
    from kpl_lab.engines.local.spool import Spool

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
UPLOAD_TRIES_SECONDS = 900.0
COPY_BYTES = 1024 * 1024
TOO_MANY = 429
# A longer rest than this is not taken on anybody's word.
LONGEST_ASKED_SECONDS = 60.0

# Calls that carry the JWT in the Authorization header and name their task in the body.
TASK_CALLS = {"/task/attribute/update", "/task/stop", "/task/metrics/batch"}
# Calls of clients 0.0.2 to 0.1.2: the word in the body's "token" is all they show.
METRIC_CALLS = {"/uploadTaskMetrics", "/updateTaskAttribute"}
UPLOAD_CALLS = {
    "/dataset/upload",
    "/dataset_fs/upload",
    "/model/upload",
    "/algorithm/upload",
    "/upload/dataset",
    "/upload/dataset_fs",
    "/upload/model",
}


class _GateConnection(http.client.HTTPConnection):
    """A connection that begins at a Unix socket."""

    def __init__(self, gate: str, host: str, *, timeout_seconds: float) -> None:
        super().__init__(host, timeout=timeout_seconds)
        self._gate = gate
        self._timeout_seconds = timeout_seconds

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self._timeout_seconds)
        self.sock.connect(self._gate)


def connection_to(config: RelayConfig, *, timeout_seconds: float) -> http.client.HTTPConnection:
    """Return a connection to the platform, not yet opened."""
    target = urllib.parse.urlsplit(config.url)
    host = target.hostname or "127.0.0.1"
    if config.gate is not None:
        return _GateConnection(config.gate, host, timeout_seconds=timeout_seconds)
    return http.client.HTTPConnection(host, target.port, timeout=timeout_seconds)


def seconds_asked(answer: http.client.HTTPResponse) -> float:
    """Return how long an answer asks to wait (RFC 9110, ``Retry-After`` in seconds); 0: it does not.

    The header's other form, a date, is left to the back-off.
    """
    text = answer.getheader("Retry-After") or ""
    is_number = text.isascii() and text.isdigit()
    return min(float(text), LONGEST_ASKED_SECONDS) if is_number else 0.0


class RelayServer(ThreadingHTTPServer):
    """An HTTP server on a socket that is already bound."""

    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        handler: type[BaseHTTPRequestHandler],
        config: RelayConfig,
        spool: Spool,
    ) -> None:
        super().__init__(listener.getsockname()[:2], handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.config = config
        self.spool = spool


class RelayHandler(BaseHTTPRequestHandler):
    """Answers one connection of the task."""

    protocol_version = "HTTP/1.1"
    # Head and body leave in two writes; Nagle's algorithm would hold the second for 40 ms.
    disable_nagle_algorithm = True
    server: RelayServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing per request: a task may send thousands a second."""

    def do_GET(self) -> None:
        """Answer a health check; everything else is a POST."""
        if self.path == "/healthz":
            self._answer({"code": "Success", "msg": "", "data": None})
        else:
            self._refuse(404, "NotFound", f"{self.path} is not a call of the platform.")

    def do_POST(self) -> None:
        """Store a message or an upload."""
        # Clients 0.0.7 to 0.1.2 join base and path with a double slash.
        path = "/" + urllib.parse.urlsplit(self.path.lstrip("/")).path.lstrip("/")
        if path in UPLOAD_CALLS:
            self._upload(path)
        elif path in TASK_CALLS or path in METRIC_CALLS:
            self._message(path)
        else:
            self.close_connection = True
            self._refuse(404, "NotFound", f"{path} is not a call of the platform.")

    def _message(self, path: str) -> None:
        size = self._content_length()
        if size is None or size > MAX_MESSAGE_BYTES:
            self.close_connection = True
            self._refuse(413, "TooLarge", f"A call may hold {MAX_MESSAGE_BYTES} bytes.")
            return
        try:
            body = json.loads(self.rfile.read(size) or b"{}")
        except ValueError:
            self._refuse(400, "InvalidParameter", "The body is not JSON.")
            return
        if not isinstance(body, dict):
            self._refuse(400, "InvalidParameter", "The body is not a JSON object.")
            return
        if not self._is_ours(path, body):
            self._refuse(403, "Forbidden", "This token does not belong to this task.")
            return
        try:
            self.server.spool.append({"path": path, "body": body})
        except OSError as error:
            self._refuse(507, "StorageFull", f"The platform's disk has no room: {error.strerror}.")
            return
        self._answer({"code": "Success", "msg": "", "data": None})

    def _is_ours(self, path: str, body: dict[str, Any]) -> bool:
        config = self.server.config
        if path in METRIC_CALLS:
            return hmac.compare_digest(str(body.get("token", "")), config.metric_token)
        return self._shows_token() and str(body.get("task_id")) == str(config.task_id)

    def _shows_token(self) -> bool:
        shown = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        return hmac.compare_digest(shown.encode(), self.server.config.token.encode())

    def _content_length(self) -> int | None:
        text = self.headers.get("Content-Length") or ""
        return int(text) if text.isdigit() else None

    def _upload(self, path: str) -> None:
        if not self._shows_token():
            self.close_connection = True
            self._refuse(403, "Forbidden", "This token does not belong to this task.")
            return
        with tempfile.TemporaryFile(dir=self.server.config.spool) as kept:
            try:
                size = self._receive(kept)
            except OSError as error:
                self.close_connection = True
                self._refuse(507, "StorageFull", f"The upload could not be kept: {error}.")
                return
            status, body = self._forward(path, kept, size)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _receive(self, kept: IO[bytes]) -> int:
        """Copy the body, with a length or in chunks, into ``kept``; return its size."""
        length = self._content_length()
        if length is not None:
            self._copy(kept, length)
        elif "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            while size := int(self.rfile.readline(1024).split(b";")[0], 16):
                self._copy(kept, size)
                self.rfile.readline(16)
            self.rfile.readline(16)
        return kept.tell()

    def _copy(self, kept: IO[bytes], size: int) -> None:
        while size > 0:
            part = self.rfile.read(min(COPY_BYTES, size))
            if not part:
                raise OSError("the client went away")
            kept.write(part)
            size -= len(part)

    def _forward(self, path: str, kept: IO[bytes], size: int) -> tuple[int, bytes]:
        """Send the upload until the platform has answered; its answer is the client's."""
        config, waited = self.server.config, 0.0
        # One name for all tries: the platform may have saved it before its answer was lost.
        delivery = f"{config.task_id}:{self.server.spool.instance}:{secrets.token_hex(8)}"
        for pause in backoff(0.1, max_seconds=5.0):
            wait = pause
            try:
                status, body, asked = self._send(path, kept, size, delivery)
            except (OSError, http.client.HTTPException) as error:
                log.info("upload waits: %s", error)
            else:
                if (status < 500 and status != TOO_MANY) or status == 507:
                    return status, body
                wait = max(pause, asked)
            if waited > UPLOAD_TRIES_SECONDS:
                break
            waited += wait
            time.sleep(wait)
        message = f"The platform did not answer for {UPLOAD_TRIES_SECONDS:.0f} seconds."
        return 503, json.dumps({"code": "Unavailable", "msg": message, "data": None}).encode()

    def _send(
        self, path: str, kept: IO[bytes], size: int, delivery: str
    ) -> tuple[int, bytes, float]:
        """Send the upload once; return status, body, and how long the answer asks to wait."""
        target = urllib.parse.urlsplit(self.server.config.url)
        connection = connection_to(self.server.config, timeout_seconds=UPLOAD_TRIES_SECONDS)
        try:
            connection.putrequest("POST", target.path + path)
            connection.putheader("Authorization", self.server.config.token)
            connection.putheader("Content-Type", self.headers.get("Content-Type") or "")
            connection.putheader("Content-Length", str(size))
            connection.putheader("X-KPL-Delivery", delivery)
            connection.endheaders()
            kept.seek(0)
            while part := kept.read(COPY_BYTES):
                connection.send(part)
            answer = connection.getresponse()
            return answer.status, answer.read(), seconds_asked(answer)
        finally:
            connection.close()

    def _answer(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._answer({"code": code, "msg": message, "data": None}, status)
