"""Supervisors by fork: a process that has imported all that a supervisor needs and waits.

``python -S -m kpl_lab.engines.local.template FD PORTS ROLE``: for each line on the socket (a replica's folder
as JSON) it forks a supervisor and answers its pid. A fork takes milliseconds where a fresh
interpreter takes a tenth of a second, and shares its memory. It has one thread, holds nothing, and
ends when the runner does; the supervisors go on.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import NoReturn

from kpl_lab.engines.local import syscalls, warm
from kpl_lab.engines.local.connect_filter import ConnectFilter
from kpl_lab.engines.local.shim import Shim

_MAX_LINE_BYTES = 65536
_READY = b"ready"
_SLICE = 2000  # entries of a filter between looks at the channel: some milliseconds


class Role(Enum):
    """Which supervisors a template makes."""

    #: Of tasks and builds: under the filter themselves, so that it costs them nothing.
    CONFINED = "confined"
    #: Of services and servers, which connect to them: the command alone gets under the filter.
    FREE = "free"
    #: As free, of servers, with JupyterLab's server imported.
    WARM = "warm"


def _become_supervisor(folder: Path, connect_filter: ConnectFilter | None) -> NoReturn:
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with (folder / "shim.log").open("ab") as errors:
            os.dup2(errors.fileno(), 1)
            os.dup2(errors.fileno(), 2)
        with contextlib.suppress(OSError):
            syscalls.name_process("kpl-shim")
        Shim(folder, connect_filter).run()
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        os._exit(code)


def serve(channel: socket.socket, connect_filter: ConnectFilter | None, role: Role) -> None:
    """Fork a supervisor for each folder named on ``channel`` until it is closed.

    Each takes the filter that is there. It is made while there is nothing else to do, because that
    takes longer than all else of a start; who gets an unfinished one finishes it.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps them
    while True:
        while connect_filter is not None and connect_filter.grow(_SLICE):
            if select.select([channel], [], [], 0)[0]:
                break
        line = channel.recv(_MAX_LINE_BYTES)
        if not line:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become_supervisor(Path(json.loads(line)), connect_filter)
        channel.send(str(pid).encode())
        if connect_filter is not None and role is Role.FREE:
            connect_filter.close()  # it may get an entry for the port of that replica
            connect_filter = connect_filter.again()


class Template:
    """The runner's end: starts the template, asks it for supervisors, replaces it when it dies.

    Parameters
    ----------
    refused
        Ports that workloads are kept from; None: they are kept from none.
    """

    def __init__(
        self, environment: Mapping[str, str], refused: range | None, role: Role = Role.FREE
    ) -> None:
        self._refused = refused
        self._role = role
        self._is_warm = role is Role.WARM
        self._is_ready = False
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def start(self, folder: Path) -> int:
        """Return the pid of a new supervisor for ``folder``.

        Raises
        ------
        OSError
            No process can be made.
        """
        for _ in range(2):
            channel = self._channel or self._launch()
            with contextlib.suppress(OSError):
                channel.send(json.dumps(str(folder)).encode())
                answer = channel.recv(32)
                if answer:
                    return int(answer)
            self.close()
            if self._is_warm:
                self.prepare()  # for the next one; this one shall not wait for it
                break
        raise OSError("the process that starts supervisors has died")

    def prepare(self) -> None:
        """Have the template import and make all it needs; returns at once."""
        self._launch()

    def is_ready(self) -> bool:
        """Say whether a warm template has imported all it needs; never waits."""
        if self._channel is not None and not self._is_ready:
            with contextlib.suppress(OSError):
                self._is_ready = self._channel.recv(32, socket.MSG_DONTWAIT) == _READY
        return self._is_ready

    def close(self) -> None:
        """End the template; supervisors go on."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._is_ready = False
        if self._process is not None:
            self._process.terminate()  # it may still be importing
            self._process.wait()
            self._process = None

    def _launch(self) -> socket.socket:
        # Packets, not a stream: one send is one line.
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = [] if self._is_warm else ["-S"]  # the standard library alone: faster
        command = [sys.executable, *options, "-m", "kpl_lab.engines.local.template"]
        refused = self._refused
        ports = "" if refused is None else f"{refused.start}-{refused.stop}"
        with theirs:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), ports, self._role.value],
                cwd="/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._channel = ours
        return ours


def main() -> None:
    """Serve on the inherited socket that the first argument numbers."""
    os.umask(0o022)
    start, _, stop = sys.argv[2].partition("-")
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        role = Role(sys.argv[3])
        if role is Role.WARM:
            if not warm.preload():
                return
            channel.send(_READY)
        connect_filter = ConnectFilter(range(int(start), int(stop))) if start else None
        if connect_filter is not None and role is Role.CONFINED:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            connect_filter.enforce()
            connect_filter.close()
            connect_filter = None
        serve(channel, connect_filter, role)


if __name__ == "__main__":
    main()
