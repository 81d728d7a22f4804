"""Workloads of the local engine; see :mod:`kpl_lab.engines.running.ledger`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpl_lab.engines.local.status import Status
from kpl_lab.engines.running import ledger
from kpl_lab.engines.spec import Workload


@dataclass(kw_only=True)
class Entry(ledger.Entry[Status]):
    """One workload in the runner's memory.

    Attributes
    ----------
    build
        Folder of the environment that it makes.
    meeting
        The first port at which its replicas meet: they share the machine's loopback.
    """

    build: Path | None = None
    meeting: int | None = None

    def read_status(self, index: int) -> Status | None:
        """Return what a replica's supervisor has written down."""
        return Status.read(self.place(index).root)

    def extra(self) -> dict[str, Any]:
        """Return the folder of the environment, and the port."""
        build = None if self.build is None else str(self.build)
        return {"build": build, "meeting": self.meeting}

    def note_link(self, name: str) -> None:
        """Remember a link in the home, to be removed with the workload."""
        with (self.folder / "links").open("a") as file:
            file.write(json.dumps(name) + "\n")

    def links(self) -> list[str]:
        """Return the links that were ever made."""
        try:
            lines = (self.folder / "links").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [str(json.loads(line)) for line in lines]


def _revive(workload: Workload, folder: Path, found: Mapping[str, Any]) -> Entry:
    build = found["build"]
    return Entry(
        workload=workload,
        folder=folder,
        build=build and Path(build),
        meeting=found.get("meeting"),
    )


class Ledger(ledger.Ledger[Entry]):
    """All workloads of an installation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _revive)
