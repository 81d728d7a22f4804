"""Submit to the first line of the command's output, beside the same command as a plain process."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._common import Row, emit, run_program, sized, until
from benchmarks._installation import installation
from kpl_lab.client import Client
from kpl_lab.schemas.tasks import TaskCreate

COMMAND = "echo ready; sleep 0.2"
ENVIRONMENT = f"version: 1\nimage: {{from_image: 'python:3.11'}}\ntrain: {{cmd: {COMMAND}}}\n"


def submit(client: Client, code: Path) -> float:
    """Return the seconds from the call of `submit` until the first line can be read."""
    began = time.perf_counter()
    task = client.tasks.submit(TaskCreate(), code)
    until(lambda: client.tasks.log(task.id).text, "the task's first line", pause=0.005)
    seconds = time.perf_counter() - began
    client.tasks.succeeded(client.tasks.wait(task.id, timeout_seconds=60))
    return seconds


def plain() -> float:
    """Return the seconds from starting the command until its first line can be read."""
    began = time.perf_counter()
    with subprocess.Popen(["/bin/sh", "-c", COMMAND], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began


def main() -> None:
    with installation() as (client, _), tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        submit(client, code)  # the first one is not like those that follow
        plain()
        pairs = [(submit(client, code), plain()) for _ in range(sized(11, 1))]
    emit(
        Row(
            "task start: packed, sent, admitted, first line read",
            "plain process",
            "s",
            value=median(ours for ours, _ in pairs),
            peer_value=median(peer for _, peer in pairs),
            lower_is_better=True,
            goal="≤ 0.3 s more",
        )
    )


if __name__ == "__main__":
    run_program(main)
