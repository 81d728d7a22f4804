"""What is at work in a notebook server: kernels, terminals, what they left behind, GPUs."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from kpl_lab.clock import Clock
from kpl_lab.lab.idle import Work
from kpl_lab.measures import gpus

SERVER_ID, GPUS = "KPL_SERVER_ID", "KPL_SERVER_GPUS"
# A process that uses less of a core than this only waits.
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Effort:
    """What a process has done since it began: seconds of CPU and bytes written."""

    cpu: float
    written: int


class Processes:
    """The processes that were started in terminals, and those that left their terminal.

    Kernels are not among them: of those, the Jupyter server knows whether they are busy.

    Parameters
    ----------
    pid
        The server's own process.
    server
        What ``KPL_SERVER_ID`` is in everything that the server starts; empty: unknown.
    """

    def __init__(self, pid: int, server: str, clock: Clock) -> None:
        self._pid = pid
        self._server = server
        self._clock = clock
        self._last: dict[tuple[int, float], Effort] = {}
        self._shells: dict[tuple[int, float], float] = {}
        self._last_time = clock.monotonic()
        self._verdicts: dict[tuple[int, float], bool] = {}

    def look(self, shells: Iterable[int]) -> Work | None:
        """Return what worked since the last look.

        Parameters
        ----------
        shells
            The processes that terminals run; a shell at its prompt is no work.
        """
        now = self._clock.monotonic()
        seconds, self._last_time = now - self._last_time, now
        has_run = self._has_run(shells)
        workers = self._in_terminals(shells) + self._detached()
        efforts = {key: effort for p in workers for key, effort in _effort(p)}
        last, self._last = self._last, efforts
        nothing = Effort(0.0, 0)
        cpu = sum(max(0.0, e.cpu - last.get(k, nothing).cpu) for k, e in efforts.items())
        written = sum(max(0, e.written - last.get(k, nothing).written) for k, e in efforts.items())
        if has_run or written > 0 or cpu > LEAST_SHARE * seconds:
            return Work("A program in a terminal is at work")
        return None

    def _has_run(self, shells: Iterable[int]) -> bool:
        """Say whether a command of a shell has ended since the last look, leaving its CPU time."""
        found: dict[tuple[int, float], float] = {}
        for pid in shells:
            try:
                shell = psutil.Process(pid)
                times = shell.cpu_times()
                found[(pid, shell.create_time())] = times.children_user + times.children_system
            except psutil.Error:
                continue
        last, self._shells = self._shells, found
        return any(total > last.get(key, total) for key, total in found.items())

    @staticmethod
    def _in_terminals(shells: Iterable[int]) -> list[psutil.Process]:
        found: list[psutil.Process] = []
        for pid in shells:
            try:
                found += psutil.Process(pid).children(recursive=True)
            except psutil.Error:
                continue
        return found

    def _detached(self) -> list[psutil.Process]:
        """Return what this server has started and what has left it since: nohup, tmux."""
        if not self._server:
            return []
        me = psutil.Process(self._pid)
        family = {p.pid for p in (me, *me.parents(), *me.children(recursive=True))}
        fresh: dict[tuple[int, float], bool] = {}
        found = []
        for process in psutil.process_iter():
            if process.pid in family:
                continue
            try:
                key = (process.pid, process.create_time())
                known = self._verdicts.get(key)
                fresh[key] = self._is_ours(process) if known is None else known
            except psutil.Error:
                continue  # of another user, or gone
            if fresh[key]:
                found.append(process)
        self._verdicts = fresh
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        return bool(process.environ().get(SERVER_ID) == self._server)


def _effort(process: psutil.Process) -> list[tuple[tuple[int, float], Effort]]:
    try:
        with process.oneshot():
            times = process.cpu_times()
            cpu = times.user + times.system + times.children_user + times.children_system
            return [((process.pid, process.create_time()), Effort(cpu, _written(process)))]
    except psutil.Error:
        return []


def _written(process: psutil.Process) -> int:
    try:
        # What the system counts for any write, so to a terminal or a file alike.
        return int(process.io_counters().write_chars)
    except (psutil.Error, AttributeError, NotImplementedError):
        return 0


class Kernels:
    """The kernels, as the Jupyter server sees them."""

    def __init__(self, manager: Any, now: Callable[[], dt.datetime]) -> None:  # noqa: ANN401 (Jupyter's kernel manager is untyped)
        self._manager = manager
        self._now = now

    def look(self) -> Work | None:
        """Return a busy kernel, else when one last did something."""
        latest: Work | None = None
        for id in list(self._manager.list_kernel_ids()):
            kernel = self._manager.get_kernel(id)
            if getattr(kernel, "execution_state", "") == "busy":
                return Work("A kernel is busy")
            seen = getattr(kernel, "last_activity", None)
            if seen is None:
                continue
            ago = max((self._now() - seen).total_seconds(), 0.001)
            if latest is None or ago < latest.seconds_ago:
                latest = Work("A kernel was busy", ago)
        return latest


class Gpus:
    """The GPUs that the server was given.

    Parameters
    ----------
    count
        How many those are.
    measured
        What is known of them.
    """

    def __init__(self, count: int, measured: gpus.Gpus) -> None:
        self._count = count
        self._measured = measured

    async def look(self) -> Work | None:
        """Return whether one is in use; what cannot be measured counts as use."""
        if self._count <= 0:
            return None
        found = await asyncio.to_thread(self._measured.look)
        if not found or any(gpu.busy is None for gpu in found):
            return Work("The use of the GPU cannot be measured")
        return Work("A GPU is in use") if any(gpu.busy for gpu in found) else None


def gpus_of(environment: Mapping[str, str]) -> Gpus:
    """Return what looks at the GPUs of this server."""
    count = environment.get(GPUS, "0")
    return Gpus(int(count) if count.isdecimal() else 0, gpus.Gpus(environment))


class ServerWork:
    """All of it together.

    Parameters
    ----------
    app
        The Jupyter server.
    """

    def __init__(self, app: Any, pid: int, environment: Mapping[str, str], clock: Clock) -> None:  # noqa: ANN401 (untyped)
        self._app = app
        self._kernels = Kernels(app.kernel_manager, clock.now)
        self._processes = Processes(pid, environment.get(SERVER_ID, ""), clock)
        self._gpus = gpus_of(environment)

    async def look(self) -> Work | None:
        """Return the latest work; None where none is known."""
        # All three every time: each measures from its own last look on.
        in_terminals = await asyncio.to_thread(self._processes.look, self._shells())
        on_gpus = await self._gpus.look()
        return in_terminals or on_gpus or self._kernels.look()

    def _shells(self) -> list[int]:
        manager = getattr(self._app, "terminal_manager", None) or self._app.web_app.settings.get(
            "terminal_manager"
        )
        terminals = getattr(manager, "terminals", {}) if manager is not None else {}
        return [t.ptyproc.pid for t in list(terminals.values())]
