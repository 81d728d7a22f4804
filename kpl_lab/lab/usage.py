"""What this notebook server and its kernels use, against what they were given."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, Field

from kpl_lab.lab.given import MIB, number, own_group
from kpl_lab.lab.kernels import Kernel
from kpl_lab.measures.cgroups import SELF
from kpl_lab.measures.folders import disk_of
from kpl_lab.measures.gpus import Gpus
from kpl_lab.measures.processes import families, private_bytes


class GpuView(BaseModel):
    """Use of one GPU of this server."""

    index: int
    name: str
    busy: int | None = Field(description="per cent of the time; None: the driver does not tell")
    memory: int | None = Field(description="MiB")
    memory_limit: int | None = Field(description="MiB")


class KernelView(BaseModel):
    """Use of a kernel with what it has started."""

    path: str = Field(description="of its notebook or console")
    memory: int = Field(description="MiB that it shares with nobody")


class EndedView(BaseModel):
    """Something that was ended because the memory of the server was used up."""

    model_config = ConfigDict(from_attributes=True)
    number: int = Field(description="rises with each, from 1 at every start of the server")
    path: str | None = Field(description="the notebook or console; None: no kernel's own process")
    memory: int | None = Field(description="MiB that the kernel held when it was last looked at")
    at: dt.datetime


class UsageView(BaseModel):
    """Use of this server with all its kernels and terminals."""

    cpu: float = Field(description="cores in use since the last look")
    cpu_limit: float | None = None
    memory: int = Field(description="MiB; pages that processes share are counted once")
    memory_limit: int | None = Field(None, description="MiB")
    gpus: list[GpuView] = []
    disk_used: int = Field(description="MiB in use where the home folder is, others' too")
    disk_free: int = Field(description="MiB free where the home folder is")
    is_disk_full: bool = Field(False, description="too full to save a notebook")
    home: int | None = Field(None, description="MiB in the home folder when it was last counted")
    is_cleaning_up: bool = Field(False, description="started in a home without room")
    kernels: list[KernelView] = Field([], description="the largest first")
    ended: list[EndedView] = Field([], description="what memory has cost since the start")
    processes: int


class Usage:
    """Measures the server: by its own group where it has one, else by its process tree.

    Parameters
    ----------
    pid
        The server's own process.
    root
        Its folder.
    environment
        Where the hub's spawner says the limits: ``CPU_LIMIT`` in cores, ``MEM_LIMIT`` in bytes.
    proc
        Where this process's groups are told.
    """

    def __init__(
        self, pid: int, root: str, environment: Mapping[str, str], proc: Path = SELF
    ) -> None:
        self._pid = pid
        self._root = root
        self._cpu_limit = number(environment.get("CPU_LIMIT"))
        memory = number(environment.get("MEM_LIMIT"))
        self._memory_limit = int(memory / MIB) if memory else None
        self.group = own_group(environment, proc)
        if self.group is not None and self._memory_limit is None:
            self._memory_limit = (self.group.memory_limit_bytes() or 0) // MIB
        self._gpus = Gpus(environment)
        self._last: tuple[float, float] | None = None

    def measure(self, kernels: Sequence[Kernel] = ()) -> UsageView:
        """Return the present use; the first look has no cores in use yet."""
        seconds, memory, pids = self._of_group() or self._of_tree()
        disk = disk_of(self._root)
        return UsageView(
            cpu=self._cores(seconds),
            cpu_limit=self._cpu_limit,
            memory=int(memory / MIB),
            memory_limit=self._memory_limit,
            gpus=[GpuView(**vars(gpu)) for gpu in self._gpus.look()],
            disk_used=disk.used // MIB,
            disk_free=disk.free // MIB,
            is_disk_full=disk.is_full,
            kernels=_by_kernel(kernels, pids),
            processes=len(pids),
        )

    def _of_group(self) -> tuple[float, float, list[int]] | None:
        if self.group is None:
            return None
        pids = self.group.pids()
        seconds = self.group.cpu_seconds()
        if seconds is None:
            times = (_times(pid) for pid in pids)
            seconds = sum(times)
        return seconds, self.group.memory_bytes(), pids

    def _of_tree(self) -> tuple[float, float, list[int]]:
        seconds = memory = 0.0
        pids = []
        for process in _tree(self._pid):
            try:
                seconds += _times(process.pid)
                memory += _memory(process)
            except psutil.NoSuchProcess:
                continue
            pids.append(process.pid)
        return seconds, memory, pids

    def _cores(self, seconds: float) -> float:
        now = time.monotonic()
        last, self._last = self._last, (now, seconds)
        if last is None or now <= last[0]:
            return 0.0
        # A kernel that ended takes its seconds along; that is no negative use.
        return round(max(0.0, (seconds - last[1]) / (now - last[0])), 2)


def _by_kernel(kernels: Sequence[Kernel], pids: Iterable[int]) -> list[KernelView]:
    roots = {kernel.pid: kernel.path for kernel in kernels}
    if not roots:
        return []
    sizes = dict.fromkeys(roots, 0)
    for pid, root in families(roots, pids).items():
        sizes[root] += private_bytes(pid)
    found = [KernelView(path=roots[pid], memory=size // MIB) for pid, size in sizes.items()]
    return sorted(found, key=lambda one: (-one.memory, one.path))


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _times(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _memory(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        # Another user's process (sudo), or a system that does not know shared shares.
        return float(process.memory_info().rss)


def of_this_server(root: str) -> Usage:
    """Return the measure of the process that this runs in."""
    return Usage(os.getpid(), root, os.environ)
