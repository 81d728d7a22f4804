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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import _report
from benchmarks._common import LEFT_OUT, ROOT, Row, run_program

RESULTS = Path(__file__).with_name("results.md")
NAMES = (
    "dataset_read",
    "dataset_random",
    "dataset_write",
    "push_metric",
    "points_stored",
    "task_start",
    "server_start",
    "docker_start",
    "cluster_start",
    "cluster_scale",
    "service_call",
)
PROGRAMS = {name: f"benchmarks.{name}" for name in NAMES}
# The first run also makes the environments of the peers, and the base image for Docker.
PROGRAM_SECONDS = 2400.0
# Long enough to take an installation down.
GRACE_SECONDS = 120.0


class ProgramLeftOutError(Exception):
    """A program can measure nothing here; the text says which and why."""


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
    ProgramLeftOutError
        It can measure nothing on this machine.
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
    if code == LEFT_OUT and not rows:
        raise ProgramLeftOutError(f"{module.rpartition('.')[2]}: {told}")
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


def _arguments(words: Sequence[str] | None, names: Iterable[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=[*names], default=[])
    parser.add_argument("--quick", action="store_true", help="a smoke test; numbers mean nothing")
    return parser.parse_args(words)


def _run(modules: Mapping[str, str], *, quick: bool) -> tuple[list[Row], list[str], list[str]]:
    """Run programs; return their rows, why some failed, and why some were left out."""
    rows: list[Row] = []
    failures: list[str] = []
    left_out: list[str] = []
    for name, module in modules.items():
        print(f"{name} … ", end="", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            rows += rows_of(module, quick=quick)
            word = "done"
        except ProgramLeftOutError as error:
            left_out.append(str(error))
            word = "left out"
        except ProgramFailedError as error:
            failures.append(str(error))
            word = "failed"
        print(f"{word} after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    return rows, failures, left_out


def main(
    words: Sequence[str] | None = None,
    programs: Mapping[str, str] = PROGRAMS,
    results: Path = RESULTS,
) -> int:
    """Run what was asked for.

    Parameters
    ----------
    words
        The command line, without the program's name.
    programs
        Modules to run, by name.
    results
        Where a full run that succeeds is written to.

    Returns
    -------
    int
        1 when a program failed, else 0.
    """
    wanted = _arguments(words, programs)
    load = os.getloadavg()
    chosen = {name: programs[name] for name in wanted.only or programs}
    rows, failures, left_out = _run(chosen, quick=wanted.quick)
    known = _report.facts(load)
    if left_out:
        known["Left out"] = "; ".join(left_out)
    print("\n".join(f"{name}: {value}" for name, value in known.items()), end="\n\n")
    print(_report.table_of(rows))
    if failures:
        print(*failures, "This run does not count.", sep="\n\n", file=sys.stderr)
        return 1
    if wanted.only or wanted.quick:
        print(f"{results.name} stays as it is: this was not a full run.", file=sys.stderr)
    else:
        _report.write(results, known, rows)
        print(f"Written to {results}.", file=sys.stderr)
    return 0


def _program() -> None:
    raise SystemExit(main())


if __name__ == "__main__":
    run_program(_program)
