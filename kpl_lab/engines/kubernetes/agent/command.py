"""The command of a pod, seen from the agent beside it: its processes, use and end.

The containers of a pod share one table of processes. In it the first process of each container has no
parent; the first of all is the pod's own, and takes in whose parent has ended. Which container a process
is in tells its control group; where all have the same one (sandboxes with a kernel of their own), the
line of its parents.
"""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_MIB = 1 << 20
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Process:
    """One process; ``begun`` in clock ticks since the machine started, ``cpu`` in seconds."""

    pid: int
    parent: int
    begun: int
    cpu: float


@dataclass(frozen=True)
class Use:
    """What the command takes now; ``cpu_seconds`` of the processes that still run."""

    memory_mb: int
    cpu_seconds: float
    processes: int


class Command:
    """The processes of the command.

    Parameters
    ----------
    proc
        Where the kernel tells of processes.
    """

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._own = self._first_of(os.getpid())
        own = self._group(self._own)
        self._own_group = None if own == self._group(1) else own

    def _first_of(self, pid: int) -> int:
        """Return the first process of the container that one is in: what starts the agent may be another."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            while (parent := _parse((self._proc / str(pid) / "stat").read_text()).parent) > 1:
                pid = parent
        return pid

    def look(self) -> list[Process]:
        """Return the processes of the command."""
        found = {one.pid: one for one in self._all()}
        return [one for one in found.values() if one.pid != 1 and not self._is_ours(one, found)]

    def _is_ours(self, one: Process, found: dict[int, Process]) -> bool:
        if self._own_group is not None:
            # One that has just ended has none any more.
            return self._group(one.pid) in (self._own_group, "")
        while one.pid != self._own and one.parent in found:
            one = found[one.parent]
        return one.pid == self._own

    def _group(self, pid: int) -> str:
        with contextlib.suppress(OSError):
            return (self._proc / str(pid) / "cgroup").read_text()
        return ""

    def first(self, processes: list[Process]) -> Process | None:
        """Return the first process of the command's container, the oldest that has no parent."""
        heads = [one for one in processes if one.parent == 0]
        return min(heads, key=lambda one: (one.begun, one.pid), default=None)

    def use_of(self, processes: list[Process]) -> Use:
        """Return what processes take; memory is their proportional share."""
        shares = [self._share(one.pid) for one in processes]
        return Use(
            memory_mb=-(-sum(shares) // _MIB),
            cpu_seconds=sum(one.cpu for one in processes),
            processes=len(processes),
        )

    def seconds_since(self, process: Process) -> float:
        """Return how long it has run."""
        with (self._proc / "uptime").open() as file:
            return float(file.read().split()[0]) - process.begun / _TICK

    def send(self, number: signal.Signals, processes: list[Process]) -> None:
        """Send a signal: a polite one to the groups of the first processes, SIGKILL to all."""
        if number == signal.SIGKILL:
            for one in processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one.pid, number)
            return
        for one in processes:
            if one.parent == 0:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    # A shell that runs one program does not pass a signal on.
                    os.killpg(os.getpgid(one.pid), number)

    def _all(self) -> list[Process]:
        found = []
        for folder in self._proc.iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    found.append(_parse((folder / "stat").read_text()))
        return found

    def _share(self, pid: int) -> int:
        with contextlib.suppress(OSError, ValueError):
            for line in (self._proc / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
        return 0


def _parse(text: str) -> Process:
    """Read /proc/<pid>/stat (proc_pid_stat(5)): the name, in brackets, may hold anything."""
    pid, _, rest = text.partition(" ")
    words = rest.rpartition(")")[2].split()
    if words[0] == "Z":
        raise ValueError("it has ended")
    cpu = (int(words[11]) + int(words[12])) / _TICK
    return Process(int(pid), int(words[1]), int(words[19]), cpu)
