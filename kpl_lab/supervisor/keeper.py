"""Keeps processes running: starts, adopts, restarts with back-off, records what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence

from kpl_lab.engines.local.processes import ProcessId
from kpl_lab.errors import KplError
from kpl_lab.settings import Home
from kpl_lab.supervisor import doors, launch, records
from kpl_lab.supervisor.plan import Plan
from kpl_lab.supervisor.records import Record

log = logging.getLogger(__name__)

# Of a process that dies again and again; one that ran for longer starts from the first again.
WAITS = (0.05, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 5.0
FAILING_AFTER = 4


class Keeper:
    """Keeps the processes of ``plans`` running until it is cancelled; they run on after it.

    Parameters
    ----------
    plans
        In the order of their start.
    namespaces
        Per process, whether it needs a mount namespace.
    """

    def __init__(self, home: Home, plans: Sequence[Plan], namespaces: Mapping[str, bool]) -> None:
        self._home = home
        self._plans = plans
        self._namespaces = namespaces
        self._retry = {plan.name: asyncio.Event() for plan in plans}
        self._children: set[int] = set()
        self._doors: dict[str, socket.socket] = {}
        self._resting = asyncio.Event()

    async def run(self) -> None:
        """Keep everything running; returns only by being cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for plan in self._plans:
                    group.create_task(self._keep(plan), name=plan.name)
                group.create_task(self._reap_orphans())
        finally:
            self._close_doors()

    def take_doors(self) -> None:
        """Take over the sockets of what runs already; call it before others count on it."""
        for plan in self._plans:
            identity = records.read(self._home, plan.name).identity
            if plan.port is None or identity is None:
                continue
            door = doors.borrow(self._home.door(plan.name), plan.port)
            if door is not None:
                self._doors[plan.name] = door

    def rest(self) -> None:
        """Start nothing any more, and stay to take leave of what ends: somebody ends it all.

        Otherwise what ends would be left to process 1, which in many containers reaps nothing.
        """
        self._resting.set()
        self._close_doors()

    def retry_now(self) -> None:
        """Start at once what is waiting for its next start."""
        for event in self._retry.values():
            event.set()

    async def _keep(self, plan: Plan) -> None:
        identity, deaths = await self._adopt(plan), 0
        while True:
            began = time.monotonic()
            if identity is None:
                identity = self._start(plan, deaths)
            if identity is not None:
                await self._gone(identity)
            if self._resting.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                deaths = 0
            await self._pause(plan, deaths)
            if self._resting.is_set():
                return
            identity, deaths = None, deaths + 1

    async def _adopt(self, plan: Plan) -> ProcessId | None:
        """Return what runs already; something that was started in another way is ended first."""
        found = records.read(self._home, plan.name)
        identity = found.identity
        if identity is None:
            return None
        if found.plan == plan.digest:
            log.info("adopted %s, pid %s", plan.name, identity.pid)
            return identity
        log.info("replacing %s, pid %s: it was started in another way", plan.name, identity.pid)
        await end(identity, plan.grace_seconds)
        return None

    def _start(self, plan: Plan, deaths: int) -> ProcessId | None:
        try:
            pid = launch.start(
                plan,
                self._home,
                in_namespace=self._namespaces.get(plan.name, False),
                door=self._open_door(plan),
            )
        except KplError as error:
            log.error("%s", error.message)  # noqa: TRY400 (the sentence says it all)
            self._note(Record(name=plan.name, plan=plan.digest, message=error.message))
            return None
        self._children.add(pid)
        record = records.record_of(plan.name, pid, plan=plan.digest, restarts=deaths)
        self._note(record)
        log.info("started %s, pid %s", plan.name, pid)
        return record.identity

    def _open_door(self, plan: Plan) -> socket.socket | None:
        if plan.port is not None and plan.name not in self._doors:
            self._doors[plan.name] = doors.open_door(plan.port)
        return self._doors.get(plan.name)

    def _close_door(self, name: str) -> None:
        door = self._doors.pop(name, None)
        if door is not None:
            door.close()

    def _close_doors(self) -> None:
        for name in list(self._doors):
            self._close_door(name)

    async def _gone(self, identity: ProcessId) -> None:
        await wait_gone(identity)
        how = ""
        if identity.pid in self._children:
            self._children.discard(identity.pid)
            how = f" with {_exit_code(identity.pid)}"
        log.warning("pid %s ended%s", identity.pid, how)

    async def _pause(self, plan: Plan, deaths: int) -> None:
        wait = WAITS[min(deaths, len(WAITS) - 1)]
        state = "failing" if deaths >= FAILING_AFTER else "restarting"
        if state == "failing":
            # Callers shall hear at once that nobody is there, and not wait for who may never come.
            self._close_door(plan.name)
        self._note(
            Record(
                name=plan.name,
                state=state,
                plan=plan.digest,
                restarts=deaths + 1,
                message=f"It ended {deaths + 1} times; the next start is within {wait:g} s. "
                f"{plan.log} says why.",
            )
        )
        event = self._retry[plan.name]
        event.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), wait)

    def _note(self, record: Record) -> None:
        try:
            records.write(self._home, record)
        except OSError as error:
            # A full disk must not end what keeps everything running.
            log.warning("the record of %s cannot be written: %s", record.name, error)

    async def _reap_orphans(self) -> None:
        """Take leave of processes that came to us as their parents ended (see ``subreaper``)."""
        while True:
            await asyncio.sleep(1.0)
            while self._reap_one():
                pass

    def _reap_one(self) -> bool:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        if found is None or found.si_pid in self._children:
            # One of ours: whoever waits for it wants its exit code.
            return False
        with contextlib.suppress(ChildProcessError):
            os.waitpid(found.si_pid, os.WNOHANG)
        return True


def _exit_code(pid: int) -> int:
    """Take leave of a child that has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def wait_gone(identity: ProcessId) -> None:
    """Return when the process has ended, whoever's child it is."""
    try:
        fd = os.pidfd_open(identity.pid)
    except OSError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, ended.set)
    try:
        # The number may have been given to another process before the descriptor was opened.
        if identity.is_alive():
            await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)


async def end(identity: ProcessId, grace_seconds: float) -> None:
    """End a process: SIGTERM, and after the grace SIGKILL; returns when it is gone."""
    identity.kill(signal.SIGTERM)
    try:
        await asyncio.wait_for(wait_gone(identity), grace_seconds)
    except TimeoutError:
        identity.kill(signal.SIGKILL)
        await wait_gone(identity)
