"""The relay beside a task, as its supervisor sees it: started, kept alive, ended.

The supervisor listens on a free port of the loopback before anything is started and hands the
socket down (``listen_fd``), so that the command need not wait and a relay that dies is replaced
without a refused connection. ``<replica>/relay/`` belongs to the platform's account and holds
``config.json`` (0600), ``spool/`` and ``log``; ``<replica>/relay.port`` holds the port.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path

from kpl_lab.engines.local import namespace, syscalls
from kpl_lab.engines.local.launch import PASSED_ON, spawn
from kpl_lab.engines.local.plan import Plan, RelayPlan
from kpl_lab.engines.local.processes import MARK, ProcessId
from kpl_lab.engines.running.place import Place

_RESTART_SECONDS = 0.5
RELAY_MARK = ":relay"


class RelayProcess:
    """One relay.

    Parameters
    ----------
    helpers
        Set of pids that do not belong to the command; this one's is kept in it.
    """

    def __init__(self, plan: Plan, relay: RelayPlan, place: Place, helpers: set[int]) -> None:
        self._plan = plan
        self._place = place
        self._helpers = helpers
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._is_stopping = False
        self._next_start = 0.0
        self.pid: int | None = None
        self.port = int(self._socket.getsockname()[1])
        self._write(relay)

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def identity(self) -> ProcessId | None:
        """The process, to find it again."""
        return None if self.pid is None else ProcessId.of(self.pid)

    def _write(self, relay: RelayPlan) -> None:
        folder, plan = self._place.relay, self._plan
        spool = folder / "spool"
        spool.mkdir(parents=True, exist_ok=True)
        config = {
            **asdict(relay),
            "spool": str(spool),
            "outputs": str(self._place.outputs),
            "listen_fd": self._socket.fileno(),
        }
        path = folder / "config.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(config, file)
        folder.chmod(0o700)
        for one in (folder, spool, path):
            os.chown(one, plan.platform_uid, plan.platform_gid)
        (self._place.root / "relay.port").write_text(str(self.port))

    def start(self) -> None:
        """Start it under the platform's account, seeing its folder and the outputs only.

        Raises
        ------
        LaunchError
            It could not be started.
        """
        plan, place = self._plan, self._place
        fd = os.open(place.relay / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)

        def become() -> None:
            if plan.is_namespaced:
                view = namespace.View(
                    read_only=(*(Path(path) for path in plan.relay_shown), place.outputs),
                    writable=(place.relay,),
                    hidden=(Path(plan.kpl_home),),
                )
                namespace.enter_view(view, uid=plan.platform_uid, gid=plan.platform_gid)
            if os.geteuid() == 0:
                namespace.drop_to(plan.platform_uid, plan.platform_gid)
            # It delivers what it has also when its supervisor was killed.
            syscalls.prctl(syscalls.PR_SET_PDEATHSIG, 0)
            os.chdir("/")

        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {"PYTHONPATH": plan.package_root, MARK: plan.mark + RELAY_MARK}
        argv = [sys.executable, "-m", "kpl_lab.engines.local.relay"]
        argv += ["--config", str(place.relay / "config.json")]
        try:
            keep = (self._socket.fileno(),)
            self.pid = spawn(argv, environment, become, output=fd, keep=keep).pid
        finally:
            os.close(fd)
        self._helpers.add(self.pid)

    def step(self) -> None:
        """Replace it when it has died before its time."""
        if self.pid is None and not self._is_stopping and time.monotonic() > self._next_start:
            self.start()

    def has_ended(self, pid: int) -> bool:
        """Note that ``pid`` was reaped; True when it was the relay."""
        if pid != self.pid:
            return False
        self._helpers.discard(pid)
        self.pid = None
        self._next_start = time.monotonic() + _RESTART_SECONDS
        return True

    def stop(self) -> None:
        """Ask it to deliver what is left and end; again is fine."""
        self._is_stopping = True
        self._socket.close()
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)
