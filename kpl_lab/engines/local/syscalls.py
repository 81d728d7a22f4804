"""The few Linux calls that Python's library lacks: mounts, namespaces, prctl and inotify.

Numbers are from ``<sys/mount.h>``, ``<sched.h>``, ``<sys/prctl.h>``, ``<sys/inotify.h>`` and
``<asm-generic/unistd.h>``.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from functools import cache
from pathlib import Path

CLONE_NEWNS = 0x00020000
PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CAP_SYS_ADMIN = 21
MNT_DETACH = 2


class MountFlag(IntFlag):
    """Flags of ``mount(2)``."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    REC = 16384
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _bytes(path: str | Path | None) -> bytes | None:
    return None if path is None else os.fsencode(path)


def mount(
    source: str | Path | None,
    target: str | Path,
    kind: str | None,
    flags: MountFlag,
    data: str | None = None,
) -> None:
    """Call ``mount(2)``.

    Raises
    ------
    OSError
        The kernel refused.
    """
    _check(
        _libc().mount(
            _bytes(source),
            _bytes(target),
            _bytes(kind),
            ctypes.c_ulong(int(flags)),
            _bytes(data),
        ),
        f"mount {target}",
    )


def unmount(target: str | Path, *, detach: bool = True) -> None:
    """Call ``umount2(2)``; with ``detach`` it vanishes at once, also when it is in use."""
    _check(_libc().umount2(_bytes(target), MNT_DETACH if detach else 0), f"unmount {target}")


def sync_file_system(fd: int) -> None:
    """Call ``syncfs(2)``: what was written to the file system of ``fd`` is on its disk then."""
    _check(_libc().syncfs(fd), "syncfs")


def unshare(flags: int) -> None:
    """Call ``unshare(2)``."""
    _check(_libc().unshare(flags), "unshare")


def prctl(option: int, value: int, second: int = 0) -> None:
    """Call ``prctl(2)``; an argument may be an address."""
    zero = ctypes.c_ulong(0)
    _check(
        _libc().prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(second), zero, zero),
        f"prctl {option}",
    )


def call(what: str, number: int, *arguments: object) -> int:
    """Make a system call that the C library has no function for; ``what`` is its name.

    Raises
    ------
    OSError
        The kernel refused, or does not know it.
    """
    return _check(int(_libc().syscall(number, *arguments)), what)


def name_process(name: str) -> None:
    """Give this process a short name (15 bytes) in the machine's lists."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _check(_libc().prctl(PR_SET_NAME, buffer, 0, 0, 0), "prctl")


def set_fs_account(uid: int, gid: int) -> None:
    """Let this thread look at files, and at ``/proc``, as an account does: ``setfsuid(2)``.

    The calls tell no errors: what was not allowed shows when a file is opened.
    """
    _libc().setfsgid(gid)
    _libc().setfsuid(uid)


def mount_flags_of(path: str | Path) -> MountFlag:
    """Return the flags of the mount that ``path`` is on, which a remount has to repeat."""
    found = os.statvfs(path).f_flag
    known = {
        os.ST_NOSUID: MountFlag.NOSUID,
        os.ST_NODEV: MountFlag.NODEV,
        os.ST_NOEXEC: MountFlag.NOEXEC,
        os.ST_NOATIME: MountFlag.NOATIME,
        os.ST_NODIRATIME: MountFlag.NODIRATIME,
        os.ST_RELATIME: MountFlag.RELATIME,
    }
    flags = MountFlag(0)
    for bit, flag in known.items():
        if found & bit:
            flags |= flag
    return flags


def has_capability(number: int) -> bool:
    """Say whether this process has an effective capability."""
    for line in Path("/proc/self/status").read_bytes().splitlines():
        if line.startswith(b"CapEff:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return False


IN_CLOSE_WRITE = 0x8
IN_MOVED_TO = 0x80
IN_DELETE_SELF = 0x400
_EVENT = struct.Struct("iIII")


@dataclass(frozen=True)
class FileEvent:
    """One event of inotify: the watch, and the name of the file inside the watched folder."""

    watch: int
    mask: int
    name: str


class Inotify:
    """A file descriptor that becomes readable when watched folders change."""

    def __init__(self) -> None:
        self.fd = _check(_libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")

    def add(self, folder: Path, mask: int) -> int:
        """Watch ``folder``; return the number that its events carry."""
        return _check(
            _libc().inotify_add_watch(self.fd, os.fsencode(folder), ctypes.c_uint32(mask)),
            f"inotify_add_watch {folder}",
        )

    def remove(self, watch: int) -> None:
        """Stop watching; no-op when the folder is gone, which has ended the watch."""
        _libc().inotify_rm_watch(self.fd, watch)

    def read(self) -> Iterator[FileEvent]:
        """Yield what has happened; nothing when nothing has."""
        try:
            data = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        position = 0
        while position < len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size
            name = data[position : position + length].rstrip(b"\0")
            position += length
            yield FileEvent(watch, mask, os.fsdecode(name))

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self.fd)
