"""A whole installation, its ``kpl`` command, and algorithms that know the original clients alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.places import passable
from tests.platform.conftest import picture
from tests.supervisor.test_installation import Installation, free_port, wait_for

HERE = Path(__file__).parent
TASK_SECONDS = 240.0


@dataclass(frozen=True)
class Lab:
    """An installation as its user sees it."""

    installation: Installation

    def kpl(self, *words: str, seconds: float = TASK_SECONDS) -> Any:
        """Run ``kpl``; return what it prints with ``--json``."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "kpl"), *words, "--json"],
            env={**os.environ, "KPL_HOME": str(self.installation.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"kpl {' '.join(words)}: {done.stderr}\n{done.stdout}"
        return json.loads(done.stdout)

    def submit(self, name: str, *words: str) -> str:
        """Submit an algorithm of ``tests/originals``; return the task's id."""
        made = self.kpl("task", "submit", "--code", str(HERE / name), *words)
        return str(made["id"])

    def task(self, id: str) -> Any:
        return self.kpl("task", "show", id)

    def log(self, id: str) -> str:
        home = self.installation.home
        kept = home / "storage" / "logs" / "tasks" / f"{id}.log"
        return kept.read_text() if kept.exists() else "no log was kept"

    def until(self, id: str, is_so: Any, what: str) -> Any:
        """Wait until a task is as ``is_so`` says; a task that ends before that is a failure."""
        found: Any = None

        def look() -> bool:
            nonlocal found
            found = self.task(id)
            is_over = found["state"] in ("succeeded", "failed", "stopped")
            assert is_so(found) or not is_over, f"{found['message']}\n{self.log(id)}"
            return bool(is_so(found))

        wait_for(look, what, TASK_SECONDS)
        return found

    def kill(self, process: str) -> None:
        """End a process of the platform without a word."""
        pid = self.installation.pids()[process]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = passable(tmp_path_factory.mktemp("o"))
    installation = Installation(folder / "h", free_port())
    try:
        installation.up()
        found = Lab(installation)
        for name, color in (("apple", "red"), ("pear", "green")):
            (folder / "fruit" / name).mkdir(parents=True)
            for number in range(3):
                place = folder / "fruit" / name / f"{number}.png"
                place.write_bytes(picture(color, size=(8 + number, 8)))
        found.kpl("dataset", "create", "fruit", "--from", str(folder / "fruit"))
        yield found
    finally:
        installation.run("down")
