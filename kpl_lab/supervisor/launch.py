"""Starts one process: its own session, its log, its account, and the way to what it needs."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from kpl_lab.engines.local import namespace
from kpl_lab.engines.local.accounts import Account
from kpl_lab.errors import EngineError
from kpl_lab.settings import Home
from kpl_lab.supervisor import doors
from kpl_lab.supervisor.plan import Plan

LOG_BYTES = 64 << 20


def closed_folder(home: Home, account: Account) -> Path | None:
    """Return a folder on the way to what our processes need that ``account`` may not pass."""
    for path in (*namespace.platform_paths(), home.root):
        closed = namespace.first_closed(path, account.uid, account.gid)
        if closed is not None:
            return closed
    return None


def needs_namespace(home: Home, account: Account | None) -> bool:
    """Say whether processes of ``account`` need a mount namespace of their own.

    Raises
    ------
    EngineError
        They do, and this machine does not let us make one; names the folder.
    """
    if account is None or os.geteuid() != 0:
        return False
    closed = closed_folder(home, account)
    if closed is None:
        return False
    if not namespace.can_enter():
        raise EngineError(
            namespace.closed_sentence(closed),
            code="closed_folder",
            detail={"folder": str(closed)},
        )
    return True


def start(plan: Plan, home: Home, *, in_namespace: bool, door: socket.socket | None = None) -> int:
    """Start ``plan`` and return its pid at once; whoever keeps it takes leave of it by that.

    Parameters
    ----------
    door
        The listening socket to hand down.

    Raises
    ------
    EngineError
        The command cannot be started.
    """
    keep_log_small(plan.log)
    handed = () if door is None else (door.fileno(),)
    told = [doors.OPTION, *map(str, handed)] if handed else []
    fd = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [*plan.command, *told],
            cwd="/" if in_namespace else plan.directory,
            env=dict(plan.environment),
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=handed,
            preexec_fn=_become(plan, home, in_namespace),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(
            f"The process {plan.name} cannot be started: {error}.", code="start_failed"
        ) from error
    finally:
        os.close(fd)
    disown(process)
    return process.pid


def disown(process: subprocess.Popen[bytes]) -> None:
    """Have Python no longer look after ``process``, which is to outlive the object."""
    process.returncode = 0


def _become(plan: Plan, home: Home, in_namespace: bool) -> Callable[[], None] | None:
    account = plan.account
    if account is None or os.geteuid() != 0:
        return None
    paths = namespace.platform_paths() if in_namespace else ()

    def become() -> None:
        if in_namespace:
            namespace.enter(paths, (home.root,), uid=account.uid, gid=account.gid)
            os.chdir(plan.directory)
        namespace.drop_to(account.uid, account.gid)
        os.umask(0o027)

    return become


def keep_log_small(path: Path) -> None:
    """Set a log aside that has grown beyond its size; one former is kept."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
