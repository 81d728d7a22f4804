"""What reconcilers share: the platform's parts, and what the engine was last seen to run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

from kpl_lab.engines.base import Engine
from kpl_lab.engines.spec import (
    Handle,
    Observation,
    RegistryLogin,
    Replica,
    ReplicaState,
    Step,
    Waits,
)
from kpl_lab.errors import Conflict, EngineError, Invalid, KplError, NotFound, Unavailable
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import images
from kpl_lab.platform.domain.faults import Explanation, explain
from kpl_lab.platform.runtime.fetches import Fetches
from kpl_lab.platform.runtime.lease import Fence, Unfenced
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.store import Store

T = TypeVar("T")
P = ParamSpec("P")
LOG_TAIL_BYTES = 16 * 1024
# What trying again does not mend. A part that is away (``Unavailable``) or a full disk may come
# back, so they are not among these.
CANNOT_START = (EngineError, Invalid, NotFound, Conflict)


# After so many seconds, what the engine had no room for is tried again.
NO_ROOM_SECONDS = 2.0


def is_no_room(error: KplError) -> bool:
    """Say whether the engine would start it, had something else ended already.

    The ledger is what promises; the engine may know of something that it does not.
    """
    asked, there = error.detail.get("asked", 0), error.detail.get("total", sys.maxsize)
    return error.code == "no_gpu" and asked <= there


def waits_for(absent: Unavailable) -> Waits:
    """Return what a start waits for that a part which is away keeps from going on."""
    return Waits(code=absent.code, text=absent.message, is_progress=False, step=Step.SCHEDULED)


@dataclass(frozen=True)
class Key:
    """One thing to reconcile: a table and an id."""

    resource: str
    id: int = 0


class FrontDoor(Protocol):
    """What the front door knows, which is not what was written for it a moment ago."""

    async def serves(self, name: str, urls: frozenset[str]) -> bool:
        """Say whether requests for a service reach exactly these addresses by now."""
        ...


class Reconciler(Protocol):
    """Brings one thing closer to what is wanted of it."""

    async def reconcile(self, id: int) -> float | None:
        """Look at one thing; return seconds after which to look again, or None."""
        ...


@dataclass
class World:
    """The platform's parts and the engine's last observations.

    ``is_synced`` is false until the engine has told everything that it runs; before that nothing
    may be taken for lost. Whoever finds an image for a build holds ``image_lock``, and whoever removes
    one. ``routed`` are the addresses by service that the front door is known to
    have taken up; ``led`` are the workloads by service that may get calls past it; None: that
    is not known yet. ``add`` has something looked at soon; ``is_at`` says whether it is just now.
    ``fence`` keeps a controller that another one has followed from engine, database and files.
    """

    context: Context
    fence: Fence = field(default_factory=Unfenced)
    seen: dict[str, Observation] = field(default_factory=dict)
    is_synced: bool = False
    front_door: FrontDoor | None = None
    routed: dict[int, frozenset[str]] = field(default_factory=dict)
    led: dict[int, frozenset[str]] | None = None
    add: Callable[[Key], None] = lambda _key: None
    is_at: Callable[[Key], bool] = lambda _key: False
    image_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    fetches: Fetches[Key] = field(init=False)

    def __post_init__(self) -> None:
        self.fetches = Fetches(
            self.context.files, lambda key: self.add(key), self.context.transfers
        )

    @property
    def engine(self) -> Engine:
        """The engine; refused to a controller that may not act any more."""
        self.fence.check()
        return self.context.engine

    def is_routed(self, id: int, seen: Observation) -> bool:
        """Say whether calls reach every ready replica of a service."""
        ready = {r.address for r in seen.replicas if r.state is ReplicaState.READY}
        return self.front_door is None or ready <= self.routed.get(id, frozenset())

    async def read(self, question: Callable[[Store], T]) -> T:
        """Ask the database something, in a thread."""

        def ask() -> T:
            with self.context.database.store(reads_only=True) as store:
                return question(store)

        return await asyncio.to_thread(ask)

    async def in_bucket_thread(self, work: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """Do what talks to the object storage in threads of its own: it may take hours."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.context.transfers, partial(work, *args, **more))

    async def write(self, change: Callable[[Store], T]) -> T:
        """Change the database in one transaction, in a thread."""

        def do() -> T:
            with self.transaction() as store:
                return change(store)

        return await asyncio.to_thread(do)

    @contextmanager
    def transaction(self) -> Iterator[Store]:
        """Open one transaction, which is undone where another controller acts by its end."""
        self.fence.check()
        with self.context.database.store() as store:
            yield store
            self.fence.verify(store)

    def incoming(self, name: str) -> Path:
        """Return where something is put together: this controller's own, for another may follow it."""
        return self.context.files.path("incoming", f"{name}-{self.fence.epoch}")

    def publish(self, filled: Path, target: Path) -> None:
        """Move a filled folder to its place, unless another controller may act by now."""
        self.context.files.publish(filled, target, self.fence.check)

    def handle(self, name: str, stored: dict[str, Any] | None) -> Handle:
        """Return the handle of a workload: the stored one, else one that holds its name alone."""
        if stored and stored.get("name") == name:
            data = stored.get("data")
            return Handle(
                engine=str(stored["engine"]), name=name, data=data if isinstance(data, dict) else {}
            )
        return Handle(engine=self.engine.name, name=name)

    async def forget(self, name: str, stored: dict[str, Any] | None) -> None:
        """Remove a workload with every trace; repeatable."""
        await self.engine.delete(self.handle(name, stored))
        self.seen.pop(name, None)

    async def log_tail(self, handle: Handle, replica: int = 0) -> str:
        """Return the end of a workload's log; empty where there is none."""
        tail = b""
        try:
            async with asyncio.timeout(20):
                async for chunk in self.engine.logs(handle, replica=replica):
                    tail = (tail + chunk.data)[-LOG_TAIL_BYTES:]
        except (EngineError, TimeoutError):
            pass
        return tail.decode("utf-8", "replace")

    async def keep_log(self, handle: Handle, target: Path, replica: int = 0) -> None:
        """Copy a workload's log into the store, whole or not at all; repeatable."""
        files = self.context.files
        if await asyncio.to_thread(target.exists):
            return
        fresh = target.with_suffix(f".{self.fence.epoch}.part")
        await asyncio.to_thread(_begin_file, fresh)
        is_read = True
        try:
            async for chunk in self.engine.logs(handle, replica=replica):
                # Opened anew each time: a file that a cancelled call held would stay open.
                await asyncio.to_thread(_append, fresh, chunk.data)
        except EngineError:
            is_read = False  # what could be read is kept
        self.fence.check()
        if not is_read and await asyncio.to_thread(_is_empty_again, files, fresh, target):
            return
        await asyncio.to_thread(_keep_file, fresh, target)
        await asyncio.to_thread(files.keep, target)

    async def login(self, reference: str) -> RegistryLogin | None:
        """Return what a registry lets us in with for an image of the catalog; None: nothing."""
        found = await self.read(lambda s: s.images.with_login(reference))
        stored = None if found is None else images.credentials_of(self.context, found)
        return None if stored is None else RegistryLogin(**stored.model_dump())

    async def explain(self, replica: Replica, handle: Handle) -> Explanation:
        """Return why a replica ended, in words; of several that end together, the one that failed."""
        tail = await self.log_tail(handle, replica.detail.get("replica", replica.index))
        # Some hundred patterns: tens of milliseconds, in which others go on.
        return await asyncio.to_thread(
            explain, replica.cause, replica.exit_code, replica.detail, tail
        )


def _is_empty_again(files: FileStore, fresh: Path, target: Path) -> bool:
    """Drop a log of which nothing could be read where the object storage may have it all."""
    if fresh.stat().st_size or not files.may_be_far(target):
        return False
    fresh.unlink()
    return True


def _begin_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def _keep_file(fresh: Path, target: Path) -> None:
    fresh.replace(target)
    for left in target.parent.glob(f"{target.stem}.*.part"):
        left.unlink(missing_ok=True)  # of a controller that was ended


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def ended(seen: Observation | None) -> Replica | None:
    """Return the replica of a one-replica workload if it has ended."""
    if seen is None or seen.gone or not seen.replicas:
        return None
    first = seen.replicas[0]
    return first if first.state is ReplicaState.EXITED else None


def stored_handle(handle: Handle) -> dict[str, Any]:
    """Return a handle as it is kept in a row."""
    return {"engine": handle.engine, "name": handle.name, "data": dict(handle.data)}


def labels(context: Context, resource: str, id: int, owner: str) -> dict[str, str]:
    """Return the labels by which a workload is found again."""
    return {
        "instance": context.settings.instance,
        "owner": owner,
        "resource": resource,
        "id": str(id),
    }
