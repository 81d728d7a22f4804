"""Listening sockets that outlive the process behind them.

The supervisor opens them and hands them down. Who calls while the process is being started again
waits for the next one and is not refused; a service's caller, whom Traefik asks the platform about,
does not notice that it was killed.
"""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from kpl_lab.engines.local import syscalls
from kpl_lab.errors import EngineError

OPTION = "--listen-fd"
"""What a process is told the number of its socket by."""
HOST = "127.0.0.1"
WAITING = 1024


def open_door(port: int) -> socket.socket:
    """Return a socket that listens on a port of the loopback.

    Raises
    ------
    EngineError
        The port is taken.
    """
    try:
        return socket.create_server((HOST, port), backlog=WAITING)
    except OSError as error:
        raise EngineError(
            f"Nothing can listen on port {port}: {error}. `kpl-lab doctor` names who has it.",
            code="port_taken",
            detail={"port": port},
        ) from error


def borrow(pid: int, port: int) -> socket.socket | None:
    """Return the socket that a running process was handed, by a supervisor that is no more.

    None where it was handed none for ``port``, or where this account may not have it (that takes
    the right to trace the process): then callers are refused while it is started again.
    """
    with contextlib.suppress(OSError, ValueError):
        arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        number = int(arguments[arguments.index(OPTION) + 1])
        process = os.pidfd_open(pid)
        try:
            found = socket.socket(fileno=syscalls.pidfd_getfd(process, number))
        finally:
            os.close(process)
        if found.getsockname()[1] == port:
            return found
        found.close()
    return None
