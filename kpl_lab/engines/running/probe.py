"""Health checks that never block: a TCP connect, or a GET whose status line is looked at."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Sequence

_WORKING = (errno.EINPROGRESS, errno.EAGAIN, errno.EALREADY)


class Probe:
    """One check under way of ``host:port``.

    Parameters
    ----------
    path
        Path to GET, good when it answers below 400; None: a connection is enough.
    timeout_seconds
        When it counts as failed.
    """

    def __init__(
        self, port: int, path: str | None, timeout_seconds: float, *, host: str = "127.0.0.1"
    ) -> None:
        self._path = path
        self._deadline = time.monotonic() + timeout_seconds
        self._answer = b""
        self._is_sent = False
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._address = (host, port)
        self._error = self._socket.connect_ex(self._address)

    def result(self) -> bool | None:
        """Return how it went; None while it is under way."""
        outcome = self._step()
        if outcome is None and time.monotonic() > self._deadline:
            outcome = False
        if outcome is not None:
            self.close()
        return outcome

    def close(self) -> None:
        """Give it up."""
        self._socket.close()

    def _step(self) -> bool | None:
        if self._error in _WORKING:
            self._error = self._socket.connect_ex(self._address)
            if self._error == errno.EISCONN:
                self._error = 0
        if self._error in _WORKING:
            return None
        if self._error:
            return False
        if self._path is None:
            return True
        try:
            return self._ask(self._path)
        except OSError:
            return False

    def _ask(self, path: str) -> bool | None:
        if not self._is_sent:
            request = (
                f"GET {path} HTTP/1.1\r\nHost: {self._address[0]}\r\nConnection: close\r\n\r\n"
            )
            self._socket.send(request.encode())
            self._is_sent = True
        with contextlib.suppress(BlockingIOError):
            data = self._socket.recv(256)
            if not data:
                return False
            self._answer += data
        if b"\r\n" not in self._answer:
            return None
        words = self._answer.split(None, 2)
        return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1] < b"400"


def free_port(seed: int, among: Sequence[int]) -> int:
    """Return a port of the loopback, one of ``among``, that nobody listens on.

    Raises
    ------
    OSError
        There is none.
    """
    start = os.getpid() * 7919 + seed * 104_729 + time.time_ns() // 1000
    for step in range(len(among)):
        port = among[(start + step) % len(among)]
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                trial.bind(("127.0.0.1", port))
                return port
    raise OSError(errno.EADDRINUSE, "no port of the loopback is free")
