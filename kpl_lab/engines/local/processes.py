"""What ``/proc`` says of processes: who they are, whose children, what they use and listen on.

Formats: proc(5). A process is known by pid, start time and boot id, never by pid alone.

The environment, descriptors and memory of another account's process are shown to CAP_SYS_PTRACE and
to that account alone. Root has not that capability in every container; so what concerns a process
is read with its owner's rights, see :func:`_as_owner`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.local import syscalls

_PROC = Path("/proc")
_LISTEN = "0A"
MARK = "KPL_WORKLOAD_ID"
_TICKS = os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Return the kernel's word for this start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@dataclass(frozen=True)
class ProcessId:
    """One process for ever: no other one ever has the same three values."""

    pid: int
    start: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a living process, or None."""
        found = read_stat(pid)
        return None if found is None else cls(pid, found.start, boot_id())

    def is_alive(self) -> bool:
        """Say whether it still runs; a zombie does not."""
        found = read_stat(self.pid)
        return found is not None and found.start == self.start and self.boot == boot_id()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to this very process; no-op when it is gone."""
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)


@dataclass(frozen=True)
class Stat:
    """A line of ``/proc/<pid>/stat``: times in clock ticks."""

    pid: int
    parent: int
    start: int
    cpu_ticks: int


def read_stat(pid: int) -> Stat | None:
    """Return what the kernel says of ``pid``; None when it is gone or a zombie."""
    try:
        line = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # The name in parentheses may hold anything: parentheses, or a letter that the kernel has cut.
    words = line[line.rindex(b")") + 2 :].split()
    if words[0] in (b"Z", b"X"):
        return None
    return Stat(pid, int(words[1]), int(words[19]), int(words[11]) + int(words[12]))


def all_processes() -> Iterator[Stat]:
    """Yield every living process that can be seen."""
    for name in os.listdir(_PROC):  # noqa: PTH208 (thousands of entries, names alone)
        if name.isdigit():
            found = read_stat(int(name))
            if found is not None:
                yield found


def descendants(root: int, *, without: Collection[int] = ()) -> list[int]:
    """Return the pids below ``root``, not ``root`` itself, nor what ``without`` names and below."""
    children: dict[int, list[int]] = {}
    for one in all_processes():
        children.setdefault(one.parent, []).append(one.pid)
    found: list[int] = []
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in without:
                found.append(pid)
                waiting.append(pid)
    return found


@contextlib.contextmanager
def _as_owner(pid: int) -> Iterator[Path]:
    """Give the folder of a process, to be read with the rights of its account.

    Raises
    ------
    OSError
        The process is gone.
    """
    folder = _PROC / str(pid)
    if os.geteuid() != 0:
        yield folder
        return
    owner = folder.stat()
    syscalls.set_fs_account(owner.st_uid, owner.st_gid)
    try:
        yield folder
    finally:
        syscalls.set_fs_account(0, os.getegid())
        # The change has closed our own /proc/<pid> to other processes of our account.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def pids_of_user(uid: int) -> list[int]:
    """Return the pids of an account."""
    found = []
    for one in all_processes():
        with contextlib.suppress(OSError):
            if (_PROC / str(one.pid)).stat().st_uid == uid:
                found.append(one.pid)
    return found


def variables_of(pid: int) -> list[bytes]:
    """Return the ``NAME=value`` with which a process was started; none when it is gone."""
    with contextlib.suppress(OSError), _as_owner(pid) as folder:
        return (folder / "environ").read_bytes().split(b"\0")
    return []


def pids_with_variable(line: str) -> list[int]:
    """Return the pids that were started with ``NAME=value`` in their environment."""
    wanted = line.encode()
    return [one.pid for one in all_processes() if wanted in variables_of(one.pid)]


def threads_of_user(uid: int) -> int:
    """Return how many threads an account has, as RLIMIT_NPROC counts them."""
    count = 0
    for pid in pids_of_user(uid):
        with contextlib.suppress(OSError):
            count += len(list((_PROC / str(pid) / "task").iterdir()))
    return count


def send(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each; those that are gone are skipped."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def memory_mb(pids: Iterable[int]) -> int:
    """Return the memory of processes together in MiB: PSS, so that shared pages count once."""
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError), _as_owner(pid) as folder:
            for line in (folder / "smaps_rollup").read_bytes().splitlines():
                if line.startswith(b"Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb // 1024


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of living processes together."""
    found = (read_stat(pid) for pid in pids)
    return sum(one.cpu_ticks for one in found if one is not None) / _TICKS


def listening_ports(pids: Iterable[int]) -> set[int]:
    """Return the TCP ports on which any of the processes listens."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError), _as_owner(pid) as folder:
            for fd in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    target = str(fd.readlink())
                    if target.startswith("socket:["):
                        inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTEN and words[9] in inodes:
                    ports.add(int(words[1].rpartition(":")[2], 16))
    return ports
