"""Hands the socket that we listen on to a supervisor that has taken the place of another one.

The supervisor that opened it may be killed. The next one asks for it here, over a Unix socket, so
that callers still wait and are not refused when this process is started again. (To take it out of
our process by itself needs the right to trace it, which root in a container has not.)
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

from kpl_lab.engines.running.protocol import SocketPath, peer_uid


def lend(door: socket.socket, path: Path) -> None:
    """Give copies of ``door`` at ``path``, to root and to our own account, for as long as we live.

    Without room for the Unix socket there is none, and a supervisor that comes later opens a door
    of its own.
    """
    giver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    address = SocketPath.of(path)
    try:
        path.unlink(missing_ok=True)
        giver.bind(address.address)
        path.chmod(0o600)
        giver.listen(4)
    except OSError:
        giver.close()
        return
    finally:
        address.close()
    threading.Thread(target=_give, args=(giver, door), name="door", daemon=True).start()


def _give(giver: socket.socket, door: socket.socket) -> None:
    while True:
        with contextlib.suppress(OSError):
            asker, _ = giver.accept()
            with asker:
                if peer_uid(asker) in (0, os.geteuid()):
                    socket.send_fds(asker, [b"door"], [door.fileno()])
