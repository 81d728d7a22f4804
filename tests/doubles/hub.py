"""As much of a hub as a notebook server asks for: every token and every code are alice's."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

SCOPES = ["access:servers!user=alice"]


@dataclass
class Hub:
    """Its address, what it says that a token covers, and what was asked of it."""

    url: str = ""
    scopes: list[str] = field(default_factory=lambda: list(SCOPES))
    asked: list[str] = field(default_factory=list)

    def variables(self, url: str) -> dict[str, str]:
        """Return what the hub gives a server of alice's that is to answer at ``url``."""
        return {
            "JUPYTERHUB_API_TOKEN": "t0ken",
            "JUPYTERHUB_API_URL": f"{self.url}/hub/api",
            "JUPYTERHUB_ACTIVITY_URL": f"{self.url}/hub/api/users/alice/activity",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-alice",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(SCOPES),
            "JUPYTERHUB_OAUTH_CALLBACK_URL": "/user/alice/oauth_callback",
            "JUPYTERHUB_SERVICE_PREFIX": "/user/alice/",
            "JUPYTERHUB_SERVICE_URL": url,
            "JUPYTERHUB_USER": "alice",
        }

    def answer(self) -> bytes:
        """Return what serves as version, user and token."""
        alice = {"name": "alice", "kind": "user", "admin": False, "scopes": self.scopes}
        return json.dumps({"version": "6.1.1", "access_token": "alices", **alice}).encode()


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Run it."""
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            hub.asked.append(f"{self.command} {self.path.partition('?')[0]}")
            answer = hub.answer()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-JupyterHub-Version", "6.1.1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{found.server_address[1]}"
    thread = threading.Thread(target=found.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        found.shutdown()
        found.server_close()
        thread.join()
