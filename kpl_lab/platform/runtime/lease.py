"""One controller acts at a time: a row of the database says which, and for how long.

Two things keep a controller that has lost its lease from acting. It stops by its own clock before
anybody else may take the lease (:meth:`Lease.check`); and what it writes to the database is undone
unless its epoch lasts at that very moment (:meth:`Lease.verify`), whatever its clock says.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import math
import os
import socket
from collections.abc import Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kpl_lab.clock import Clock
from kpl_lab.engines.local.processes import ProcessId, read_stat
from kpl_lab.errors import Conflict, KplError, Unavailable
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.records.workspaces import LeaseRecord
from kpl_lab.platform.storage.repositories.leases import NOBODY
from kpl_lab.platform.storage.store import Store

log = logging.getLogger(__name__)
NAME = "controller"
LEASE_SECONDS = 15.0
LOOK_SECONDS = 1.0
# Of the lease: how often it is renewed, and for how long its holder acts without having renewed it.
# The rest is for calls that are on their way when that time ends.
_RENEWED, _ACTS = 0.2, 0.7


class LeaseLost(Conflict):
    """Another controller acts."""

    default_code = "lease_lost"


class Fence(Protocol):
    """Keeps whoever may no longer act from acting."""

    @property
    def epoch(self) -> int:
        """Number of this holder among all that ever were."""
        ...

    def check(self) -> None:
        """Refuse where it is not sure that this process may act now."""
        ...

    def verify(self, store: Store) -> None:
        """Refuse to commit a transaction of a process that may not act."""
        ...


class Unfenced:
    """Of a controller that has nobody beside it."""

    epoch = 0

    def check(self) -> None:
        """Let everything be done."""

    def verify(self, store: Store) -> None:
        """Let everything be committed."""


@dataclass(frozen=True)
class Holder:
    """One process for ever, as others can look for it.

    ``namespace`` is that of its pid: containers of one machine count theirs each for themselves.
    """

    host: str
    namespace: str
    process: ProcessId

    @classmethod
    def of_self(cls) -> Holder:
        """Return who we are."""
        process = ProcessId.of(os.getpid())
        assert process is not None  # noqa: S101 (it runs this line)
        return cls(socket.gethostname(), _namespace(), process)

    def __str__(self) -> str:
        one = self.process
        return f"{self.host} {self.namespace} {one.boot} {one.pid} {one.start}"

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """Return whom a lease names; None where that is no process."""
        try:
            host, namespace, boot, pid, start = text.split(" ")
            return cls(host, namespace, ProcessId(int(pid), int(start), boot))
        except ValueError:
            return None

    def is_known_dead(self) -> bool:
        """Say whether it can be seen from here that this process has ended."""
        own = Holder.of_self()
        if (self.namespace, self.process.boot) != (own.namespace, own.process.boot):
            return False
        if read_stat(self.process.pid) is None:
            # Another account's process may be hidden: it refuses the question then.
            try:
                os.kill(self.process.pid, 0)
            except PermissionError:
                return False
            except OSError:
                return True
        return not self.process.is_alive()


def _namespace() -> str:
    return str(Path("/proc/self/ns/pid").readlink())


class Lease:
    """The right to act as the controller of an installation.

    Parameters
    ----------
    database
        The installation's.
    clock
        Its seconds say when to stop acting; on SQLite its time says when a lease is over.
    holder
        Who asks; None: this process.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        holder: str | None = None,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._seconds = seconds
        self._holder = holder or str(Holder.of_self())
        self._epoch = 0
        self._acts_until = -math.inf
        self._seen: tuple[int, dt.datetime] | None = None
        self._seen_at = 0.0

    @property
    def epoch(self) -> int:
        """Number of this holder among all that ever were; 0 before it has the lease."""
        return self._epoch

    def check(self) -> None:
        """Refuse where another one may have the lease by now.

        Raises
        ------
        Unavailable
            It could not be renewed in time.
        """
        if self._clock.monotonic() > self._acts_until:
            raise Unavailable(
                "This controller could not renew its lease in time, so another one may act by now.",
                code="lease_not_renewed",
            )

    def verify(self, store: Store) -> None:
        """Refuse to commit where another one has the lease.

        Raises
        ------
        Unavailable
            Another epoch has begun.
        """
        if not store.leases.lasts(NAME, self._epoch):
            self._acts_until = -math.inf
            raise Unavailable("Another controller acts by now.", code="lease_lost")

    def take(self) -> LeaseRecord | None:
        """Take the lease, or return who has it."""
        asked = self._clock.monotonic()
        with self._database.store(reads_only=True) as store:
            seen = store.leases.get(NAME)
        if seen is not None and not self._is_free(seen):
            return seen
        with self._database.store() as store:
            if seen is None:
                epoch = store.leases.begin(NAME, self._holder, self._seconds)
            else:
                found = store.leases.take(seen, self._holder, self._seconds)
                if found is None:
                    return seen
                epoch = found
        self._epoch = epoch
        self._acts_until = asked + self._seconds * _ACTS
        return None

    def _is_free(self, seen: LeaseRecord) -> bool:
        """Say whether nobody acts under this lease.

        One that was not renewed for its whole length is over too, whatever time it names: on SQLite
        that was a clock's which may have been set back since.
        """
        now = self._clock.monotonic()
        if (seen.epoch, seen.until) != self._seen:
            self._seen, self._seen_at = (seen.epoch, seen.until), now
        is_silent = now - self._seen_at > self._seconds
        return seen.is_over or is_silent or seen.holder == NOBODY or _is_dead(seen)

    def renew(self) -> None:
        """Make the lease longer.

        Raises
        ------
        LeaseLost
            Another one has it.
        """
        asked = self._clock.monotonic()
        with self._database.store() as store:
            if not store.leases.renew(NAME, self._epoch, self._seconds):
                self._acts_until = -math.inf
                raise LeaseLost(
                    "Another controller has taken the lease: this one was not heard of for too long."
                )
        self._acts_until = asked + self._seconds * _ACTS

    def give_back(self) -> None:
        """Let the next controller act at once; no-op where another one does."""
        self._acts_until = -math.inf
        with self._database.store() as store:
            store.leases.give_back(NAME, self._epoch)

    async def acquire(self) -> None:
        """Wait until this controller may act."""
        told = None
        while True:
            try:
                other = await asyncio.to_thread(self.take)
                if other is None:
                    log.info("acting, epoch %s", self._epoch)
                    return
                if told != other.holder:
                    log.info("standing by: another controller acts (%s)", other.holder)
                told = other.holder
            except KplError as error:
                log.warning("%s", error.message)
            await asyncio.sleep(min(LOOK_SECONDS, self._seconds / 3))

    async def while_held(self, work: Coroutine[Any, Any, None]) -> None:
        """Renew the lease for as long as ``work`` goes on, and end it where the lease is lost.

        Raises
        ------
        LeaseLost
            Another controller has taken the lease.
        """
        # A thread of its own: those of the work may all be busy for minutes.
        with ThreadPoolExecutor(1, thread_name_prefix="lease") as own:
            both = [asyncio.create_task(work), asyncio.create_task(self._keep(own))]
            try:
                done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)

    async def _keep(self, threads: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._seconds * _RENEWED)
            try:
                await loop.run_in_executor(threads, self.renew)
            except LeaseLost:
                raise
            except KplError as error:
                log.warning("the lease could not be renewed: %s", error.message)


def _is_dead(seen: LeaseRecord) -> bool:
    holder = Holder.parse(seen.holder)
    return holder is not None and holder.is_known_dead()


async def give_back(lease: Lease, transfers: Executor) -> None:
    """Give a lease back once nothing of what was done under it goes on.

    Parameters
    ----------
    transfers
        Further threads in which work goes on; it was told to end.
    """
    # Work in threads goes on until it is done: the next controller waits for it.
    await asyncio.to_thread(transfers.shutdown, cancel_futures=True)
    await asyncio.get_running_loop().shutdown_default_executor()
    if not lease.epoch:
        return
    with contextlib.suppress(KplError):
        lease.give_back()
