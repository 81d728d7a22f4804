"""``make test``: every check that this machine can run; says what it left out and why.

Ends with pytest's own summary line and a plain ``N passed, N failed, N skipped``, which counts the
Python tests and the other checks together. Exits with 1 when anything failed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.trees import remove_tree

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
NODE_BIN = ROOT / ".venv" / ".kpl-stamps" / "node-bin"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
# These start whole installations, kill processes or drive a browser: one after the other, so that
# they have the machine to themselves. All others share its cores. Names below tests/.
APART = ("drills", "engines/test_docker_*", "engines/test_local_*", "engines/test_relay*", "examples",
         "hub", "images", "kubernetes", "originals", "supervisor", "ui", "walk")  # fmt: skip
WORKERS = 2
# What a run's length is made of is said at its end.
_SLOWEST = ("--durations=30", "--durations-min=5.0")
PACKAGES = ("kpl_lab", "kpl_helper", "kpl_dataset", "tests", "tools")


@dataclass(frozen=True)
class Check:
    """One command; ``needs`` is a path without which it is left out."""

    name: str
    command: tuple[str, ...]
    group: str
    needs: str | None = None


CHECKS = (
    Check("ruff check", ("ruff", "check", "."), "lint"),
    Check("ruff format", ("ruff", "format", "--check", *PACKAGES), "lint"),
    Check("import directions", ("lint-imports",), "lint"),
    Check("types", ("mypy",), "lint"),
    Check("front end: lint", ("npm", "run", "-s", "lint"), "lint", "node_modules"),
    Check("front end: types", ("npm", "run", "-s", "check"), "lint", "tsconfig.test.json"),
    Check("front end: tests", ("npm", "test", "--silent"), "tests", "node_modules"),
)


@dataclass
class Tally:
    """How many passed, failed and were left out."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


def environment() -> dict[str, str]:
    """Return the variables with which the tools of the environment come first."""
    path = [str(BIN), str(NODE_BIN), os.environ.get("PATH", os.defpath)]
    return {**os.environ, "PATH": os.pathsep.join(path)}


def scripts() -> set[str]:
    """Return the names of npm's scripts."""
    try:
        found = json.loads((ROOT / "package.json").read_text())
    except FileNotFoundError:
        return set()
    return set(found.get("scripts", {}))


def run_check(check: Check, tally: Tally) -> None:
    """Run one command, showing what it says only where it fails."""
    if check.needs and not (ROOT / check.needs).exists():
        tally.skipped += 1
        print(f"left out  {check.name}: there is no {check.needs}", flush=True)
        return
    if check.command[:3] == ("npm", "run", "-s") and check.command[3] not in scripts():
        return
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        tally.failed += 1
        print(f"FAILED    {check.name} ({seconds:.0f} s)\n{done.stdout}", flush=True)
    else:
        tally.passed += 1
        print(f"ok        {check.name} ({seconds:.0f} s)", flush=True)


def left_out() -> list[tuple[str, str]]:
    """Return marker and reason of each kind of test that this machine cannot run."""
    found = []
    if not any(shutil.which(name) for name in CHROMIUM):
        found.append(("browser", "there is no Chromium; `apt-get install chromium`"))
    if not (os.environ.get("KUBECONFIG") and os.environ.get("KPL_IMAGE")):
        reason = "KUBECONFIG names no cluster, or KPL_IMAGE no image of the platform on its nodes"
        found.append(("kubernetes", reason))
    return found


def run_pytest(arguments: Sequence[str], tally: Tally) -> str:
    """Run the Python tests with their output, and return the summary line.

    Tests that drive real processes, kills and a browser depend on how busy the machine is. Files in
    which something failed are run once more, alone; what fails again has failed, and what does not
    is named as unsteady, so that nobody overlooks it.
    """
    without = left_out()
    for marker, reason in without:
        print(f"left out  tests marked {marker}: {reason}", flush=True)
    selection = " and ".join(f"not {marker}" for marker, _ in without)
    chosen = ["-m", selection] if selection else []
    first = Tally()
    code = 0
    for part in [arguments] if arguments else parts():
        ended, summary = _pytest([*chosen, *part])
        _count(summary, first)
        code = max(code, ended)
    files = _failed_files() if code == 1 else []
    if files:
        print(f"unsteady? running once more: {', '.join(files)}", flush=True)
        code, again = _pytest([*chosen, *files])
        second = Tally()
        _count(again, second)
        if code == 0:
            print(f"unsteady  {first.failed} tests failed at first and passed alone", flush=True)
            first.passed += first.failed
        first.failed = second.failed
    tally.passed += first.passed
    tally.failed += first.failed
    tally.skipped += first.skipped
    if code and not first.failed:
        # It ended without saying that a test failed: collection, a crash, no tests.
        tally.failed += 1
    return f"{first.passed} passed, {first.failed} failed, {first.skipped} skipped"


def parts() -> list[list[str]]:
    """Return the arguments of each run of pytest: what shares the machine, then what does not."""
    apart = sorted(str(path.relative_to(ROOT)) for n in APART for path in (ROOT / "tests").glob(n))
    ignored = [f"--ignore-glob=tests/{name}" for name in APART]
    return [["-n", str(WORKERS), "--dist", "loadfile", *ignored], apart]


def _failed_files() -> list[str]:
    """Return the test files in which something failed, as pytest has kept them."""
    try:
        kept = json.loads((ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed").read_text())
    except (FileNotFoundError, ValueError):
        return []
    return sorted({name.split("::")[0] for name in kept})


def _pytest(arguments: Sequence[str]) -> tuple[int, str]:
    """Run pytest with its output shown; return its exit code and its summary line."""
    # A folder of this run alone: what an interrupted run has left elsewhere is not in the way.
    scratch = tempfile.mkdtemp(prefix="kpl-test-")
    Path(scratch).chmod(0o711)  # the tests' workloads run under other accounts
    process = subprocess.Popen(
        [str(BIN / "python"), "-m", "pytest", f"--basetemp={scratch}/t", *_SLOWEST, *arguments],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    summary = ""
    if process.stdout is not None:
        for line in process.stdout:
            print(line, end="", flush=True)
            if re.search(r"\d+ (passed|failed|error|skipped|deselected)", line):
                summary = line.strip("= \n")
    code = process.wait()
    with contextlib.suppress(OSError):
        remove_tree(Path(scratch))  # tests make trees that are too deep for shutil
    return code, summary


def _count(summary: str, tally: Tally) -> None:
    for number, word in re.findall(r"(\d+) (passed|failed|errors?|skipped|deselected)", summary):
        if word == "passed":
            tally.passed += int(number)
        elif word in ("skipped", "deselected"):
            tally.skipped += int(number)
        else:
            tally.failed += int(number)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and return the exit code."""
    parser = argparse.ArgumentParser(prog="make test")
    parser.add_argument("--only", choices=("lint", "tests"), help="run a part alone")
    options, rest = parser.parse_known_args(arguments)
    tally = Tally()
    for check in CHECKS:
        if options.only in (None, check.group):
            run_check(check, tally)
    summary = run_pytest(rest, tally) if options.only != "lint" else ""
    if summary:
        print(f"== {summary} ==")
    print(f"{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped", flush=True)
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
