"""What all benchmark programs share: rows, environments for the peers, repeated measuring.

Every program prints one JSON object a line: ``{"name", "peer", "unit", "peer_value", "value",
"ratio"}``. A ratio above 1 means that ours is better, whatever the unit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]


def emit(
    name: str,
    peer: str,
    unit: str,
    *,
    peer_value: float,
    value: float,
    lower_is_better: bool = False,
) -> None:
    """Print one row.

    Parameters
    ----------
    name
        What was measured.
    peer
        What ours is compared with.
    unit
        Unit of both values, such as ``records/s``.
    peer_value, value
        What the peer reached, and what ours did, in the same run.
    lower_is_better
        Whether the unit is one of time or space.
    """
    better, worse = (peer_value, value) if lower_is_better else (value, peer_value)
    row = {
        "name": name,
        "peer": peer,
        "unit": unit,
        "peer_value": _rounded(peer_value),
        "value": _rounded(value),
        "ratio": _rounded(better / worse) if worse else None,
    }
    print(json.dumps(row, ensure_ascii=False), flush=True)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def cache_folder() -> Path:
    """Return where environments are kept: ``KPL_BENCH_CACHE``, else ``.kpl/bench``."""
    folder = Path(os.environ.get("KPL_BENCH_CACHE", ".kpl/bench")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment(name: str, requirements: Sequence[str]) -> Path:
    """Return the Python of an environment of its own for peers; it is made once.

    Parameters
    ----------
    name
        Name of the environment in the cache.
    requirements
        What pip installs; another list makes the environment anew.

    Raises
    ------
    subprocess.CalledProcessError
        pip could not install something.
    """
    folder = cache_folder() / name
    python = folder / "bin" / "python"
    done = folder / "requirements.json"
    wanted = json.dumps(list(requirements))
    if not (done.is_file() and done.read_text("utf-8") == wanted):
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
        command = [str(python), "-m", "pip", "install", "-q", *requirements]
        subprocess.run(command, check=True, stdout=sys.stderr)
        done.write_text(wanted, "utf-8")
    return python


def run_worker(
    python: Path | str, script: Path, arguments: Sequence[str], variables: Mapping[str, str]
) -> Any:
    """Run a script by some Python and return the JSON that it prints last.

    Raises
    ------
    subprocess.CalledProcessError
        The script failed; its error output has been shown.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KPL_"))}
    done = subprocess.run(
        [str(python), str(script), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**clean, **variables},
    )
    return json.loads(done.stdout.splitlines()[-1])


def alternate(measures: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """Measure several things in turn, `rounds` times each, and return the median of each.

    Taking turns spreads what else the machine does over all of them.
    """
    results: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return {name: median(values) for name, values in results.items()}
