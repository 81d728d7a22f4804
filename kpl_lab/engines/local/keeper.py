"""Supervisors as the runner sees them: started, followed, and buried when they were killed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kpl_lab.engines.local import environments, mounts, processes
from kpl_lab.engines.local import status as statuses
from kpl_lab.engines.local.cgroups import Group, group_name
from kpl_lab.engines.local.launch import PASSED_ON
from kpl_lab.engines.local.ledger import Entry, Ledger
from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.local.planner import Planner
from kpl_lab.engines.local.processes import boot_id
from kpl_lab.engines.local.relay_process import RELAY_MARK
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.local.syscalls import IN_MOVED_TO, Inotify
from kpl_lab.engines.local.template import Role, Template
from kpl_lab.engines.spec import Cause, Kind, ReplicaState
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)

_RESYNC_SECONDS = 5.0
_KILL_TRIES = 200
_RESTART_LAST_SECONDS = 30.0


def _signal(pidfd: int, number: signal.Signals) -> None:
    """Send a signal; no-op when the process has just ended."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)


def _kill_all(find: Callable[[], list[int]]) -> None:
    """Kill until nothing is found any more."""
    for _ in range(_KILL_TRIES):
        pids = find()
        if not pids:
            return
        processes.send(pids, signal.SIGKILL)
        time.sleep(0.005)


@dataclass
class _Followed:
    """A supervisor that is being followed."""

    entry: Entry
    index: int
    pidfd: int
    watch: int


class Keeper:
    """Starts supervisors and follows them by pidfd and inotify.

    Parameters
    ----------
    publish
        Told of every workload of which something has changed.
    """

    def __init__(self, ledger: Ledger, planner: Planner, publish: Callable[[Entry], None]) -> None:
        self._ledger = ledger
        self._planner = planner
        self._publish = publish
        self._inotify = Inotify()
        self._followed: dict[tuple[str, int], _Followed] = {}
        self._by_watch: dict[int, _Followed] = {}
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[3])
        refused = planner.refused_ports
        self._template = Template(environment, refused)
        self._confined = Template(environment, refused, Role.CONFINED) if refused else None
        # A home is asked for by what it imports; there is none, so that nobody's is read.
        warm_environment = {**environment, "HOME": "/nonexistent"}
        self._warm = Template(warm_environment, refused, Role.WARM) if planner.is_warm else None
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Adopt everything that the ledger knows."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inotify.fd, self._on_files)
        for template in (self._template, self._confined):
            if template is not None:
                template.prepare()
        if self._warm is not None:
            self._warm.prepare()
        for entry in list(self._ledger.entries.values()):
            for index in sorted({*entry.statuses, *range(entry.workload.replicas)}):
                self._adopt(entry, index)
        self._spawn(self._resync())

    def close(self) -> None:
        """Let go of everything; supervisors go on."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._inotify.fd)
        for task in self._tasks:
            task.cancel()
        for followed in list(self._followed.values()):
            self._unfollow(followed)
        self._inotify.close()
        self._template.close()
        if self._confined is not None:
            self._confined.close()
        if self._warm is not None:
            self._warm.close()

    def start(self, entry: Entry, index: int, *, gpus: list[int], restarts: int = 0) -> None:
        """Start the supervisor of a replica.

        Raises
        ------
        EngineError
            The plan cannot be made.
        OSError
            No room, or no process can be made.
        """
        place = entry.place(index)
        before = self._followed.get((entry.name, index))
        if before is not None:
            # It has written its last word and is about to leave; its leaving is no news.
            self._unfollow(before)
        place.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        place.stop.unlink(missing_ok=True)
        plan = self._planner.plan(entry.workload, index, gpus, entry.build, entry.meeting)
        plan.write(place.root)
        status = Status(index=index, restarts=restarts)
        status.write(place.root)
        entry.statuses[index] = status
        watch = self._inotify.add(place.root, IN_MOVED_TO)
        pid = self._start_process(entry, place.root)
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            # It died at once (no room for its log); what it left tells how, or the burial does.
            self._inotify.remove(watch)
            self._spawn(self._bury(entry, index))
        else:
            self._follow(entry, index, pidfd, watch)
        self._publish(entry)

    def is_warm(self) -> bool:
        """Say whether the next server would start from the warm template."""
        return self._warm is not None and self._warm.is_ready()

    def _start_process(self, entry: Entry, folder: Path) -> int:
        """Fork a supervisor, for a server from the warm template where that is possible."""
        is_own = Path(entry.workload.image).resolve() == Path(sys.prefix).resolve()
        if self._warm is not None and is_own and entry.workload.kind is Kind.SERVER:
            with contextlib.suppress(OSError):
                if self._warm.is_ready():
                    return self._warm.start(folder)
        is_watched = entry.workload.kind in (Kind.SERVICE, Kind.SERVER)
        template = self._template if is_watched or self._confined is None else self._confined
        return template.start(folder)

    def gpus_of(self, entry: Entry, index: int) -> list[int]:
        """Return indices of GPUs that no other replica has.

        Raises
        ------
        EngineError
            There are not as many as it is to have.
        """
        count = entry.workload.limits.gpu
        return self._planner.pick_gpus(count, self._gpus_beside(entry.name, index)) if count else []

    def _gpus_beside(self, name: str, of: int) -> set[int]:
        found: set[int] = set()
        for entry in self._ledger.entries.values():
            for index, status in entry.statuses.items():
                # One that comes back after a sudden end is not final, and takes its own again.
                is_it = (entry.name, index) == (name, of)
                if entry.workload.limits.gpu and not status.is_final and not is_it:
                    found.update(Plan.read(entry.place(index).root).ceilings.gpus)
        return found

    def ask_to_stop(self, entry: Entry, index: int, grace_seconds: float | None) -> None:
        """Ask a supervisor to end its command; again, with less grace, is fine."""
        if not entry.ask_to_stop(index, grace_seconds):
            return
        followed = self._followed.get((entry.name, index))
        if followed is not None:
            _signal(followed.pidfd, signal.SIGTERM)

    def retire(self, entry: Entry, index: int) -> None:
        """End a replica that is one too many, and forget it afterwards."""
        status = entry.statuses[index]
        if status.is_final:
            self._spawn(self._retire(entry, index))
        else:
            self.ask_to_stop(entry, index, None)

    async def destroy(self, entry: Entry, index: int) -> None:
        """Kill a supervisor and all that belongs to it, and remove the replica's folder."""
        followed = self._followed.get((entry.name, index))
        if followed is not None:
            # Its own descriptor: one that has just been started has told nothing of itself yet.
            _signal(followed.pidfd, signal.SIGKILL)
            self._unfollow(followed)
        await asyncio.to_thread(self._clean, entry, index, signal.SIGKILL)
        await asyncio.to_thread(remove_tree, entry.place(index).root)
        entry.statuses.pop(index, None)

    def _adopt(self, entry: Entry, index: int) -> None:
        place = entry.place(index)
        if place.root.is_dir():
            entry.reload(index)
        status = entry.statuses.get(index)
        if status is not None and status.is_final:
            # Its supervisor may still wait for the relay; that needs nobody.
            return
        if status is not None and status.shim is not None and status.shim.is_alive():
            try:
                pidfd = os.pidfd_open(status.shim.pid)
            except OSError:
                pass
            else:
                self._follow(entry, index, pidfd, self._inotify.add(place.root, IN_MOVED_TO))
                entry.reload(index)
                if place.stop.exists():
                    _signal(pidfd, signal.SIGTERM)
                return
        self._spawn(self._bury(entry, index))

    def _follow(self, entry: Entry, index: int, pidfd: int, watch: int) -> None:
        followed = _Followed(entry, index, pidfd, watch)
        self._followed[entry.name, index] = followed
        self._by_watch[watch] = followed
        loop = asyncio.get_running_loop()
        loop.add_reader(pidfd, partial(self._on_end, followed))

    def _unfollow(self, followed: _Followed) -> None:
        asyncio.get_running_loop().remove_reader(followed.pidfd)
        os.close(followed.pidfd)
        self._inotify.remove(followed.watch)
        self._by_watch.pop(followed.watch, None)
        self._followed.pop((followed.entry.name, followed.index), None)

    def _on_files(self) -> None:
        changed = {}
        for event in self._inotify.read():
            followed = self._by_watch.get(event.watch)
            if followed is not None and event.name == statuses.FILE_NAME:
                changed[event.watch] = followed
        for followed in changed.values():
            self._refresh(followed.entry, followed.index)

    def _refresh(self, entry: Entry, index: int) -> None:
        if entry.is_deleting or not entry.reload(index):
            return
        self._publish(entry)

    def _on_end(self, followed: _Followed) -> None:
        entry, index = followed.entry, followed.index
        self._unfollow(followed)
        self._refresh(entry, index)
        status = entry.statuses.get(index)
        if status is not None and not status.is_final and not entry.is_deleting:
            self._spawn(self._bury(entry, index))
        elif index >= entry.workload.replicas and not entry.is_deleting:
            self._spawn(self._retire(entry, index))
        elif entry.workload.kind is Kind.SERVER:
            self._spawn(self._unmount_all(entry))

    async def _retire(self, entry: Entry, index: int) -> None:
        async with entry.lock:
            if not entry.is_deleting and index >= entry.workload.replicas:
                await self.destroy(entry, index)
                self._publish(entry)

    async def _unmount_all(self, entry: Entry) -> None:
        """Take the live mounts of an ended server away; nobody sees them any more."""
        async with entry.lock:
            await asyncio.to_thread(mounts.remove_root, entry.mounts)

    async def _bury(self, entry: Entry, index: int) -> None:
        """Deal with a replica whose supervisor is gone without a last word."""
        found = entry.statuses.get(index)
        if found is not None and found.restarts:
            await asyncio.sleep(min(0.1 * 2 ** min(found.restarts, 9), _RESTART_LAST_SECONDS))
        async with entry.lock:
            entry.reload(index)
            status = entry.statuses.get(index) or Status(index=index)
            if entry.is_deleting or status.is_final:
                return
            log.warning("the supervisor of %s/%s is gone", entry.name, index)
            await asyncio.to_thread(self._clean, entry, index, signal.SIGTERM)
            if entry.workload.kind is Kind.SERVICE and entry.wants(index):
                gpus = self.gpus_of(entry, index)
                self.start(entry, index, gpus=gpus, restarts=status.restarts + 1)
                return
            self._write_end(entry, index, status)
            if entry.workload.kind is Kind.SERVER:
                await asyncio.to_thread(mounts.remove_root, entry.mounts)
        self._publish(entry)

    def _write_end(self, entry: Entry, index: int, status: Status) -> None:
        place = entry.place(index)
        is_same_boot = status.shim is not None and status.shim.boot == boot_id()
        status.cause = Cause.KILLED if is_same_boot else Cause.LOST
        if place.stop.exists():
            status.cause = Cause.STOPPED
        if entry.build is not None:
            environments.discard(entry.build)
        status.state, status.is_final = ReplicaState.EXITED, True
        status.ended_at = statuses.now()
        place.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        status.write(place.root)
        entry.statuses[index] = status

    def _clean(self, entry: Entry, index: int, to_relay: signal.Signals) -> None:
        """Kill what a supervisor has left behind; its relay may deliver what it still has."""
        machine = self._planner.machine
        mark = f"{processes.MARK}={self._planner.mark_of(entry.name, index)}"
        entry.reload(index)
        status = entry.statuses.get(index)
        if status is not None and status.cgroups:
            group = Group(machine.hierarchy.mode, status.cgroups)
        else:
            group = Group.below(machine.hierarchy, group_name(entry.name, index))
        group.kill()
        _kill_all(lambda: processes.pids_with_variable(mark))
        processes.send(processes.pids_with_variable(mark + RELAY_MARK), to_relay)
        group.remove()

    async def _resync(self) -> None:
        """Look at everything now and then: the net below inotify, whose queue may overflow."""
        while True:
            await asyncio.sleep(_RESYNC_SECONDS)
            for followed in list(self._followed.values()):
                self._refresh(followed.entry, followed.index)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_end)

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a step of the runner failed", exc_info=error)
