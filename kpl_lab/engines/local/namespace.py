"""Mount namespaces: what a process sees of the machine's folders, and the account it has.

Checkout, interpreter and ``KPL_HOME`` may lie below folders that are closed to other accounts
(root's home). With CAP_SYS_ADMIN a process gets a mount namespace in which the way to the named
paths is open and everything else below the closed folder is gone. :func:`enter` and
:func:`drop_to` are for a child between fork and exec: they change the calling process for good.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kpl_lab.engines.local import syscalls
from kpl_lab.engines.local.syscalls import MountFlag

_COVER = MountFlag.NOSUID | MountFlag.NODEV
_NO_MORE = MountFlag(0)


@dataclass(frozen=True, kw_only=True)
class Bind:
    """``source`` shown at ``target``."""

    source: Path
    target: Path
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class View:
    """What a process is to see.

    Attributes
    ----------
    read_only, writable
        Paths shown where they are; writable ones may lie inside read-only ones.
    hidden
        Folders whose content is gone but for what is shown below them.
    binds
        Folders shown at another place.
    shm_mb
        Size of a ``/dev/shm`` of its own, in MiB; None: the machine's.
    """

    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    binds: tuple[Bind, ...] = ()
    shm_mb: int | None = None


def can_enter() -> bool:
    """Say whether this process may make mount namespaces (tried in a child, seccomp included)."""
    if not syscalls.has_capability(syscalls.CAP_SYS_ADMIN):
        return False
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.SLAVE)
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def first_closed(path: Path, uid: int, gid: int) -> Path | None:
    """Return the uppermost folder on the way to ``path`` that ``uid``/``gid`` may not pass.

    Groups other than ``gid`` and ACLs are not looked at: our accounts have none.
    """
    resolved = path.resolve()
    for folder in [*reversed(resolved.parents), resolved]:
        try:
            found = folder.stat()
        except OSError:
            return folder
        if stat.S_ISDIR(found.st_mode) and not _may_pass(found, uid, gid):
            return folder
    return None


def closed_sentence(folder: Path) -> str:
    """Say that ``folder`` is in the way of other accounts and :func:`can_enter` does not hold."""
    return (
        f"The folder {folder} is closed to other accounts, and this machine does not let us open "
        "a way below it (CAP_SYS_ADMIN is missing). Move the checkout and KPL_HOME out of it, or "
        f"open it with: chmod o+x {folder}"
    )


def _may_pass(found: os.stat_result, uid: int, gid: int) -> bool:
    if uid == 0:
        return True
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


def prefix_paths(prefix: Path) -> tuple[Path, ...]:
    """Return the folders that the Python environment at ``prefix`` is made of.

    The environment itself, the installation that it was made from, and where its interpreter's
    links end.
    """
    found = {prefix.resolve()}
    config = prefix / "pyvenv.cfg"
    if config.is_file():
        for line in config.read_text(errors="replace").splitlines():
            key, _, value = line.partition("=")
            if key.strip() == "home":
                found.add(_installation(Path(value.strip()).resolve()))
    found.add(_installation((prefix / "bin" / "python").resolve().parent))
    # /usr and the like are open to everybody and need no showing.
    return tuple(sorted(p for p in found if len(p.parts) > 2 or not p.is_relative_to("/usr")))


def _installation(bin_folder: Path) -> Path:
    return bin_folder.parent if bin_folder.name == "bin" else bin_folder


def platform_paths() -> tuple[Path, ...]:
    """Return the folders that this program itself runs from: packages and interpreter."""
    package_root = Path(__file__).resolve().parents[3]
    return tuple(sorted({package_root, *prefix_paths(Path(sys.prefix))}))


def enter(
    paths_ro: Sequence[Path] = (),
    paths_rw: Sequence[Path] = (),
    *,
    uid: int,
    gid: int,
) -> None:
    """Give this process a namespace in which ``uid``/``gid`` reach the named paths.

    Only folders closed to that account are covered; all else stays as it is. Needs CAP_SYS_ADMIN
    (see :func:`can_enter`).

    Raises
    ------
    OSError
        A mount was refused, or a path is not there.
    """
    enter_view(View(read_only=tuple(paths_ro), writable=tuple(paths_rw)), uid=uid, gid=gid)


def enter_view(view: View, *, uid: int, gid: int) -> None:
    """As :func:`enter`, with everything that a :class:`View` can say."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    # Slave, not private: a live mount that the runner makes or takes away must arrive here.
    syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.SLAVE)
    shown = _shown(view)
    covers = {path.resolve() for path in view.hidden}
    for bind in shown:
        closed = first_closed(bind.target.parent, uid, gid)
        if closed is not None:
            covers.add(closed)
    # Opened before anything is covered: the descriptors still lead there afterwards.
    opened = [(bind, os.open(bind.source, os.O_PATH | os.O_CLOEXEC)) for bind in shown]
    # From the root down, and a cover before what is shown in its place.
    steps: list[Path | tuple[Bind, int]] = [*covers, *opened]
    for step in sorted(steps, key=_depth):
        if isinstance(step, Path):
            _cover(step)
        else:
            _show(step[1], step[0])
            os.close(step[1])
    if view.shm_mb is not None and Path("/dev/shm").is_dir():  # noqa: S108 (a mount point)
        size = f"size={view.shm_mb}m,mode=1777"
        syscalls.mount("tmpfs", "/dev/shm", "tmpfs", _COVER, size)  # noqa: S108


def _depth(step: Path | tuple[Bind, int]) -> tuple[int, int]:
    if isinstance(step, Path):
        return len(step.parts), 0
    return len(step[0].target.parts), 1


def _shown(view: View) -> list[Bind]:
    def real(paths: Iterable[Path]) -> list[Path]:
        return sorted({path.resolve() for path in paths})

    writable = real(view.writable)
    return [
        *(Bind(source=p, target=p) for p in real(view.read_only) if p not in writable),
        *(Bind(source=p, target=p, read_only=False) for p in writable),
        *view.binds,
    ]


def _cover(folder: Path) -> None:
    if folder.is_dir():
        syscalls.mount("tmpfs", folder, "tmpfs", _COVER, "size=1m,mode=755")


def _show(fd: int, bind: Bind) -> None:
    is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
    if not bind.target.exists():
        bind.target.parent.mkdir(parents=True, exist_ok=True)
        if is_folder:
            bind.target.mkdir(exist_ok=True)
        else:
            bind.target.touch()
    # Writable folders with all that is mounted in them: a store may lie on a disk of its own.
    depth = MountFlag(0) if bind.read_only else MountFlag.REC
    syscalls.mount(f"/proc/self/fd/{fd}", bind.target, None, MountFlag.BIND | depth)
    if bind.read_only:
        make_read_only(bind.target)


def make_read_only(target: Path, more: MountFlag = _NO_MORE) -> None:
    """Turn the bind mount at ``target`` read-only; nobody inside can turn it back.

    Parameters
    ----------
    more
        Further flags that it gets.
    """
    flags = MountFlag.REMOUNT | MountFlag.BIND | MountFlag.RDONLY | more
    syscalls.mount(None, target, None, flags | syscalls.mount_flags_of(target))


def drop_to(uid: int, gid: int) -> None:
    """Become ``uid``/``gid`` for good, with no other group and no way to gain privileges.

    Raises
    ------
    OSError
        The account does not exist in this container's user namespace, or we are not root.
    """
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    # The change has closed /proc/<pid> to the account itself; an exec would open it again, a
    # server that is forked from the template never calls one.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(parent: int) -> None:
    """Have this process killed when ``parent``, which has forked it, is gone.

    To be called once more after :func:`drop_to`, which undoes it. A parent that was killed just
    before the call is noticed too.
    """
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
