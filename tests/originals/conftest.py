"""A whole installation, its ``kpl`` command, and algorithms that know the original clients alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.installation import Installation, running_installation, wait_for
from tests.platform.conftest import picture

HERE = Path(__file__).parent
TASK_SECONDS = 240.0


@dataclass(frozen=True)
class Lab:
    """An installation as its user sees it."""

    installation: Installation

    def kpl(self, *words: str) -> Any:
        """Run ``kpl``; return what it prints with ``--json``."""
        return self.installation.kpl(*words)

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
    folder = tmp_path_factory.mktemp("fruit")
    for name, color in (("apple", "red"), ("pear", "green")):
        (folder / "fruit" / name).mkdir(parents=True)
        for number in range(3):
            place = folder / "fruit" / name / f"{number}.png"
            place.write_bytes(picture(color, size=(8 + number, 8)))
    with running_installation("kpl-o-") as installation:
        found = Lab(installation)
        found.kpl("dataset", "create", "fruit", "--from", str(folder / "fruit"))
        yield found
