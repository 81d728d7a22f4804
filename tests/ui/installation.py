"""A real installation for the browser: up, killed piece by piece, down; nothing is a double."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
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
        time.sleep(0.2)
    return found


@dataclass(frozen=True)
class Installation:
    """An installation below a temporary folder, on a free port."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        """Address of the front door."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def user_home(self) -> Path:
        """The home folder that the user ``admin`` sees in JupyterLab."""
        return self.home / "local" / "homes" / "admin"

    @property
    def password(self) -> str:
        """Password of the user ``admin``."""
        return str(json.loads((self.home / "credentials.json").read_text())["password"])

    def _run(self, program: str, *words: str, seconds: float = 240) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *words],
            env={**os.environ, "KPL_HOME": str(self.home), "KPL_PORT": str(self.port)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}\n{done.stdout}"
        return done.stdout

    def up(self) -> None:
        """Start everything."""
        self._run("kpl-lab", "up")

    def down(self) -> None:
        """End everything."""
        self._run("kpl-lab", "down")

    def kpl(self, *words: str) -> dict[str, Any]:
        """Ask the platform with `kpl`, from outside of the browser."""
        found: dict[str, Any] = json.loads(self._run("kpl", *words, "--json"))
        return found

    def pid(self, name: str) -> int | None:
        """Return the process id of one part of the platform, None while it is gone."""
        items = json.loads(self._run("kpl-lab", "status", "--json"))["items"]
        found: int | None = next(item["pid"] for item in items if item["name"] == name)
        return found

    def kill(self, name: str) -> None:
        """Kill one part of the platform so that it cannot say good-bye; wait for its successor."""
        old = self.pid(name)
        assert old, f"{name} does not run"
        os.kill(old, signal.SIGKILL)
        wait_for(lambda: self.pid(name) not in (None, old), f"a new {name}")
