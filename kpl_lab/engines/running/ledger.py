"""Workloads as folders: ``workloads/<name>/`` is all that is known of one.

``workload.json`` (0600: it holds tokens) is what was asked for; ``replicas/<i>/`` holds one replica
(``plan.json``, ``status.json``, ``log``, ``inside/``, ``relay/``, ``stop``, ``collected/``);
``mounts/`` is the root of the live mounts of a server.
"""

from __future__ import annotations

import asyncio
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.protocol import decode, encode
from kpl_lab.engines.running.status import Status
from kpl_lab.engines.running.together import condemned, joined
from kpl_lab.engines.spec import Cause, Kind, Observation, Replica, Workload
from kpl_lab.trees import remove_tree

_FILE_NAME = "workload.json"

S = TypeVar("S", bound=Status)


@dataclass(kw_only=True)
class Entry(ABC, Generic[S]):
    """One workload in a runner's memory; everything in it comes from the folder.

    Attributes
    ----------
    is_deleting
        Its end is no news any more.
    """

    workload: Workload
    folder: Path
    statuses: dict[int, S] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_deleting: bool = False

    @abstractmethod
    def read_status(self, index: int) -> S | None:
        """Return what is written down of a replica."""

    def extra(self) -> dict[str, Any]:
        """Return what an engine keeps beside the workload, as plain values."""
        return {}

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
        found = {"workload": encode(self.workload), **self.extra()}
        fresh = self.folder / (_FILE_NAME + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / _FILE_NAME)

    def reload(self, index: int) -> bool:
        """Read a replica's status again; True when it has changed."""
        found = self.read_status(index)
        if found is None or found == self.statuses.get(index):
            return False
        self.statuses[index] = found
        return True

    def observe(self) -> Observation:
        """Return what others are told."""
        replicas = joined(self.workload, self._replicas())
        return Observation(name=self.name, labels=self.workload.labels, replicas=replicas)

    def condemned(self) -> list[int]:
        """Return the replicas that are to be ended for another's failure, and were not asked yet."""
        found = condemned(self.workload, self._replicas())
        return [index for index in found if not self.place(index).stop.exists()]

    def _replicas(self) -> list[Replica]:
        return [self.statuses[index].replica() for index in sorted(self.statuses)]

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

    def ask_to_stop(self, index: int, grace_seconds: float | None) -> bool:
        """Write down that a replica is to end; False when it has ended already."""
        status = self.statuses.get(index)
        if status is None or status.is_final:
            return False
        grace = self.workload.grace_seconds if grace_seconds is None else grace_seconds
        stop = self.place(index).stop
        fresh = stop.with_suffix(".new")
        fresh.write_text(str(grace))
        fresh.replace(stop)
        return True

    def with_replicas(self, count: int) -> None:
        """Change how many replicas there should be."""
        self.workload = replace(self.workload, replicas=count)


E = TypeVar("E", bound=Entry[Any])


class Ledger(Generic[E]):
    """All workloads of an installation.

    Parameters
    ----------
    folder
        Holds one folder per workload.
    revive
        Makes an entry from a workload, its folder and what :meth:`Entry.extra` gave.
    """

    def __init__(
        self, folder: Path, revive: Callable[[Workload, Path, Mapping[str, Any]], E]
    ) -> None:
        self._folder = folder
        self._revive = revive
        self.entries: dict[str, E] = {}

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
            entry = self._revive(decode(Workload, found["workload"]), folder, found)
            replicas = folder / "replicas"
            for place in replicas.iterdir() if replicas.is_dir() else ():
                entry.reload(int(place.name))
            self.entries[entry.name] = entry

    def create(self, workload: Workload, **extra: object) -> E:
        """Make the folder of a new workload."""
        folder = self._folder / workload.name
        # Passable by everybody, listable by nobody: workloads reach their own folder by its name.
        folder.mkdir(mode=0o711, exist_ok=True)
        (folder / "replicas").mkdir(mode=0o711, exist_ok=True)
        entry = self._revive(workload, folder, extra)
        entry.save()
        self.entries[workload.name] = entry
        return entry

    def remove(self, entry: E) -> None:
        """Remove the folder."""
        remove_tree(entry.folder)
        self.entries.pop(entry.name, None)
