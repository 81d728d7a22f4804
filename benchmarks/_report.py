"""What ``make bench`` tells of rows and of the machine."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks._common import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks._common import Environment, Row

HEAD = "| what | unit | peer | peer's | ours | ratio | goal |\n|---|---|---|--:|--:|--:|---|\n"
# Packages of our own environment whose versions matter.
OURS = ("kpl-lab", "jupyterhub", "jupyterlab", "jupyterhub-traefik-proxy")


def line_of(row: Row) -> str:
    """Return a row as a line of the table."""
    peer_value, ratio = f"not measured: {row.missing}", "–"
    if row.peer_value is not None and row.ratio is not None:
        peer_value, ratio = _number(row.peer_value), f"{_number(row.ratio)}x"
        if row.lower_is_better and row.value > row.peer_value:
            ratio += f", {row.value - row.peer_value:+.3g} {row.unit}"
    cells = (row.name, row.unit, row.peer, peer_value, _number(row.value), ratio, row.goal)
    return f"| {' | '.join(cells)} |\n"


def _number(value: float) -> str:
    """Write a number with four digits that count, thousands apart."""
    rounded = float(f"{value:.4g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def table_of(rows: Iterable[Row]) -> str:
    """Return the table in Markdown."""
    return HEAD + "".join(map(line_of, rows))


def facts() -> dict[str, str]:
    """Return what one must know of the machine and ours to judge numbers that are measured now."""
    return {
        "Date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "Machine": f"{cpu_model()}, {len(os.sched_getaffinity(0))} cores, {memory()}",
        "System": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "Load before": ", ".join(f"{value:.2f}" for value in os.getloadavg())
        + " (1, 5, 15 minutes)",
        "Python": platform.python_version(),
        "Ours": ", ".join([*filter(None, map(_installed, OURS)), f"Traefik {_traefik()}"]),
        "Commit": _commit(),
        "Decoder of kpl_dataset": "compiled" if _compiled() else "not compiled: pure Python",
    }


def peers(environments: Iterable[Environment]) -> dict[str, str]:
    """Return what one must know of the peers, once they were measured."""
    found = "; ".join(filter(None, (", ".join(one.versions()) for one in environments)))
    return {"Peers": found} if found else {}


def cpu_model(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the name of the processor."""
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text("utf-8"), re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()


def memory() -> str:
    """Return how much memory the machine has."""
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB memory"


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""


def _traefik() -> str:
    program = Path(sys.executable).with_name("traefik")
    found = re.search(r"Version:\s*(\S+)", _said(str(program), "version"))
    return found[1] if found else "of unknown version"


def _commit() -> str:
    commit = _said("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD").strip()
    # What earlier programs of the same run measured is no change.
    but = (":(exclude)benchmarks/results", ":(exclude)benchmarks/results.md")
    command = ("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no", "--", ".")
    changed = _said(*command, *but)
    return f"{commit or 'unknown'}{', with changes' if changed.strip() else ''}"


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return ""
    return done.stdout


def _compiled() -> bool:
    from kpl_dataset import native

    return native.available
