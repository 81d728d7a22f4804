"""JupyterHub as it comes, from our own environment, and what one asks a hub for."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import bcrypt
import httpx
import psutil

from benchmarks._common import until
from tests.installation import free_port

USER = "ada"
# The proxy is the one that we use, and its password is hashed as cheaply: at the usual cost, every
# start would take half a second longer, which is not what is to be compared here.
CONFIG = """
c.JupyterHub.authenticator_class = "null"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.proxy_class = "traefik_file"
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_port = {hub_port}
c.TraefikFileProviderProxy.traefik_api_url = "http://127.0.0.1:{api_port}"
c.TraefikFileProviderProxy.traefik_api_username = "bench"
c.TraefikFileProviderProxy.traefik_api_password = "{token}"
c.TraefikFileProviderProxy.traefik_api_hashed_password = "{hashed}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "bench",
    "scopes": ["admin:users", "admin:servers", "access:servers"],
    "services": ["bench"],
}}]
c.SimpleLocalProcessSpawner.home_dir_template = "{folder}/homes/{{username}}"
c.SimpleLocalProcessSpawner.args = ["--allow-root"]
c.Spawner.default_url = "/lab"
"""


class Hub:
    """A hub behind its front door, ours or another.

    Parameters
    ----------
    url
        Address of the front door.
    token
        Of somebody who may start and use the user's server.
    user
        Whose server.
    """

    def __init__(self, url: str, token: str, user: str) -> None:
        self.url, self.token, self.user = url, token, user
        headers = {"Authorization": f"token {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False)

    def ask(self, method: str, path: str) -> httpx.Response:
        """Send one request, whatever comes of it."""
        return self._http.request(method, path)

    def answers(self) -> bool:
        """Tell whether the hub is there."""
        try:
            return self.ask("GET", "/hub/api/").status_code == 200
        except httpx.TransportError:
            return False

    def start(self) -> float:
        """Start the server; return the seconds from the request until JupyterLab's page came.

        Raises
        ------
        RuntimeError
            The hub says that it did not start, or its page does not come.
        """
        began = time.perf_counter()
        path = f"/hub/api/users/{self.user}/server"
        self.ask("POST", path).raise_for_status()
        self._follow(f"{path}/progress", time.monotonic() + 90)
        answer = self.ask("GET", f"/user/{self.user}/lab")
        seconds = time.perf_counter() - began
        if answer.status_code != 200 or "jupyter-config-data" not in answer.text:
            raise RuntimeError(f"JupyterLab's page answers with {answer.status_code}")
        return seconds

    def _follow(self, path: str, deadline: float) -> None:
        """Wait for a server as the hub's own page does; asking again and again would slow it down."""
        with self._http.stream("GET", path) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if event.get("ready"):
                    return
                if event.get("failed") or time.monotonic() > deadline:
                    raise RuntimeError(f"the server of {self.user} did not start: {event}")
        raise RuntimeError(f"the hub stopped to tell how the server of {self.user} starts")

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        self.ask("DELETE", f"/hub/api/users/{self.user}/server").raise_for_status()
        until(self._has_none, f"the end of the server of {self.user}")

    def _has_none(self) -> bool:
        return not self.ask("GET", f"/hub/api/users/{self.user}").json()["servers"]


@contextmanager
def plain_hub(
    *,
    python: Path | None = None,
    more: str = "",
    variables: Mapping[str, str] | None = None,
) -> Iterator[Hub]:
    """Run JupyterHub, with its simple spawner or another; end it and everything that it started.

    Parameters
    ----------
    python
        Of the environment that has it; None: ours.
    more
        Further lines of its configuration.
    variables
        Further variables of its environment.

    Raises
    ------
    RuntimeError
        It did not start, or left a process behind.
    """
    with tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder:
        hub = Hub(f"http://127.0.0.1:{free_port()}", secrets.token_hex(16), USER)
        Path(folder, "config.py").write_text(_config(hub, folder) + more)
        Path(folder, "homes").mkdir()
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(
                [python or sys.executable, "-m", "jupyterhub", "-f", "config.py"],
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**_variables(python), **(variables or {})},
            )
            try:
                _wait_for(hub, process, Path(folder, "log"))
                yield hub
            finally:
                _end(process)


def _config(hub: Hub, folder: str) -> str:
    return CONFIG.format(
        port=hub.url.rpartition(":")[2],
        hub_port=free_port(),
        api_port=free_port(),
        token=hub.token,
        hashed=bcrypt.hashpw(hub.token.encode(), bcrypt.gensalt(4)).decode(),
        folder=folder,
    )


def _variables(python: Path | None) -> dict[str, str]:
    ours = ("KPL_", "JUPYTER")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "PATH": f"{Path(python or sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def _wait_for(hub: Hub, process: subprocess.Popen[bytes], log: Path) -> None:
    def is_settled() -> bool:
        return process.poll() is not None or hub.answers()

    try:
        until(is_settled, "the plain hub", seconds=90, pause=0.1)
        hub.ask("POST", f"/hub/api/users/{USER}").raise_for_status()
    except (TimeoutError, httpx.HTTPError) as error:
        told = log.read_text("utf-8")[-2000:]
        raise RuntimeError(f"the plain hub did not start: {error}\n{told}") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        started = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        started = []
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(started, timeout=10)
    for one in left:
        one.kill()
    if left:
        raise RuntimeError(f"the plain hub left behind: {left}")
