"""``make bench``: runs every program, prints its table, keeps it in ``results/``, and makes ``results.md`` anew.

``--only NAME`` runs one program (give it several times for several). What failed, and what can measure nothing
here, leaves its earlier table as it is. ``--quick`` does little of everything as a smoke test and keeps nothing.
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

from benchmarks import _report, page
from benchmarks._common import LEFT_OUT, ROOT, Row, run_program
from benchmarks._programs import PROGRAMS, Program

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


def _measured(program: Program, *, quick: bool) -> page.Part:
    """Run a program; return its rows and the conditions that they are from."""
    known = _report.facts()
    rows = rows_of(program.module, quick=quick)
    return page.Part({**known, **_report.peers(program.peers)}, rows)


def _run(name: str, program: Program, kept: Path | None) -> str:
    """Run a program, print its table and keep it; return why it failed, if it did.

    Parameters
    ----------
    kept
        The page; None: only a smoke test is wanted.
    """
    print(f"{name} … ", end="", file=sys.stderr, flush=True)
    begun, why = time.monotonic(), ""
    try:
        part = _measured(program, quick=kept is None)
        word = "done"
    except ProgramLeftOutError as error:
        part, word = None, f"left out ({error})"
    except ProgramFailedError as error:
        part, word, why = None, "failed", str(error)
    print(f"{word} after {time.monotonic() - begun:.0f} s", file=sys.stderr)
    if part is not None:
        print(page.section(name, program, part), flush=True)
        if kept is not None:
            page.keep(kept.with_suffix(""), name, part)
    return why


def main(
    words: Sequence[str] | None = None,
    programs: Mapping[str, Program] = PROGRAMS,
    results: Path = page.COMMITTED,
) -> int:
    """Run what was asked for.

    Parameters
    ----------
    words
        The command line, without the program's name.
    programs
        What there is, by name.
    results
        The page; beside it lies the folder of what it is made of.

    Returns
    -------
    int
        1 when a program failed, else 0.
    """
    wanted = _arguments(words, programs)
    kept = None if wanted.quick else results
    failures = [_run(name, programs[name], kept) for name in wanted.only or programs]
    if kept is not None:
        page.write(results, programs)
        print(f"Written to {results}.", file=sys.stderr)
    if any(failures):
        print(*filter(None, failures), sep="\n\n", file=sys.stderr)
    return 1 if any(failures) else 0


def _program() -> None:
    raise SystemExit(main())


if __name__ == "__main__":
    run_program(_program)
