"""Workloads as folders: ``local/workloads/<name>/`` is all that is known of one.

``workload.json`` (0600: it holds tokens) is what was asked for; ``replicas/<i>/`` belongs to one
supervisor each (``plan.json``, ``status.json``, ``log``, ``inside/``, ``relay/``, ``stop``,
``collected/``); ``mounts/`` is the root of the live mounts of a server.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from kpl_lab.engines.local.plan import Place
from kpl_lab.engines.local.protocol import decode, encode
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.spec import Cause, Kind, Observation, Workload
from kpl_lab.trees import remove_tree

_FILE_NAME = "workload.json"


@dataclass
class Entry:
    """One workload in the runner's memory; everything in it comes from the folder.

    Attributes
    ----------
    build
        Folder of the environment that it makes.
    is_deleting
        Its end is no news any more.
    """

    workload: Workload
    folder: Path
    build: Path | None = None
    statuses: dict[int, Status] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_deleting: bool = False

    @property
    def name(self) -> str:
        """Name of the workload."""
        return self.workload.name

    @property
    def mounts(self) -> Path:
        """Root of its live mounts."""
        return self.folder / "mounts"

    def place(self, index: int) -> Place:
        """Return the folders of a replica."""
        return Place(self.folder / "replicas" / str(index))

    def save(self) -> None:
        """Write down what was asked for."""
        found = {
            "workload": encode(self.workload),
            "build": None if self.build is None else str(self.build),
        }
        fresh = self.folder / (_FILE_NAME + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / _FILE_NAME)

    def reload(self, index: int) -> bool:
        """Read a replica's status again; True when it has changed."""
        found = Status.read(self.place(index).root)
        if found is None or found == self.statuses.get(index):
            return False
        self.statuses[index] = found
        return True

    def observe(self) -> Observation:
        """Return what others are told."""
        replicas = tuple(self.statuses[i].replica() for i in sorted(self.statuses))
        return Observation(name=self.name, labels=self.workload.labels, replicas=replicas)

    def wants(self, index: int) -> bool:
        """Say whether a replica should exist and has not been asked to stop."""
        return index < self.workload.replicas and not self.place(index).stop.exists()

    def may_return(self, index: int) -> bool:
        """Say whether an ended replica is started again when the workload is run again.

        A service is, unless it has failed by itself: it would fail again. Nothing else is: a task
        must not run twice.
        """
        status = self.statuses.get(index)
        if status is None:
            return True
        gone = (Cause.STOPPED, Cause.LOST, Cause.KILLED)
        return self.workload.kind is Kind.SERVICE and status.is_final and status.cause in gone

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

    def with_replicas(self, count: int) -> None:
        """Change how many replicas there should be."""
        self.workload = replace(self.workload, replicas=count)


class Ledger:
    """All workloads of an installation."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.entries: dict[str, Entry] = {}

    def load(self) -> None:
        """Read the folders; those that were never finished are removed."""
        for path in (self._folder, self._folder.parent):
            path.mkdir(parents=True, exist_ok=True)
        for folder in sorted(self._folder.iterdir()):
            try:
                found = json.loads((folder / _FILE_NAME).read_text())
            except (OSError, ValueError):
                remove_tree(folder)
                continue
            build = found["build"]
            entry = Entry(decode(Workload, found["workload"]), folder, build and Path(build))
            replicas = folder / "replicas"
            for place in replicas.iterdir() if replicas.is_dir() else ():
                entry.reload(int(place.name))
            self.entries[entry.name] = entry

    def create(self, workload: Workload, build: Path | None) -> Entry:
        """Make the folder of a new workload."""
        folder = self._folder / workload.name
        # Passable by everybody, listable by nobody: workloads reach their own folder by its name.
        folder.mkdir(mode=0o711, exist_ok=True)
        (folder / "replicas").mkdir(mode=0o711, exist_ok=True)
        entry = Entry(workload, folder, build)
        entry.save()
        self.entries[workload.name] = entry
        return entry

    def remove(self, entry: Entry) -> None:
        """Remove the folder."""
        remove_tree(entry.folder)
        self.entries.pop(entry.name, None)
