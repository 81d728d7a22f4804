"""The clients that the dataset benchmarks compare, and how they are run."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks._common import ROOT, alternate, emit, environment, run_worker

WORKER = Path(__file__).with_name("_dataset_worker.py")
# Bytes of content, and how many records: some tens of megabytes at most.
SIZES = ((200, 20_000), (20_000, 3_000))
UNIT = "records/s"


class Client(NamedTuple):
    """One way to write or read a dataset."""

    python: str
    kind: str
    variables: dict[str, str]

    def run(self, job: str, folder: Path, size: int, count: int) -> float:
        """Return how many records a second it did."""
        arguments = [self.kind, job, str(folder), str(size), str(count)]
        return float(run_worker(self.python, WORKER, arguments, self.variables))


def ours(*, pure: bool = False) -> Client:
    """Our client, with the compiled decoder where it was built, or without."""
    variables = {"PYTHONPATH": str(ROOT)}
    if pure:
        variables["KPL_DATASET_PURE"] = "1"
    return Client(sys.executable, "kpl", variables)


def original() -> Client:
    """The original client, with the last protobuf that it can import."""
    python = environment("kpl-dataset-original", ["kpl-dataset==0.0.9", "protobuf==3.20.3"])
    return Client(str(python), "kpl", {})


def peer(kind: str) -> Client:
    """Another format or parser: ``lmdb`` or ``upb``."""
    python = environment("dataset-peers", ["protobuf>=5", "lmdb", "msgpack"])
    return Client(str(python), kind, {})


def compiled() -> bool:
    """Tell whether our client has its compiled decoder here."""
    from kpl_dataset import native

    return native.available


def compare(job: str, title: str) -> None:
    """Print a row for each peer and content size: ours reads or writes beside it."""
    clients = {"original kpl-dataset": original(), "LMDB+msgpack": peer("lmdb"), "ours": ours()}
    if job != "write":
        clients["protobuf upb"] = peer("upb")
        clients["ours, pure Python"] = ours(pure=True)
    for size, count in SIZES:
        with tempfile.TemporaryDirectory(prefix="kpl-bench-") as folder:
            rates = _rates(clients, job, Path(folder), (size, count))
        mode = "compiled" if compiled() and job != "write" else "pure Python"
        _print_rows(rates, f"{title}, {size}-byte contents", mode)


def _rates(
    clients: dict[str, Client], job: str, folder: Path, shape: tuple[int, int]
) -> dict[str, float]:
    if job != "write":
        for kind in ("ours", "LMDB+msgpack"):
            clients[kind].run("write", folder, *shape)
    return alternate(
        {
            # Every writer has a folder of its own, so that no one has to remove what was there.
            name: lambda c=client, n=number: c.run(
                job, folder / str(n) if job == "write" else folder, *shape
            )
            for number, (name, client) in enumerate(clients.items())
        }
    )


def _print_rows(rates: dict[str, float], title: str, mode: str) -> None:
    for name, rate in rates.items():
        if not name.startswith("ours"):
            emit(f"{title} ({mode})", name, UNIT, peer_value=rate, value=rates["ours"])
    if "ours, pure Python" in rates:
        name = "original kpl-dataset"
        value = rates["ours, pure Python"]
        emit(f"{title} (pure Python)", name, UNIT, peer_value=rates[name], value=value)
