"""Submit to the first line of the command's output, beside the same command as a plain process."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._common import emit
from benchmarks._installation import installation
from kpl_lab.client import Client
from kpl_lab.schemas.tasks import TaskCreate

ROUNDS = 9
ENVIRONMENT = (
    "version: 1\nimage: {from_image: 'python:3.11'}\ntrain: {cmd: echo ready; sleep 0.2}\n"
)


def submit(client: Client, code: Path) -> float:
    began = time.perf_counter()
    task = client.tasks.submit(TaskCreate(), code)
    while not client.tasks.log(task.id).text:
        time.sleep(0.005)
    seconds = time.perf_counter() - began
    client.tasks.wait(task.id)
    return seconds


def plain() -> float:
    began = time.perf_counter()
    with subprocess.Popen(
        ["/bin/sh", "-c", "echo ready; sleep 0.2"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began


def main() -> None:
    with installation() as (client, _, _), tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        submit(client, code)
        pairs = [(submit(client, code), plain()) for _ in range(ROUNDS)]
    emit(
        "task start: packed, sent, admitted, first line read",
        "plain process",
        "s",
        value=median(ours for ours, _ in pairs),
        peer_value=median(peer for _, peer in pairs),
        lower_is_better=True,
    )


if __name__ == "__main__":
    main()
