"""Kernels die before their server, and whoever loses one is told which and why.

Memory that runs out is the kernel's, or the supervisor's, to mend: it ends the process that uses
most of it and is marked as expendable. Kernels and terminals are; the server is not.
"""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from jupyter_server.serverapp import ServerApp
from tornado import web

from kpl_lab.measures.cgroups import Counters, statistic
from kpl_lab.measures.processes import expend, private_bytes

PROVISIONER = "kpl-provisioner"
SCHEMA_ID = "http://kpl-lab/kernel-ended"
SETTING = "kpl_lab_kernels"
EVENTS_VARIABLE = "KPL_MEMORY_EVENTS"
_KILLED = (-9, 137)  # the second where a shell stands between
_SCHEMA: dict[str, Any] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "A kernel was ended because memory ran out",
    "type": "object",
    "properties": {"number": {"type": "integer", "title": "its number in the server's use"}},
    "required": ["number"],
}
# A kernel is looked at every three seconds: so long may its death wait to be noticed.
_JUST_NOW_SECONDS = 15.0
_UNCLAIMED_SECONDS = 8.0
_MIB = 1 << 20


@dataclass(frozen=True)
class Ended:
    """What memory has cost; ``usage.EndedView`` tells it."""

    number: int
    path: str | None
    memory: int | None
    at: dt.datetime


@dataclass(frozen=True)
class Kernel:
    """A living kernel: the process that the server has started, and whose it is."""

    id: str
    pid: int
    path: str


class OomKills:
    """How often something of this server was killed for memory.

    Parameters
    ----------
    group
        The server's own group; None: there is none, and a supervisor counts in a file that
        ``KPL_MEMORY_EVENTS`` names, as the kernel would in ``memory.events``.
    """

    def __init__(self, group: Counters | None, environment: Mapping[str, str]) -> None:
        self._group = group
        self._file = environment.get(EVENTS_VARIABLE)

    def total(self) -> int:
        """Return the count since the server was started."""
        if self._group is not None:
            return self._group.oom_kills()
        try:
            return statistic(Path(self._file).read_text(), "oom_kill") if self._file else 0
        except OSError:
            return 0


class Kernels:
    """Knows the kernels of a server, and which of them memory has cost."""

    def __init__(
        self, app: ServerApp, kills: OomKills, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._kills = kills
        self._clock = clock
        self._seen = kills.total()
        self._risen_at: float | None = None
        self._is_claimed = True
        self.ended: list[Ended] = []

    def watch(self) -> None:
        """Have every kernel and terminal that is started from now on be expendable."""
        factory = KernelProvisionerFactory.instance(parent=self._app)
        entry = EntryPoint(
            PROVISIONER,
            "kpl_lab.lab.kernels:WatchedProvisioner",
            KernelProvisionerFactory.GROUP_NAME,
        )
        factory.provisioners[PROVISIONER] = entry
        if factory.default_provisioner_name == "local-provisioner":
            factory.default_provisioner_name = PROVISIONER
        logger = self._app.event_logger
        if logger is not None and SCHEMA_ID not in logger.schemas:
            logger.register_event_schema(_SCHEMA)
        _Forks.begin()

    def close(self) -> None:
        """Leave what is started from now on as it is."""
        _Forks.end()

    async def living(self) -> list[Kernel]:
        """Return the kernels that belong to a notebook or console and run now."""
        found = []
        for session in await self._app.session_manager.list_sessions():
            id = str(session["kernel"]["id"])
            pid = getattr(self._app.kernel_manager.get_kernel(id).provisioner, "pid", None)
            if pid is not None:
                found.append(Kernel(id, int(pid), str(session["path"])))
        return found

    def look(self) -> None:
        """Note when the count has risen; what nobody claims was no kernel itself."""
        total, moment = self._kills.total(), self._clock()
        if total > self._seen:
            self._seen, self._risen_at, self._is_claimed = total, moment, False
        elif (
            not self._is_claimed
            and self._risen_at is not None
            and moment - self._risen_at > _UNCLAIMED_SECONDS
        ):
            self._is_claimed = True
            self._tell(None, None)

    async def note_end(self, kernel_id: str, code: int, memory: int) -> None:
        """Take notice of a kernel that has ended unasked, with this code."""
        self.look()
        is_recent = (
            self._risen_at is not None and self._clock() - self._risen_at < _JUST_NOW_SECONDS
        )
        if code in _KILLED and is_recent:
            self._is_claimed = True
            self._tell(await self._path_of(kernel_id), memory // _MIB or None)

    async def _path_of(self, kernel_id: str) -> str:
        try:
            session = await self._app.session_manager.get_session(kernel_id=kernel_id)
        except web.HTTPError:
            return kernel_id  # a kernel without a notebook: a program's own
        return str(session["path"])

    def _tell(self, path: str | None, memory: int | None) -> None:
        number = len(self.ended) + 1
        now = dt.datetime.now(dt.UTC)
        self.ended.append(Ended(number=number, path=path, memory=memory, at=now))
        self._app.log.warning("KPL Lab: memory ran out; ended: %s", path or "a program")
        if self._app.event_logger is not None:
            self._app.event_logger.emit(schema_id=SCHEMA_ID, data={"number": number})


class WatchedProvisioner(LocalProvisioner):
    """Starts kernels as ever; they are expendable, and their end is looked into."""

    _memory = 0
    _is_told = False

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:  # noqa: ANN401 - as its base
        """Start the kernel and mark it, before it can start anything itself."""
        found = await super().launch_kernel(cmd, **kwargs)
        self._memory, self._is_told = 0, False
        if self.pid is not None:
            expend(self.pid)
        return found

    async def poll(self) -> int | None:
        """Say whether it has ended; the server asks every few seconds."""
        code = await super().poll()
        kernels = self._kernels()
        if kernels is None or not self.has_process or self.pid is None:
            return code
        if code is None:
            self._memory = private_bytes(self.pid)
            kernels.look()
        elif not self._is_told:
            self._is_told = True
            if not getattr(self.parent, "shutting_down", False):
                await kernels.note_end(self.kernel_id, code, self._memory)
        return code

    def _kernels(self) -> Kernels | None:
        above = self.parent
        while above is not None and not isinstance(above, ServerApp):
            above = above.parent
        found = None if above is None else above.web_app.settings.get(SETTING)
        return found if isinstance(found, Kernels) else None


class _Forks:
    """Terminals: they are forked by this process, and mark themselves on their way."""

    server: int | None = None
    is_registered = False

    @classmethod
    def begin(cls) -> None:
        cls.server = os.getpid()
        if not cls.is_registered:
            os.register_at_fork(after_in_child=cls._mark)
            cls.is_registered = True

    @classmethod
    def end(cls) -> None:
        cls.server = None

    @classmethod
    def _mark(cls) -> None:
        if cls.server is not None and cls.server == os.getppid():
            expend(os.getpid())
