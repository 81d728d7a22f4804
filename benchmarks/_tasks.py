"""A task that says at once that it runs, and how long that takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._common import until
from kpl_lab.client import Client
from kpl_lab.schemas.tasks import TaskCreate

COMMAND = "echo ready; sleep 0.2"
_ENVIRONMENT = f"version: 1\nimage: {{from_image: 'python:3.11'}}\ntrain: {{cmd: {COMMAND}}}\n"


@contextmanager
def project() -> Iterator[Path]:
    """Give a folder whose ``train`` runs :data:`COMMAND`."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(_ENVIRONMENT)
        yield code


def submit(client: Client, code: Path) -> float:
    """Return the seconds from the call of `submit` until the first line can be read."""
    began = time.perf_counter()
    task = client.tasks.submit(TaskCreate(), code)
    until(lambda: client.tasks.log(task.id).text, "the task's first line", pause=0.005)
    seconds = time.perf_counter() - began
    client.tasks.succeeded(client.tasks.wait(task.id, timeout_seconds=60))
    return seconds
