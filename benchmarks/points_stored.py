"""Points of one task, from push_metric to readable over the API, beside one commit per point."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks._common import emit
from benchmarks._installation import installation
from kpl_lab.schemas.tasks import TaskCreate

POINTS = 400_000
PEER_POINTS = 5_000
ENVIRONMENT = (
    "version: 1\nimage: {from_image: 'python:3.11'}\ntrain: {cmd: exec python3 train.py}\n"
)
TRAIN = f"""
import os, time
os.environ["KPL_HELPER_BUFFER_POINTS"] = "1000000"
import kpl_helper
figure = kpl_helper.metric.MetricFigure("bench", y1_name="y")
print(time.time(), flush=True)
for i in range({POINTS}):
    figure.push_metric(i, i)
"""


def ours() -> float:
    with installation() as (client, _, _), tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        (code / "environment.yml").write_text(ENVIRONMENT)
        (code / "train.py").write_text(TRAIN)
        task = client.tasks.submit(TaskCreate(), code)
        while True:
            curves = client.tasks.metrics(task.id, points=4).curves
            if curves and curves[0].series[0].total >= POINTS:
                break
            time.sleep(0.05)
        seconds = time.time() - float(client.tasks.log(task.id).text.split()[0])
        return POINTS / seconds


def one_commit_each() -> float:
    with tempfile.TemporaryDirectory() as folder:
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
    emit(
        "points stored and readable, one client",
        "bare SQLite, one commit per point",
        "points/s",
        value=ours(),
        peer_value=one_commit_each(),
    )


if __name__ == "__main__":
    main()
