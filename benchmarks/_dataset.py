"""The clients that the dataset benchmarks compare, and how they are run."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks._common import (
    FORMATS,
    ORIGINAL_DATASET,
    ROOT,
    Environment,
    PeerMissingError,
    Row,
    alternate,
    emit,
    run_worker,
    sized,
)

WORKER = Path(__file__).with_name("_dataset_worker.py")
UNIT = "records/s"
ORIGINAL, LMDB, UPB = "original kpl-dataset", "LMDB+msgpack", "protobuf upb"
SYNCED = "original kpl-dataset, then fsync"
OURS, PURE = "ours", "ours, pure Python"
# What quality.md asks for, by job, and by peer and content size.
GOALS = {
    ("read", ORIGINAL, 200): "≥ 120x",
    ("read", ORIGINAL, 20_000): "≥ 60x",
    ("read", LMDB, 0): "ahead",
    ("read", UPB, 0): "ahead",
    ("read", PURE, 0): "≥ 10x",
    ("random", ORIGINAL, 0): "≥ 80x",
    ("random", LMDB, 0): "ahead",
    ("write", ORIGINAL, 0): "≥ 20x",
}


@dataclass(frozen=True)
class Client:
    """One way to write or read a dataset.

    Parameters
    ----------
    python
        By what it is run.
    kind
        Its name for the worker.
    limit
        Records that it takes at most: the original would need minutes for as many as the others.
    variables
        Its environment.
    """

    python: str
    kind: str
    limit: int
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, job: str, folder: Path, size: int, count: int) -> float:
        """Return how many records a second it did."""
        arguments = [self.kind, job, str(folder), *map(str, (size, count, self.limit))]
        return float(run_worker(self.python, WORKER, arguments, self.variables))


@dataclass(frozen=True)
class Comparison:
    """The clients that do one job, and why some cannot be measured here."""

    job: str
    clients: dict[str, Client]
    missing: dict[str, str]

    def rates(self, size: int, count: int) -> dict[str, float]:
        """Return how many records a second each client reaches."""
        with tempfile.TemporaryDirectory(prefix="kpl-bench-") as name:
            folder = Path(name)
            if self.job != "write":
                self.clients[OURS].run("write", folder, size, count)
                if LMDB in self.clients:
                    self.clients[LMDB].run("write", folder, size, count)

            def measure(client: Client) -> float:
                if self.job != "write":
                    return client.run(self.job, folder / "timed", size, count)
                # A folder of its own each time: nobody has to remove what was there before.
                with tempfile.TemporaryDirectory(dir=folder) as empty:
                    return client.run("write", Path(empty), size, count)

            turns = {name: partial(measure, client) for name, client in self.clients.items()}
            return alternate(turns, sized(5, 1))

    def rows(self, title: str, size: int, rates: dict[str, float]) -> list[Row]:
        """Return the lines of the table for one size of contents."""
        what = f"{title}, {size:,}-byte contents"
        rows = [
            self._row(f"{what} ({_mode(self.job)})", name, size, rates)
            for name in (*self.clients, *self.missing)
            if name not in (OURS, PURE)
        ]
        if PURE in rates:
            peer, goal = rates.get(ORIGINAL), GOALS.get((self.job, PURE, 0), "")
            reason = self.missing.get(ORIGINAL, "")
            name = f"{what} (pure Python)"
            rows.append(Row(name, ORIGINAL, UNIT, rates[PURE], peer, goal=goal, missing=reason))
        return rows

    def _row(self, what: str, peer: str, size: int, rates: dict[str, float]) -> Row:
        goal = GOALS.get((self.job, peer, size)) or GOALS.get((self.job, peer, 0), "")
        reason = self.missing.get(peer, "")
        return Row(what, peer, UNIT, rates[OURS], rates.get(peer), goal=goal, missing=reason)


def comparison(job: str) -> Comparison:
    """Return the clients of a job; what cannot be had here is missing, with the reason."""
    here = {"PYTHONPATH": str(ROOT)}
    many = 1_000_000
    clients = {OURS: Client(sys.executable, "kpl", many, here)}
    peers: dict[str, tuple[Environment, str, int]] = {
        ORIGINAL: (ORIGINAL_DATASET, "kpl", 2000),
        LMDB: (FORMATS, "lmdb", many),
    }
    if job == "write":
        peers[SYNCED] = (ORIGINAL_DATASET, "kpl-synced", 2000)
    else:
        peers[UPB] = (FORMATS, "upb", many)
        pure = {**here, "KPL_DATASET_PURE": "1"}
        clients[PURE] = Client(sys.executable, "kpl", many, pure)
    missing: dict[str, str] = {}
    for name, (environment, kind, limit) in peers.items():
        try:
            clients[name] = Client(str(environment.python()), kind, limit)
        except PeerMissingError as error:
            missing[name] = str(error)
    return Comparison(job, clients, missing)


def compare(job: str, title: str) -> None:
    """Print a row for each peer and content size: ours reads or writes beside it."""
    found = comparison(job)
    # Bytes of content, and how many records: some tens of megabytes at most.
    for size, count in ((200, sized(20_000, 200)), (20_000, sized(3000, 50))):
        for row in found.rows(title, size, found.rates(size, count)):
            emit(row)


def _mode(job: str) -> str:
    """Tell what the rows without a word of their own were measured with."""
    from kpl_dataset import native

    return "compiled" if native.available and job != "write" else "pure Python"
