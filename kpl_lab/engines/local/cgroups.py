"""Limits by cgroups: version 2, else version 1; which of them this process can use.

Files: ``Documentation/admin-guide/cgroup-v1`` and ``cgroup-v2.rst`` of the kernel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.local.plan import Ceilings
from kpl_lab.measures.cgroups import SELF, Counters, mounts, own_folder, own_paths

_MIB = 1024 * 1024
_PERIOD = 100_000
CONTROLLERS = ("memory", "cpu", "pids", "cpuacct")


@dataclass(frozen=True)
class Hierarchy:
    """Where groups can be made: parent folder by controller."""

    mode: str
    parents: dict[str, str]


def forget(hierarchy: Hierarchy) -> None:
    """Remove our parent groups where nothing is left in them."""
    for parent in dict.fromkeys(hierarchy.parents.values()):
        with contextlib.suppress(OSError):
            Path(parent).rmdir()


def group_name(name: str, index: int) -> str:
    """Return how the groups of a replica are called."""
    return f"{name}-{index}"


NONE = Hierarchy("none", {})


def detect(instance: str, mode: str = "auto", *, proc: Path = SELF) -> Hierarchy:
    """Return the best hierarchy in which groups can really be made.

    Parameters
    ----------
    instance
        Word in the names of our groups.
    mode
        ``auto``, ``v2``, ``v1`` or ``none``.
    proc
        Where ``cgroup`` and ``mountinfo`` of this process are read.
    """
    name = f"kpl-{instance}"
    for kind, find in (("v2", _detect_v2), ("v1", _detect_v1)):
        if mode in ("auto", kind):
            parents = find(name, proc)
            if "memory" in parents:
                return Hierarchy(kind, parents)
    return NONE


def _detect_v1(name: str, proc: Path) -> dict[str, str]:
    own, found = own_paths(proc), {}
    for kind, mount, options in mounts(proc):
        if kind != "cgroup":
            continue
        for controller in set(options.split(",")) & set(CONTROLLERS):
            parent = own_folder(mount, own.get(controller)) / name
            with contextlib.suppress(OSError):
                parent.mkdir(exist_ok=True)
                if os.access(parent, os.W_OK):
                    found[controller] = str(parent)
    return found


def _detect_v2(name: str, proc: Path) -> dict[str, str]:
    own = own_paths(proc).get("")
    for kind, mount, _ in mounts(proc):
        if kind != "cgroup2":
            continue
        # The root first: only there may processes and groups with controllers live side by side.
        for base in dict.fromkeys((mount, own_folder(mount, own))):
            with contextlib.suppress(OSError):
                _delegate(base)
                parent = base / name
                parent.mkdir(exist_ok=True)
                _enable(parent)
                return dict.fromkeys(("memory", "cpu", "pids"), str(parent))
    return {}


def _enable(group: Path) -> None:
    (group / "cgroup.subtree_control").write_text("+memory +cpu +pids")


def _delegate(base: Path) -> None:
    """Let groups below ``base`` have controllers.

    A container's root group holds processes, which forbids that; they move to a leaf beside ours.
    """
    try:
        _enable(base)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        leaf = base / "kpl-others"
        leaf.mkdir(exist_ok=True)
        for pid in (base / "cgroup.procs").read_text().split():
            with contextlib.suppress(OSError):
                (leaf / "cgroup.procs").write_text(pid)
        _enable(base)


@dataclass(frozen=True)
class Group:
    """The groups of one replica, one folder per controller (version 2: the same one)."""

    mode: str
    folders: dict[str, str]

    @classmethod
    def below(cls, hierarchy: Hierarchy, name: str) -> Group:
        """Return the groups called ``name``, which need not be there yet."""
        folders = {c: str(Path(parent) / name) for c, parent in hierarchy.parents.items()}
        return cls(hierarchy.mode, folders)

    def create(self, ceilings: Ceilings) -> None:
        """Make the groups and set their limits; again after a crash is fine."""
        for folder in self._distinct():
            # The parent may have been removed as empty when an earlier runner ended.
            folder.mkdir(parents=True, exist_ok=True)
        if self.mode == "v2":
            self._limit_v2(ceilings)
        else:
            self._limit_v1(ceilings)

    def _limit_v2(self, ceilings: Ceilings) -> None:
        self._write("memory", "memory.max", ceilings.memory_mb * _MIB)
        self._try("memory", "memory.swap.max", 0)
        self._try("cpu", "cpu.max", f"{int(ceilings.cpu * _PERIOD)} {_PERIOD}")
        self._try("cpu", "cpu.weight", max(1, min(10_000, int(100 * ceilings.cpu))))
        self._try("pids", "pids.max", ceilings.processes)

    def _limit_v1(self, ceilings: Ceilings) -> None:
        size = ceilings.memory_mb * _MIB
        # The sum with swap may never be below memory alone: lift it first when raising.
        self._try("memory", "memory.memsw.limit_in_bytes", -1)
        self._write("memory", "memory.limit_in_bytes", size)
        self._try("memory", "memory.memsw.limit_in_bytes", size)
        self._try("memory", "memory.swappiness", 0)
        self._try("cpu", "cpu.cfs_period_us", _PERIOD)
        self._try("cpu", "cpu.cfs_quota_us", max(1000, int(ceilings.cpu * _PERIOD)))
        self._try("cpu", "cpu.shares", max(2, int(1024 * ceilings.cpu)))
        self._try("pids", "pids.max", ceilings.processes)

    def join(self) -> None:
        """Put the calling process into the groups (``0`` means the writer)."""
        for folder in self._distinct():
            (folder / "cgroup.procs").write_text("0")

    def pids(self) -> list[int]:
        """Return the processes in it."""
        return self._counters.pids()

    def kill(self) -> None:
        """Kill every process in it, also those that fork meanwhile; returns when none is left."""
        self._try("pids", "pids.max", 0)  # no new ones
        if self.mode == "v2":
            self._try("memory", "cgroup.kill", 1)
        for _ in range(200):
            pids = self.pids()
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def memory_mb(self) -> int:
        """Return what is really held in MiB: not the page cache that the kernel can drop."""
        return self._counters.memory_bytes() // _MIB

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for lack of memory."""
        return self._counters.oom_kills()

    def cpu_seconds(self) -> float | None:
        """Return the processor time used by all processes that ever were in it."""
        return self._counters.cpu_seconds()

    @property
    def _counters(self) -> Counters:
        return Counters(self.mode, self.folders)

    def remove(self, *, patience_seconds: float = 2.0) -> bool:
        """Remove the groups; False when a process still sits in one after the patience.

        A killed process leaves its group a moment after it is dead.
        """
        deadline = time.monotonic() + patience_seconds
        while not all(self._is_removed(folder) for folder in self._distinct()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    @staticmethod
    def _is_removed(folder: Path) -> bool:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _distinct(self) -> list[Path]:
        return [Path(folder) for folder in dict.fromkeys(self.folders.values())]

    def _write(self, controller: str, name: str, value: int | str) -> None:
        (Path(self.folders[controller]) / name).write_text(str(value))

    def _try(self, controller: str, name: str, value: int | str) -> None:
        """Set what this kernel may not have (swap accounting, quotas)."""
        with contextlib.suppress(OSError, KeyError):
            self._write(controller, name, value)


def machine_memory_limit_mb(proc: Path = SELF) -> int | None:
    """Return the tightest memory limit above this process in MiB; None: there is none."""
    own, limits = own_paths(proc), []
    for kind, mount, options in mounts(proc):
        if kind == "cgroup2":
            folder, name = own_folder(mount, own.get("")), "memory.max"
        elif "memory" in options.split(","):
            folder, name = own_folder(mount, own.get("memory")), "memory.limit_in_bytes"
        else:
            continue
        for group in (folder, *folder.parents):
            with contextlib.suppress(OSError, ValueError):
                limits.append(int((group / name).read_text()))
            if group == mount:
                break
    real = [limit for limit in limits if limit < 1 << 60]
    return min(real) // _MIB if real else None
