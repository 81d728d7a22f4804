"""A notebook server from the request to ready, beside a plain JupyterHub with the same JupyterLab."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks._common import emit
from benchmarks._installation import installation
from kpl_lab.client import Client

ROUNDS = 4
CONFIG = """
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.proxy_class = "traefik_file"
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.TraefikProxy.traefik_entrypoint = None
c.TraefikProxy.traefik_api_url = "http://127.0.0.1:{api_port}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{"name": "bench", "scopes": ["admin:users", "admin:servers"], "services": ["bench"]}}]
c.SimpleLocalProcessSpawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
"""


def _ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    found = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return found


class PlainHub:
    """JupyterHub as it comes, with its simplest spawner."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._token = url, token

    def call(self, method: str, path: str) -> dict[str, object]:
        request = urllib.request.Request(
            f"{self._url}/hub/api{path}",
            method=method,
            data=b"" if method == "POST" else None,
            headers={"Authorization": f"token {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else {}

    def start(self) -> float:
        began = time.perf_counter()
        self.call("POST", "/users/ada/server")
        while not self._is_ready():
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        self.call("DELETE", "/users/ada/server")
        while self.call("GET", "/users/ada").get("servers"):
            time.sleep(0.05)
        return seconds

    def _is_ready(self) -> bool:
        servers = self.call("GET", "/users/ada").get("servers")
        return isinstance(servers, dict) and bool(servers.get("", {}).get("ready"))


@contextmanager
def plain_hub() -> Iterator[PlainHub]:
    port, hub_port, api_port = _ports(3)
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        values = {"port": port, "hub_port": hub_port, "api_port": api_port, "token": token}
        Path(folder, "config.py").write_text(CONFIG.format(**values))
        command = [sys.executable, "-m", "jupyterhub", "-f", "config.py"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={**os.environ, "PATH": path}
            )
            try:
                hub = PlainHub(f"http://127.0.0.1:{hub_port}", token)
                _until_answers(hub, process, Path(folder, "log"))
                hub.call("POST", "/users/ada")
                yield hub
            finally:
                process.terminate()
                process.wait(60)


def _until_answers(hub: PlainHub, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            hub.call("GET", "/")
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the plain hub did not start:\n{log.read_text()[-2000:]}"
                ) from None
            time.sleep(0.2)
        else:
            return


def start_ours(client: Client) -> float:
    began = time.perf_counter()
    client.servers.start("admin", options={})
    seconds = time.perf_counter() - began
    client.servers.stop("admin")
    return seconds


def main() -> None:
    with plain_hub() as hub:
        hub.start()
        peers = [hub.start() for _ in range(ROUNDS)]
    with installation() as (client, _, _):
        start_ours(client)
        own = [start_ours(client) for _ in range(ROUNDS)]
    emit(
        "notebook server, request to ready (after the first)",
        "plain JupyterHub, simple spawner",
        "s",
        value=median(own),
        peer_value=median(peers),
        lower_is_better=True,
    )


if __name__ == "__main__":
    main()
