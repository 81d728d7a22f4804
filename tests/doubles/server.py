"""The platform in memory behind a real port."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import uvicorn

from tests.doubles.platform import Platform
from tests.doubles.routes import Routes


class Server:
    """The double on a free port, in a thread; it can be taken away and come back."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._app = Routes(platform).app()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        """Address of the front door."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; the second time on the same port."""
        config = uvicorn.Config(
            self._app, "127.0.0.1", self.port, log_level="critical", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        socket = config.bind_socket()
        self.port = socket.getsockname()[1]
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [socket]}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.005)

    def stop(self) -> None:
        """Go away, cutting what is open."""
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(10)


@contextlib.contextmanager
def running(platform: Platform) -> Iterator[Server]:
    """Run the double."""
    server = Server(platform)
    try:
        yield server
    finally:
        server.stop()
