"""An installation that is asked through ``kpl`` alone, as from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import websocket

from tests.docker_installation import docker_installation
from tests.engines.docker_harness import TestDaemon
from tests.installation import Installation, running_installation
from tests.kubernetes.harness import why_not
from tests.kubernetes_installation import kubernetes_installation
from tests.said import Said

MANIFEST = """\
version: 1
image: {{from_image: python:3.11}}
{function}:
  resource: {{limits: {{cpu: 1, memory: {memory}}}}}
  cmd: python3 main.py
"""


@dataclass(frozen=True)
class Terminal:
    """A user at a prompt, with a folder of their own."""

    installation: Installation
    folder: Path

    def kpl(self, *words: object, seconds: float = 120) -> Said:
        """Run ``kpl`` with ``--json``, however it ends."""
        done = self.installation.run("kpl", *map(str, words), "--json", seconds=seconds)
        return Said(done.returncode, done.stdout, done.stderr.strip())

    def done(self, *words: object, seconds: float = 120) -> Any:
        """Run ``kpl``, which has to succeed; return what it says."""
        said = self.kpl(*words, seconds=seconds)
        assert said.code == 0, f"kpl {words}: {said}"
        return said.json

    def kpl_text(self, *words: object) -> str:
        """Run ``kpl`` without ``--json``, which has to succeed; return what it prints."""
        return self.installation.run("kpl", *map(str, words)).stdout

    def refused(self, *words: object, code: int = 1) -> str:
        """Run ``kpl``, which has to refuse; return its one sentence."""
        said = self.kpl(*words)
        assert said.code == code, said
        assert "Traceback" not in said.err, said.err
        assert said.err.startswith(("kpl: ", "Usage: ")), said.err
        return said.err

    def in_server(self, folder: str) -> set[str]:
        """Return what JupyterLab lists in a folder of the running server's home."""
        known = self.installation.credentials
        answer = httpx.get(
            f"{self.installation.url}/user/{known['username']}/api/contents/{folder}",
            headers={"Authorization": f"token {known['token']}"}, timeout=30, trust_env=False,
        )  # fmt: skip
        assert answer.status_code == 200, answer.text
        return {one["name"] for one in answer.json()["content"]}

    def write(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """Make a folder."""
        for path, content in files.items():
            place = self.folder / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.folder / name

    def code(self, name: str, program: str, *, function: str = "train", memory: int = 256) -> Path:
        """Make a code folder of one program."""
        manifest = MANIFEST.format(function=function, memory=memory)
        return self.write(name, {"environment.yml": manifest, "main.py": program})

    def failed(self, name: str, program: str, *, memory: int = 256) -> Any:
        """Run a program that fails; return the task."""
        code = self.code(name, program, memory=memory)
        said = self.kpl("task", "submit", "--code", code, "--wait")
        assert said.code == 1, said
        assert said.json["state"] == "failed", said
        assert said.json["message"] in said.err
        return said.json


class Shell:
    """A terminal of a running notebook server: what a user types there, and what it prints."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._count = 0

    def run(self, line: str) -> str:
        """Run one line to its end; return what it has printed."""
        self._count += 1
        # Typed so that the line's own echo does not look like its end.
        self._socket.send(json.dumps(["stdin", f"{line}; echo end'-'{self._count}\r"]))
        said, end = "", f"end-{self._count}\r\n"
        while end not in said:
            kind, *data = json.loads(self._socket.recv())
            said += data[0] if kind == "stdout" else ""
        _, _, printed = said.partition(f"end'-'{self._count}\r\n")
        return printed.replace(end, "").replace("\r\n", "\n")


@contextmanager
def shell(installation: Installation) -> Iterator[Shell]:
    """Open a terminal in the administrator's notebook server."""
    known = json.loads((installation.home / "credentials.json").read_text())
    headers = {"Authorization": f"token {known['token']}"}
    url = f"{known['url'].rstrip('/')}/user/{known['username']}"
    name = httpx.post(f"{url}/api/terminals", headers=headers).raise_for_status().json()["name"]
    socket = websocket.create_connection(
        f"{url.replace('http', 'ws', 1)}/terminals/websocket/{name}",
        header=[f"Authorization: {headers['Authorization']}"],
        timeout=400,
    )
    try:
        socket.send(json.dumps(["set_size", 50, 10_000]))
        yield Shell(socket)
    finally:
        socket.close()


@pytest.fixture(scope="session")
def on_local() -> Iterator[Installation]:
    """An installation that everything in this folder shares."""
    with running_installation("kpl-walk-") as found:
        yield found


@pytest.fixture(scope="module")
def installation(on_local: Installation) -> Installation:
    """Where ``kpl`` works; modules may choose others."""
    return on_local


@pytest.fixture(scope="session")
def on_docker(daemon: TestDaemon) -> Iterator[Installation]:
    """An installation on Docker, whose base image is made on the spot."""
    with docker_installation("kpl-dock-", daemon) as found:
        yield found


@pytest.fixture(scope="session")
def on_kubernetes() -> Iterator[Installation]:
    """An installation on the cluster of ``KUBECONFIG``."""
    if reason := why_not():
        pytest.skip(reason)
    with kubernetes_installation("kpl-kube-") as found:
        yield found


@pytest.fixture
def terminal(installation: Installation, tmp_path: Path) -> Terminal:
    return Terminal(installation, tmp_path)
