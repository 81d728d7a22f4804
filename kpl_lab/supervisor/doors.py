"""Listening sockets that outlive the process behind them.

The supervisor opens them and hands them down. Who calls while the process is being started again
waits for the next one and is not refused; a service's caller, whom Traefik asks the platform about,
does not notice that it was killed.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from kpl_lab.engines.running.protocol import SocketPath
from kpl_lab.errors import EngineError

OPTION = "--listen-fd"
"""What a process is told the number of its socket by."""
HOST = "127.0.0.1"
WAITING = 1024
_BORROW_SECONDS = 2.0


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


def borrow(path: Path, port: int) -> socket.socket | None:
    """Return the socket that a running process was handed, by a supervisor that is no more.

    None where nobody lends one for ``port`` at ``path`` (see ``kpl_lab.platform.door``): then
    callers are refused while the process is started again.
    """
    address = SocketPath.of(path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(_BORROW_SECONDS)
            asker.connect(address.address)
            _, given, _, _ = socket.recv_fds(asker, 16, 1)
    except OSError:
        return None
    finally:
        address.close()
    for number in given:
        found = socket.socket(fileno=number)
        with contextlib.suppress(OSError):
            if found.getsockname()[1] == port:
                return found
        found.close()
    return None
