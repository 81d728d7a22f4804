"""What holds the processes of one replica together: a cgroup where there are any, else the tree.

A supervisor is the subreaper of all that its command starts, so the tree below it is complete:
a process that forks twice becomes its child.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from typing import Protocol

from kpl_lab.engines.local import processes
from kpl_lab.engines.local.cgroups import Group, Hierarchy, group_name
from kpl_lab.engines.local.plan import Plan
from kpl_lab.measures.processes import is_expendable

_MIB = 1024 * 1024


class Cage(Protocol):
    """Limits, knows, measures and kills all processes of a replica."""

    def open(self) -> None:
        """Make it ready; what an earlier supervisor left in it is killed."""
        ...

    def join(self) -> None:
        """Put the calling child into it (as root still)."""
        ...

    def pids(self) -> list[int]:
        """Return the processes in it."""
        ...

    def kill(self) -> None:
        """Kill them all; returns when none is left."""
        ...

    def memory_mb(self) -> int:
        """Return present use in MiB."""
        ...

    def cpu_seconds(self) -> float | None:
        """Return processor time so far."""
        ...

    def oom_kills(self) -> int:
        """Return how often the kernel has killed in it for lack of memory."""
        ...

    def relieve(self) -> bool:
        """Kill the largest expendable process; False where there is none to kill."""
        ...

    def close(self) -> None:
        """Remove what the cage itself is made of."""
        ...


class GroupCage:
    """A cage of cgroups."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.group = Group.below(
            Hierarchy(plan.cgroup_mode, plan.cgroups), group_name(plan.name, plan.index)
        )

    def open(self) -> None:
        """Make the groups."""
        self.group.create(self._plan.ceilings)
        if self.group.pids():
            self.group.kill()
            self.group.create(self._plan.ceilings)

    def join(self) -> None:
        """Enter the groups; a machine without the pids controller has an account's limit only."""
        if "pids" not in self.group.folders and self._plan.owns_uid:
            _lower(resource.RLIMIT_NPROC, self._plan.ceilings.processes)
        self.group.join()

    def pids(self) -> list[int]:
        """Return the processes in the groups."""
        return self.group.pids()

    def kill(self) -> None:
        """Kill them; the next command may then be started."""
        self.group.kill()
        with contextlib.suppress(OSError):
            self.group.create(self._plan.ceilings)

    def memory_mb(self) -> int:
        """Return use without droppable cache."""
        return self.group.memory_mb()

    def cpu_seconds(self) -> float | None:
        """Return what the kernel has counted."""
        return self.group.cpu_seconds()

    def oom_kills(self) -> int:
        """Return what the kernel has counted."""
        return self.group.oom_kills()

    def relieve(self) -> bool:
        """Leave it to the kernel, which never lets the groups grow beyond their limit."""
        return False

    def close(self) -> None:
        """Remove the groups."""
        self.group.remove()


class TreeCage:
    """A cage where there are no cgroups: the process tree below this supervisor."""

    def __init__(self, plan: Plan, *, without: set[int]) -> None:
        self._plan = plan
        self._without = without
        self._killed = 0
        self._dying: int | None = None

    def open(self) -> None:
        """Kill what an earlier supervisor left."""
        left = processes.pids_with_variable(f"{processes.MARK}={self._plan.mark}")
        processes.send([pid for pid in left if pid != os.getpid()], signal.SIGKILL)

    def join(self) -> None:
        """Set what a process can be limited by alone.

        Memory is watched from outside; RLIMIT_DATA stands behind the watch for bursts between two
        looks, with room for what is reserved and never touched. Never RLIMIT_AS: it stops
        ``import torch``.
        """
        ceilings = self._plan.ceilings
        size = (2 * ceilings.memory_mb + 1024) * _MIB
        _lower(resource.RLIMIT_DATA, size)
        # Counted per account: beside ours there may be others of the same account.
        others = 0 if self._plan.owns_uid else processes.threads_of_user(self._plan.uid)
        _lower(resource.RLIMIT_NPROC, others + ceilings.processes)

    def pids(self) -> list[int]:
        """Return the tree."""
        return processes.descendants(os.getpid(), without=self._without)

    def kill(self) -> None:
        """Kill the tree until nothing is left of it."""
        for _ in range(500):
            pids = self.pids()
            if not pids:
                return
            # Stopped first, so that none forks while the others are being killed.
            processes.send(pids, signal.SIGSTOP)
            if self._plan.owns_uid:
                _kill_account(self._plan.uid)
            processes.send(pids, signal.SIGKILL)
            time.sleep(0.005)

    def memory_mb(self) -> int:
        """Return the tree's PSS."""
        return processes.memory_mb(self.pids())

    def cpu_seconds(self) -> float | None:
        """Return the time of ended children and of living ones."""
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + processes.cpu_seconds(self.pids())

    def oom_kills(self) -> int:
        """Return how many we have killed: the kernel kills for the machine's lack only."""
        return self._killed

    def relieve(self) -> bool:
        """Kill the largest of those that are to die first, as the kernel would in a group.

        Until its memory is free, no other one is killed.
        """
        sizes = {pid: processes.memory_mb([pid]) for pid in self.pids() if is_expendable(pid)}
        if self._dying is not None and sizes.get(self._dying):
            return True
        largest = max(sizes, key=lambda pid: sizes[pid], default=None)
        if largest is None or not sizes[largest]:
            return False
        processes.send([largest], signal.SIGKILL)
        self._dying = largest
        self._killed += 1
        return True

    def close(self) -> None:
        """Nothing to remove."""


def _lower(what: int, value: int) -> None:
    hard = resource.getrlimit(what)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(what, (limit, limit))


def _kill_account(uid: int) -> None:
    """Kill every process of an account that only this replica has, in one call of the kernel."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            os.setresuid(uid, uid, uid)
            os.kill(-1, signal.SIGKILL)
        os._exit(0)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def make_cage(plan: Plan, *, without: set[int]) -> Cage:
    """Return the best cage that the runner has found possible.

    Parameters
    ----------
    without
        Pids of supervisor's own helpers, kept up to date by the caller.
    """
    if plan.cgroups:
        return GroupCage(plan)
    return TreeCage(plan, without=without)
