"""What is written of each process in ``run/<name>.json``: enough to know it again for sure."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kpl_lab.engines.local.processes import ProcessId
from kpl_lab.settings import Home

SUPERVISOR = "supervisor"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One process of the platform.

    Attributes
    ----------
    state
        ``running``; ``restarting`` while it waits for its next start; ``stopped``.
    plan
        Digest of how it was started: one that differs is replaced at the next ``up``.
    restarts
        Starts after it died, since it last ran for long.
    message
        Why it is not running, in a sentence.
    """

    name: str
    pid: int | None = None
    start: int = 0
    boot: str = ""
    state: str = "stopped"
    plan: str = ""
    restarts: int = 0
    message: str = ""

    @property
    def identity(self) -> ProcessId | None:
        """The process, when it still runs."""
        if self.pid is None:
            return None
        found = ProcessId(self.pid, self.start, self.boot)
        return found if found.is_alive() else None

    def observed(self) -> Record:
        """Return the record as it is now: ``running`` only where the process lives."""
        if self.identity is None and self.state == "running":
            return replace(self, pid=None, state="stopped")
        return self if self.identity else replace(self, pid=None)


def record_of(name: str, pid: int, *, plan: str, restarts: int = 0) -> Record:
    """Return the record of a process that was just started."""
    found = ProcessId.of(pid)
    if found is None:
        return Record(name=name, plan=plan, restarts=restarts, message="It ended at once.")
    return Record(
        name=name,
        pid=found.pid,
        start=found.start,
        boot=found.boot,
        state="running",
        plan=plan,
        restarts=restarts,
    )


def path_of(home: Home, name: str) -> Path:
    """Return the file of the process ``name``."""
    return home.run / f"{name}.json"


def write(home: Home, record: Record) -> None:
    """Keep ``record``; never half a file."""
    path = path_of(home, record.name)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    fresh.write_text(json.dumps(asdict(record), indent=1) + "\n")
    fresh.replace(path)


def read(home: Home, name: str) -> Record:
    """Return what is known of ``name``, as it is now; an unreadable file counts as none."""
    try:
        found = json.loads(path_of(home, name).read_text())
        return Record(**found).observed()
    except (OSError, ValueError, TypeError):
        return Record(name=name)


def remove(home: Home, name: str) -> None:
    """Forget ``name``."""
    path_of(home, name).unlink(missing_ok=True)
