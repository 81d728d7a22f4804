"""Processes of the platform as they really run: each with a home, on one database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
from sqlalchemy import make_url

from kpl_lab.settings import Home, Secret, free_ports, load

PATIENCE_SECONDS = 90.0
CATALOG = """\
version: 1
images:
  - {{name: {name}, title: Something, default: true, environment: {environment}}}
"""


def until(is_so: Callable[[], object], what: str = "it") -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


class Place:
    """A home, and the processes that were started in it."""

    def __init__(self, root: Path, url: str, hub_port: int = 1) -> None:
        self.home = Home(root)
        for folder in (self.home.run, self.home.platform, self.home.storage, self.home.secrets):
            folder.mkdir(parents=True, exist_ok=True)
        for name in Secret:
            (self.home.secrets / name).write_text(f"{name}-of-enough-characters-for-any-key")
        self.url = url
        self.port = free_ports(1)[0]
        self.hub_port = hub_port
        self._started: list[subprocess.Popen[bytes]] = []
        self._variables = {"KPL_HOME": str(root), "KPL_DATABASE_URL": url}
        load({**self._variables, "KPL_PORT": str(free_ports(1)[0])})
        self._say("platform", self.port)
        self._say("hub", hub_port)

    def _say(self, name: str, port: int) -> None:
        kept = json.loads(self.home.settings.read_text())
        self.home.settings.write_text(json.dumps({**kept, name: port}))

    def start(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a process of the platform."""
        log = (self.home.root / f"{module}.log").open("ab")
        command = [sys.executable, "-P", "-m", module, *words]
        variables = {**os.environ, **self._variables}
        with log:
            made = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        self._started.append(made)
        return made

    def catalog(self, name: str) -> None:
        """Let the administrator's file name one image; who acts takes it up within a second."""
        text = CATALOG.format(name=name, environment=sys.prefix)
        fresh = self.home.root / "images.new"
        fresh.write_text(text)
        fresh.replace(self.home.root / "images.yml")

    def said(self, module: str) -> str:
        path = self.home.root / f"{module}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def close(self) -> None:
        for one in self._started:
            if one.poll() is None:
                one.send_signal(signal.SIGCONT)
                one.kill()
            one.wait()


def ask(url: str, question: str) -> list[tuple[object, ...]]:
    """Ask a PostgreSQL something, past everything of ours."""
    found = make_url(url)
    with psycopg.connect(
        host=str(found.query["host"]), dbname=found.database, user=found.username
    ) as connection:
        return connection.execute(question.encode()).fetchall()


def is_ready(port: int) -> bool:
    """Say whether an API answers on a port of the loopback, and knows its catalog."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/kpl/api/v1/readyz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
