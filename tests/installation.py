"""A real installation for tests: up, asked, killed piece by piece, down; nothing is a double."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from kpl_lab.engines.local import processes
from tests.places import passable

ROOT = Path(__file__).parents[1]
NAMES = ("frontdoor", "hub", "platform", "controller", "runner")
COMMAND_SECONDS = 240.0
# The first start on Docker builds the base image.
UP_SECONDS = 1200.0
Found = TypeVar("Found")


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(find: Callable[[], Found | None], what: str, seconds: float = 90) -> Found:
    """Return what ``find`` returns as soon as that is true.

    Raises
    ------
    AssertionError
        It did not become true within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return found


def processes_of(home: Path) -> list[psutil.Process]:
    """Return everything that belongs to this home, by environment, folder or command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and _belongs_to(process, str(home)):
                found.append(process)
    return found


def _belongs_to(process: psutil.Process, home: str) -> bool:
    if process.status() == psutil.STATUS_ZOMBIE:
        return False
    # Not psutil's: that reads the environment of other accounts only with the right to trace.
    if any(home.encode() in variable for variable in processes.variables_of(process.pid)):
        return True
    return process.cwd().startswith(f"{home}/") or any(home in word for word in process.cmdline())


@dataclass(frozen=True)
class Installation:
    """An installation below a temporary folder, on a free port.

    ``variables`` are set for our commands, beside those that name it.
    """

    home: Path
    port: int
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Address of the front door."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which our commands find this installation."""
        named = {"KPL_HOME": str(self.home), "KPL_PORT": str(self.port)}
        return {**os.environ, **self.variables, **named}

    @property
    def engine(self) -> str:
        """What it runs its workloads on."""
        return self.variables.get("KPL_ENGINE", "local")

    @property
    def user_home(self) -> Path:
        """The home folder that the user ``admin`` sees in JupyterLab."""
        return self.home / self.engine / "homes" / "admin"

    @property
    def credentials(self) -> dict[str, str]:
        """What ``kpl-lab up`` wrote for ``kpl``."""
        found: dict[str, str] = json.loads((self.home / "credentials.json").read_text())
        return found

    @property
    def password(self) -> str:
        """Password of the user ``admin``."""
        return self.credentials["password"]

    def start(self, program: str, *words: str) -> subprocess.Popen[str]:
        """Start ``kpl`` or ``kpl-lab`` and return at once."""
        return subprocess.Popen(
            [str(Path(sys.executable).parent / program), *words],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, program: str, *words: str, seconds: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run ``kpl`` or ``kpl-lab`` to its end, however it ends."""
        with self.start(program, *words) as process:
            try:
                out, err = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def _said(self, program: str, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        done = self.run(program, *words, seconds=seconds)
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}\n{done.stdout}"
        return done.stdout

    def up(self) -> str:
        """Start what is missing, and return what was said."""
        return self._said("kpl-lab", "up", seconds=UP_SECONDS)

    def down(self) -> str:
        """End everything, and return what was said."""
        return self._said("kpl-lab", "down")

    def kpl(self, *words: str, seconds: float = COMMAND_SECONDS) -> Any:
        """Run ``kpl``, which has to succeed; return what it prints with ``--json``."""
        return json.loads(self._said("kpl", *words, "--json", seconds=seconds))

    def status(self) -> dict[str, Any]:
        """Return what ``kpl-lab status`` knows; some of it may be gone."""
        found: dict[str, Any] = json.loads(self.run("kpl-lab", "status", "--json").stdout)
        return found

    def pids(self) -> dict[str, int | None]:
        """Return the process id of each part, None while it is gone."""
        return {item["name"]: item["pid"] for item in self.status()["items"]}

    def pid(self, name: str) -> int | None:
        """Return the process id of one part, None while it is gone."""
        return self.pids()[name]

    def kill(self, name: str) -> None:
        """Kill one part so that it cannot say good-bye; wait for its successor."""
        old = self.pid(name)
        assert old, f"{name} does not run"
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.pid(name) not in (None, old), f"a new {name}")

    def get(self, path: str) -> int:
        """Return the status with which the front door answers, 0 where nobody does."""
        try:
            answer = httpx.get(
                f"{self.url}{path}",
                headers={"Authorization": f"token {self.credentials['token']}"},
                timeout=10,
                trust_env=False,
            )
        except httpx.HTTPError:
            return 0
        return answer.status_code


@contextlib.contextmanager
def running_installation(
    prefix: str,
    *,
    variables: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Iterator[Installation]:
    """Start an installation in a new folder; end it and remove the folder afterwards.

    Parameters
    ----------
    files
        What the administrator has put into its home before.
    """
    # Unix sockets have short paths: not below pytest's own long one.
    folder = passable(Path(tempfile.mkdtemp(prefix=prefix)))
    found = Installation(folder / "h", free_port(), variables or {})
    found.home.mkdir()
    for name, content in (files or {}).items():
        (found.home / name).write_text(content)
    try:
        found.up()
        yield found
    finally:
        found.down()
        shutil.rmtree(folder, ignore_errors=True)
