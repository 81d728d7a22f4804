"""What cgroups, version 1 and 2, say of the processes in them.

Files: ``Documentation/admin-guide/cgroup-v1`` and ``cgroup-v2.rst`` of the kernel.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SELF = Path("/proc/self")
_UNLIMITED = 1 << 60
_KINDS = {"cgroup": "v1", "cgroup2": "v2"}
_USED = {"v1": "memory.usage_in_bytes", "v2": "memory.current"}
_LIMIT = {"v1": "memory.limit_in_bytes", "v2": "memory.max"}
_CACHE = {"v1": "total_inactive_file", "v2": "inactive_file"}
_EVENTS = {"v1": "memory.oom_control", "v2": "memory.events"}


def own_paths(proc: Path = SELF) -> dict[str, str]:
    """Return this process's group by controller; version 2 under the empty name."""
    found = {}
    for line in _lines(proc / "cgroup"):
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def mounts(proc: Path = SELF) -> list[tuple[str, Path, str]]:
    """Return kind, place and options of every cgroup mount."""
    found = []
    for line in _lines(proc / "mountinfo"):
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind in _KINDS:
            found.append((kind, Path(before.split()[4]), options))
    return found


def own_folder(mount: Path, own: str | None) -> Path:
    """Return our own group below ``mount``; the mount where a container shows a part only."""
    below = mount / (own or "/").lstrip("/")
    return below if below.is_dir() else mount


def _lines(file: Path) -> list[str]:
    """Return the lines of a file that names folders of the machine, which need not be text."""
    return [os.fsdecode(line) for line in file.read_bytes().split(b"\n") if line]


@dataclass(frozen=True)
class Counters:
    """The readable side of a group.

    Attributes
    ----------
    version
        ``v1`` or ``v2``.
    folders
        Folder by controller; with version 2 the same one for all.
    """

    version: str
    folders: Mapping[str, str]

    @classmethod
    def of_this_process(cls, proc: Path = SELF) -> Counters | None:
        """Return the group that holds this process; None where its memory is not counted."""
        try:
            own, found = own_paths(proc), mounts(proc)
        except OSError:  # no Linux, or a container without /proc
            return None
        for version in ("v2", "v1"):
            folders = {
                controller: str(folder)
                for kind, mount, options in found
                if _KINDS[kind] == version
                for controller, folder in _controllers(version, mount, options, own)
            }
            counters = cls(version, folders)
            if "memory" in folders and counters._text(_USED[version]):
                return counters
        return None

    def memory_bytes(self) -> int:
        """Return what is really held: not the page cache that the kernel can drop."""
        used = self._number(_USED[self.version])
        return max(0, used - self._statistic(_CACHE[self.version], "memory.stat"))

    def memory_limit_bytes(self) -> int | None:
        """Return the ceiling; None: there is none."""
        limit = self._number(_LIMIT[self.version])
        return limit if 0 < limit < _UNLIMITED else None

    def oom_kills(self) -> int:
        """Return how many processes the kernel has killed here for lack of memory."""
        return self._statistic("oom_kill", _EVENTS[self.version])

    def cpu_seconds(self) -> float | None:
        """Return the processor time used by all processes that ever were in it."""
        if self.version == "v2":
            return self._statistic("usage_usec", "cpu.stat", "cpu") / 1e6
        if "cpuacct" in self.folders:
            return self._number("cpuacct.usage", "cpuacct") / 1e9
        return None

    def pids(self) -> list[int]:
        """Return the processes in it."""
        # The memory controller's first: a process may be in groups of the others with strangers.
        first = self.folders.get("memory", "")
        for folder in dict.fromkeys((first, *self.folders.values())):
            with contextlib.suppress(OSError):
                return [int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split()]
        return []

    def _text(self, name: str, controller: str = "memory") -> str:
        try:
            return (Path(self.folders[controller]) / name).read_text()
        except (OSError, KeyError):
            return ""

    def _number(self, name: str, controller: str = "memory") -> int:
        text = self._text(name, controller).strip()
        return int(text) if text.isdecimal() else 0

    def _statistic(self, key: str, name: str, controller: str = "memory") -> int:
        return statistic(self._text(name, controller), key)


def statistic(text: str, key: str) -> int:
    """Return the number behind ``key`` in a file of ``key number`` lines; 0 where it is not."""
    for line in text.splitlines():
        word, _, value = line.partition(" ")
        if word == key:
            return int(value)
    return 0


def _controllers(
    version: str, mount: Path, options: str, own: Mapping[str, str]
) -> list[tuple[str, Path]]:
    if version == "v2":
        folder = own_folder(mount, own.get(""))
        return [(controller, folder) for controller in ("memory", "cpu", "pids")]
    # Only what holds the same processes as the group whose memory is counted.
    return [
        (controller, own_folder(mount, own.get(controller)))
        for controller in options.split(",")
        if controller in ("memory", "cpuacct", "pids") and own.get(controller) == own.get("memory")
    ]
