"""An installation under drill: killing its parts, and the facts that must survive."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx
import psutil

from kpl_lab.engines.local.status import Status
from kpl_lab.settings import Home
from kpl_lab.supervisor import records
from tests.installation import Installation, wait_for

API = "/kpl/api/v1"
BACK_SECONDS = 20.0
PAUSE_SECONDS = 0.02

SERVE = """
    import http.server, json, os, uuid

    WHO = uuid.uuid4().hex


    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = json.dumps({"who": WHO}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass


    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
SERVE_YML = """
    version: 1
    image: {from_image: "python:3.11"}
    deploy:
      resource: {limits: {cpu: 0.2, memory: 128}}
      cmd: python3 serve.py
      health: /
"""


def write_code(folder: Path, environment: str, **files: str) -> Path:
    """Write a code folder: ``environment.yml``, and a Python file per keyword."""
    folder.mkdir()
    (folder / "environment.yml").write_text(textwrap.dedent(environment))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def wait_closely(is_so: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Return at the very moment at which something is so: what follows aims at it."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.002)


@dataclass(frozen=True)
class Lab:
    """The installation, by its files, its processes and what ``kpl`` says."""

    installation: Installation

    @property
    def home(self) -> Home:
        """Its folders."""
        return Home(self.installation.home)

    @property
    def instance(self) -> str:
        """The word in the names of its control groups."""
        return str(json.loads(self.home.settings.read_text())["instance"])

    def kpl(self, *words: str) -> Any:
        """Run ``kpl``, which has to succeed; return what it prints with ``--json``."""
        return self.installation.kpl(*words)

    def pid(self, part: str) -> int | None:
        """Return the process id that is recorded for a part, None while it is gone."""
        found = records.read(self.home, part).identity
        return found.pid if found else None

    def kill(self, part: str) -> int:
        """Kill a part so that it cannot say good-bye; return the process id it had."""
        pid = self.pid(part)
        assert pid, f"{part} does not run"
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_back(self, part: str, old: int) -> None:
        """Return when a part that was killed has a successor that answers."""
        if part == records.SUPERVISOR:
            # Nobody looks after it; this is what a user would do.
            self.installation.up()
        wait_for(lambda: self.pid(part) not in (None, old), f"a new {part}", BACK_SECONDS)
        for path in ("/hub/api/user", f"{API}/me"):
            wait_for(lambda p=path: self.installation.get(p) == 200, path, BACK_SECONDS)  # type: ignore[misc]

    def kill_and_wait(self, part: str) -> None:
        """Kill a part and return when its successor answers."""
        self.wait_back(part, self.kill(part))

    def status(self, workload: str, replica: int = 0) -> Status | None:
        """Return what the supervisor of a replica has written."""
        return Status.read(self.home.local / "workloads" / workload / "replicas" / str(replica))

    def processes(self, workload: str, replica: int = 0) -> set[int]:
        """Return the processes below the supervisor of a replica, the relay left out."""
        status = self.status(workload, replica)
        assert status is not None and status.shim is not None, f"{workload} has no supervisor"
        below = psutil.Process(status.shim.pid).children(recursive=True)
        relay = status.relay.pid if status.relay else None
        return {one.pid for one in below if one.pid != relay}

    def deploy(self, name: str, folder: Path, *, replicas: int) -> Any:
        """Deploy a service that tells in each answer which process gave it."""
        code = write_code(folder, SERVE_YML, serve=SERVE)
        words = ("--code", str(code), "--replicas", str(replicas))
        return self.kpl("service", "deploy", name, *words)

    def wait_task(self, id: int, is_so: Callable[[Any], object], what: str) -> Any:
        """Return a task as soon as it is as ``is_so`` says."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.kpl("task", "show", str(id)))
            return bool(is_so(found))

        wait_for(look, f"{what}: {found}", 60)
        return found

    def wait_service(self, id: int, is_so: Callable[[Any], object]) -> Any:
        """Return the service as soon as it is as ``is_so`` says."""
        found: dict[str, Any] = {}

        def look() -> bool:
            found.update(self.kpl("service", "show", str(id)))
            return bool(is_so(found))

        wait_for(look, f"the service: {found}", 60)
        return found

    def ask(self, path: str) -> Any:
        """Return what the API answers."""
        answer = httpx.get(
            f"{self.installation.url}{path}",
            headers={"Authorization": f"token {self.installation.credentials['token']}"},
            trust_env=False,
        )
        return answer.raise_for_status().json()

    @staticmethod
    def pause(seconds: float) -> None:
        """Let the work that is under way go on for a while: the moment of a kill is drawn by lot."""
        time.sleep(seconds)

    def local(self, kind: str) -> set[str]:
        """Return what the local engine has of a kind."""
        folder = self.home.local / kind
        return {one.name for one in folder.iterdir()} if folder.is_dir() else set()

    def workloads(self, prefix: str) -> set[str]:
        """Return the workloads that the engine has, by the beginning of their names."""
        return {name for name in self.local("workloads") if name.startswith(prefix)}

    def stored(self, *parts: str) -> set[str]:
        """Return what lies in a folder of the store, as paths below it."""
        folder = self.installation.home.joinpath("storage", *parts)
        return {one.name for one in folder.iterdir()} if folder.is_dir() else set()


@dataclass
class Call:
    """One call of a service: when it began and ended, what went wrong, who answered."""

    began: float
    ended: float
    problem: str | None
    who: str | None = None


@dataclass
class Caller:
    """Calls a service without a break, from a thread, until it is left."""

    lab: Lab
    path: str
    calls: list[Call] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._leave = threading.Event()
        self._thread = threading.Thread(target=self._go_on)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.set()
        self._thread.join()

    @property
    def failed(self) -> list[Call]:
        """The calls that were not answered as they should."""
        return [call for call in self.calls if call.problem]

    @property
    def answered_by(self) -> set[str | None]:
        """Who has answered."""
        return {call.who for call in self.calls if not call.problem}

    def _go_on(self) -> None:
        token = self.lab.installation.credentials["token"]
        with httpx.Client(
            base_url=self.lab.installation.url,
            headers={"Authorization": f"token {token}"},
            timeout=15,
            trust_env=False,
        ) as client:
            while not self._leave.wait(PAUSE_SECONDS):
                self.calls.append(self._call(client))

    def _call(self, client: httpx.Client) -> Call:
        began = time.monotonic()
        try:
            answer = client.get(self.path)
            who = answer.json()["who"] if answer.status_code == 200 else None
            problem = None if who else f"{answer.status_code} {answer.text[:200]}"
        except (httpx.HTTPError, ValueError) as error:
            who, problem = None, f"{type(error).__name__}: {error}"
        return Call(began, time.monotonic(), problem, who)
