"""Points of one task, from push_metric to readable over the API, beside one commit per point.

The time begins with the first point in the task and ends when the last one comes back from the API.
The peer is what a tracker that stores each point when it comes cannot be quicker than: a bare SQLite
file on the same disk, in the same program, without any request.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks._common import Row, emit, run_program, sized, until
from benchmarks._installation import installation
from kpl_lab.client import Client
from kpl_lab.schemas.tasks import TaskCreate

POINTS = sized(400_000, 5000)
PEER_POINTS = sized(3000, 100)
ROUNDS = sized(3, 1)
ENVIRONMENT = (
    "version: 1\nimage: {from_image: 'python:3.11'}\ntrain: {cmd: exec python3 train.py}\n"
)
TRAIN = f"""
import time
import kpl_helper
figure = kpl_helper.metric.MetricFigure("bench", y1_name="y")
print(time.time(), flush=True)
for i in range({POINTS}):
    figure.push_metric(i, i)
"""


def ours(client: Client, code: Path) -> float:
    """Return how many points a second are stored and readable."""
    task = client.tasks.submit(TaskCreate(), code)

    def all_there() -> bool:
        curves = client.tasks.metrics(task.id, points=4).curves
        return bool(curves) and curves[0].series[0].total >= POINTS

    until(all_there, f"{POINTS} points of task {task.id}", seconds=120)
    seconds = time.time() - float(client.tasks.log(task.id).text.split()[0])
    client.tasks.succeeded(client.tasks.wait(task.id, timeout_seconds=60))
    curve = client.tasks.metrics(task.id, points=4).curves[0].series[0]
    if curve.total != POINTS:
        raise RuntimeError(f"{curve.total} points are stored instead of {POINTS}")
    return POINTS / seconds


def one_commit_each() -> float:
    """Return how many points a second a bare SQLite file takes."""
    with tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder:
        database = sqlite3.connect(Path(folder, "points.sqlite"), isolation_level=None)
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE points (x REAL, y REAL)")
        began = time.perf_counter()
        for number in range(PEER_POINTS):
            database.execute("INSERT INTO points VALUES (?, ?)", (number, number))
        seconds = time.perf_counter() - began
        database.close()
        return PEER_POINTS / seconds


def main() -> None:
    with (
        installation() as (client, _),
        tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder,
    ):
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        (code / "train.py").write_text(TRAIN)
        ours(client, code)  # the first task is not like those that follow
        pairs = [(ours(client, code), one_commit_each()) for _ in range(ROUNDS)]
    emit(
        Row(
            "points stored and readable, one client",
            "bare SQLite, one commit per point",
            "points/s",
            value=median(value for value, _ in pairs),
            peer_value=median(peer for _, peer in pairs),
            goal="≥ 50,000/s",
        )
    )


if __name__ == "__main__":
    run_program(main)
