"""``make bench``: runs every program here, prints the table, and writes ``results.md``.

``--only NAME`` runs one program (give it several times for several), ``--quick`` does little of
everything as a smoke test; both leave ``results.md`` as it is, and so does a run in which
something failed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import _report
from benchmarks._common import ROOT, Row, run_program

RESULTS = Path(__file__).with_name("results.md")
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
# The first run also makes the environments of the peers.
PROGRAM_SECONDS = 420.0
# Long enough to take an installation down.
GRACE_SECONDS = 120.0


class ProgramFailedError(Exception):
    """A program did not measure what it should; the text says which and why."""


def rows_of(module: str, *, quick: bool = False, seconds: float = PROGRAM_SECONDS) -> list[Row]:
    """Run one program and return its rows.

    Parameters
    ----------
    module
        Its name, to be run by ``python -m``.
    quick
        Whether a smoke test is enough.
    seconds
        How long it may take.

    Raises
    ------
    ProgramFailedError
        It failed, took too long, or printed no rows; also where it failed after its last row.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            stdout=out,
            stderr=words,
            env={**os.environ, "KPL_BENCH_QUICK": "1" if quick else "0"},
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        for file in (out, words):
            file.seek(0)
        told = "\n".join(words.read().strip().splitlines()[-30:])
        rows = [Row(**json.loads(line)) for line in out if line.startswith("{")]
    if code is None:
        raise ProgramFailedError(f"{module} was not done after {seconds:g} s:\n{told}")
    if code or not rows:
        why = f"ended with {code}" if code else "printed no row"
        raise ProgramFailedError(f"{module} {why}:\n{told}")
    return rows


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs: it takes down what it started, or is killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=PROGRAMS, default=[])
    parser.add_argument("--quick", action="store_true", help="a smoke test; numbers mean nothing")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    """Run what was asked for; 1 when a program failed."""
    wanted = _arguments(words)
    load = os.getloadavg()
    rows: list[Row] = []
    failures: list[str] = []
    for program in wanted.only or PROGRAMS:
        print(f"{program} … ", end="", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            rows += rows_of(f"benchmarks.{program}", quick=wanted.quick)
            word = "done"
        except ProgramFailedError as error:
            failures.append(str(error))
            word = "failed"
        print(f"{word} after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    known = _report.facts(load)
    print("\n".join(f"{name}: {value}" for name, value in known.items()), end="\n\n")
    print(_report.table_of(rows))
    if failures:
        print("\n\n".join(failures), "\nThis run does not count.", sep="\n", file=sys.stderr)
        return 1
    if wanted.only or wanted.quick:
        print(f"{RESULTS.name} stays as it is: this was not a full run.", file=sys.stderr)
    else:
        _report.write(RESULTS, known, rows)
        print(f"Written to {RESULTS.relative_to(ROOT)}.", file=sys.stderr)
    return 0


def _program() -> None:
    raise SystemExit(main())


if __name__ == "__main__":
    run_program(_program)
