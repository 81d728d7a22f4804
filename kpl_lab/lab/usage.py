"""What this notebook server and its kernels use, against what they were given."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import psutil
from pydantic import BaseModel, Field

MIB = 1024 * 1024


class UsageView(BaseModel):
    """Use of this server with all its kernels and terminals."""

    cpu: float = Field(description="cores in use since the last look")
    cpu_limit: float | None = None
    memory: int = Field(description="MiB; pages that processes share are counted once")
    memory_limit: int | None = Field(None, description="MiB")
    disk_free: int = Field(description="MiB free where the home folder is")
    processes: int


class Usage:
    """Measures the process tree of the server.

    Parameters
    ----------
    pid
        The server's own process.
    root
        Its folder.
    environment
        Where the hub's spawner says the limits: ``CPU_LIMIT`` in cores, ``MEM_LIMIT`` in bytes.
    """

    def __init__(self, pid: int, root: str, environment: Mapping[str, str]) -> None:
        self._pid = pid
        self._root = root
        self._cpu_limit = _number(environment.get("CPU_LIMIT"))
        memory = _number(environment.get("MEM_LIMIT"))
        self._memory_limit = int(memory / MIB) if memory else None
        self._last: tuple[float, float] | None = None

    def measure(self) -> UsageView:
        """Return the present use; the first look has no cores in use yet."""
        seconds = memory = 0.0
        count = 0
        for process in _tree(self._pid):
            try:
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += _memory(process)
            except psutil.NoSuchProcess:
                continue
            count += 1
        return UsageView(
            cpu=self._cores(seconds),
            cpu_limit=self._cpu_limit,
            memory=int(memory / MIB),
            memory_limit=self._memory_limit,
            disk_free=int(psutil.disk_usage(self._root).free / MIB),
            processes=count,
        )

    def _cores(self, seconds: float) -> float:
        now = time.monotonic()
        last, self._last = self._last, (now, seconds)
        if last is None or now <= last[0]:
            return 0.0
        # A kernel that ended takes its seconds along; that is no negative use.
        return round(max(0.0, (seconds - last[1]) / (now - last[0])), 2)


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        # Another user's process (sudo), or a system that does not know shared shares.
        return float(process.memory_info().rss)


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def of_this_server(root: str) -> Usage:
    """Return the measure of the process that this runs in."""
    return Usage(os.getpid(), root, os.environ)
