"""``make bench``: runs every program here, prints the table, and writes ``results.md``.

``python -m benchmarks task_start service_call`` runs those alone and leaves ``results.md`` as it is.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from kpl_lab import __version__

HERE = Path(__file__).parent
PROGRAMS = (
    "dataset_read",
    "dataset_random",
    "dataset_write",
    "push_metric",
    "points_stored",
    "task_start",
    "server_start",
    "service_call",
)
HEAD = "| what | unit | peer | peer's | ours | ratio |\n|---|---|---|--:|--:|--:|\n"


def rows_of(program: str) -> list[dict[str, Any]]:
    """Run one program; its rows, or none with a word on standard error."""
    print(f"{program} …", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{program}"],
        cwd=HERE.parent,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{program} failed with {done.returncode}", file=sys.stderr)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def line_of(row: dict[str, Any]) -> str:
    """Return a row of the table."""
    return (
        f"| {row['name']} | {row['unit']} | {row['peer']} | {row['peer_value']:g} "
        f"| {row['value']:g} | {row['ratio']:g}x |\n"
    )


def main() -> int:
    """Run what was asked for; 1 when a program failed."""
    chosen = sys.argv[1:] or list(PROGRAMS)
    found = {program: rows_of(program) for program in chosen}
    table = HEAD + "".join(line_of(row) for rows in found.values() for row in rows)
    print(table)
    if not sys.argv[1:]:
        load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
        facts = (
            f"kpl-lab {__version__}, Python {platform.python_version()}, {platform.system()} "
            f"{platform.machine()}, {os.cpu_count()} cores, load {load}, {dt.datetime.now(dt.UTC):%Y-%m-%d}.\n"
        )
        text = (
            "# Benchmarks\n\nWritten by `make bench`. Both values of a line are from one run on one "
            "machine; a ratio above 1 means that ours is better.\n\n"
        )
        (HERE / "results.md").write_text(text + facts + "\n" + table)
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
