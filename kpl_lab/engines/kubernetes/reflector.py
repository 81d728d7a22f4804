"""What lies in the cluster, kept in memory: lists, then watches, and begins anew where it must.

One stream for each kind. Changes of one object are told in their order, each state at most once; states
in between may be left out.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from kpl_lab.clock import SYSTEM_CLOCK, Clock
from kpl_lab.engines.kubernetes.words import Gone, Json
from kpl_lab.errors import KplError
from kpl_lab.retry import backoff

Keep = Callable[[Json], Json]
OnChange = Callable[[str, Json | None, str], None]
OnTrouble = Callable[[str, KplError | None], None]
Sleep = Callable[[float], Awaitable[None]]
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_TOMBSTONES = 1024
_SERVER_ERROR = 500
log = logging.getLogger(__name__)


class Source(Protocol):
    """What a reflector reads from: :class:`~.cluster.Cluster`."""

    def pages(self, kind: str, selector: str = "") -> AsyncGenerator[tuple[list[Json], str], None]:
        """Yield all objects."""
        ...

    def watch(
        self, kind: str, selector: str = "", *, resource_version: str, timeout_seconds: int = 300
    ) -> AsyncGenerator[Json, None]:
        """Yield what happens."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things may take, in seconds.

    Attributes
    ----------
    first, longest
        Before a failed request is repeated, at first and at most.
    watch
        How long the server is asked to keep a watch open; up to twice as long, so that watches do not
        all end together.
    silence
        Without an event or a bookmark (a server sends one each minute) a watch is renewed.
    shortest
        A watch that ended sooner, and brought nothing, counts as failed.
    empty
        So many watches in a row that bring nothing at all, not even a bookmark, and everything is listed
        again: the server may be behind us (restored from a backup), or deaf.
    resync
        So old a list may be when a watch ends, and everything is listed again: what a watch has left out
        without a word is found then. Watches end at different times, and so these lists come at such.
    """

    first: float = 0.5
    longest: float = 30.0
    watch: int = 300
    silence: float = 150.0
    shortest: float = 1.0
    empty: int = 3
    resync: float = 600.0


def bare(obj: Json) -> Json:
    """Return an object without what only the API server and ``kubectl`` have a use for."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    return {**obj, "metadata": metadata}


class _Known(NamedTuple):
    uid: str
    version: str
    kept: Json


class Reflector:
    """A copy of all objects of some kinds that have the labels of a selector.

    Parameters
    ----------
    kinds
        What is kept of an object, by kind; :func:`bare` where all of it counts.
    on_change
        Called with kind, object (None: gone) and name, after the copy has changed. It must not raise.
    on_trouble
        Called with what keeps a kind from being followed, and with None when it is again.
    """

    def __init__(
        self,
        source: Source,
        kinds: Mapping[str, Keep],
        selector: str,
        on_change: OnChange,
        *,
        on_trouble: OnTrouble | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.synced = asyncio.Event()
        self.trouble: dict[str, KplError] = {}
        self._on_trouble = on_trouble
        self._streams = {
            kind: _Stream(kind, keep, self, _Reading(source, selector, timing or Timing()))
            for kind, keep in kinds.items()
        }
        self.on_change = on_change

    async def run(self) -> None:
        """Follow all kinds until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, stream in self._streams.items():
                group.create_task(stream.run(), name=f"reflector {kind}")

    def get(self, kind: str, name: str) -> Json | None:
        """Return what is kept of an object; None when there is none."""
        known = self._streams[kind].known.get(name)
        return known.kept if known is not None else None

    def objects(self, kind: str) -> Iterator[Json]:
        """Yield what is kept of all objects of a kind."""
        for known in self._streams[kind].known.values():
            yield known.kept

    def count(self, kind: str) -> int:
        """Return how many objects of a kind there are."""
        return len(self._streams[kind].known)

    def listed(self) -> None:
        """Note that a kind was listed; for the streams."""
        if all(stream.listed for stream in self._streams.values()):
            self.synced.set()

    def report(self, kind: str, error: KplError | None) -> None:
        """Note what keeps a kind from being followed; for the streams."""
        before = self.trouble.pop(kind, None)
        if error is not None:
            self.trouble[kind] = error
        if (before.code if before else None) == (error.code if error else None):
            return
        if error is not None:
            log.warning("cannot follow %s: %s", kind, error.message)
        if self._on_trouble is not None:
            self._on_trouble(kind, error)


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Time as a value."""

    pace: Pace = Pace()
    clock: Clock = SYSTEM_CLOCK
    sleep: Sleep = asyncio.sleep


@dataclass(frozen=True)
class _Reading:
    source: Source
    selector: str
    timing: Timing


class _Stream:
    """One kind: its objects, and where in history we are."""

    def __init__(self, kind: str, keep: Keep, owner: Reflector, reading: _Reading) -> None:
        self.kind = kind
        self.known: dict[str, _Known] = {}
        self.listed = False
        self._keep = keep
        self._owner = owner
        self._reading = reading
        self._pace = reading.timing.pace
        # Where to go on; empty: list first.
        self._version = ""
        # Versions of what is gone, so that a late event does not bring it back.
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._listed_at = 0.0
        self._empty = 0

    async def run(self) -> None:
        """Follow it until cancelled."""
        waits = self._waits()
        while True:
            before = self._version
            try:
                well = await self._round()
            except Gone as error:
                # The usual one is answered by a list at once; one after the other is trouble.
                well = bool(before)
                self._version = ""
                log.info("%s are listed again: %s", self.kind, error.message)
            except KplError as error:
                well = False
                if error.detail.get("status", _SERVER_ERROR) < _SERVER_ERROR:
                    self._version = ""  # what we ask for is wrong, not the moment
                self._owner.report(self.kind, error)
            if well:
                waits = self._waits()
            else:
                await self._reading.timing.sleep(next(waits))

    def _waits(self) -> Iterator[float]:
        return backoff(self._pace.first, max_seconds=self._pace.longest)

    async def _round(self) -> bool:
        """List where needed, then watch until that ends; say whether it went well."""
        clock = self._reading.timing.clock
        is_old = clock.monotonic() - self._listed_at >= self._pace.resync
        if not self._version or is_old or self._empty >= self._pace.empty:
            await self._list()
            self._listed_at = clock.monotonic()
        started, at = clock.monotonic(), self._version
        await self._watch()
        # One that broke does not count: a server that was away need not be listed.
        self._empty += 1
        return self._version != at or clock.monotonic() - started >= self._pace.shortest

    # --- lists

    async def _list(self) -> None:
        seen: set[str] = set()
        version = ""
        async with aclosing(self._reading.source.pages(self.kind, self._reading.selector)) as pages:
            async for page, of_list in pages:
                version = of_list
                for obj in page:
                    seen.add(obj["metadata"]["name"])
                    self._take(obj, listed=True)
        for name in [name for name in self.known if name not in seen]:
            self._drop(name, version)
        self._version = version
        self._empty = 0
        self._gone.clear()
        self._well()
        self.listed = True
        self._owner.listed()

    # --- watches

    async def _watch(self) -> None:
        seconds = self._pace.watch
        events = self._reading.source.watch(
            self.kind,
            self._reading.selector,
            resource_version=self._version,
            timeout_seconds=seconds + random.randrange(seconds + 1),  # noqa: S311 (spreads load)
        )
        async with aclosing(events):
            while True:
                try:
                    async with asyncio.timeout(self._pace.silence):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    log.info("the watch of %s is renewed", self.kind)
                    return
                self._event(event)

    def _event(self, event: Json) -> None:
        self._empty = -1  # this watch is not
        obj = event["object"]
        version = str(obj["metadata"]["resourceVersion"])
        if event["type"] in ("ADDED", "MODIFIED"):
            self._take(obj)
        elif event["type"] == "DELETED":
            known = self.known.get(obj["metadata"]["name"])
            if known is not None and not _older(version, known.version):
                self._drop(obj["metadata"]["name"], version)
        # Everything else that a server may send holds only its place in history.
        if not _older(version, self._version):
            self._version = version
        self._well()

    def _well(self) -> None:
        if self.kind in self._owner.trouble:
            self._owner.report(self.kind, None)

    # --- the copy

    def _take(self, obj: Json, *, listed: bool = False) -> None:
        """Note a state of an object, unless a later one is known; a list is right in any case.

        (Versions go back where a cluster was restored from a backup.)
        """
        metadata = obj["metadata"]
        name, uid, version = metadata["name"], metadata["uid"], str(metadata["resourceVersion"])
        known = self.known.get(name)
        if known is not None and known.version == version and known.uid == uid:
            return
        if known is not None and not listed and _older(version, known.version):
            return
        if (
            known is None
            and not listed
            and name in self._gone
            and not _older(self._gone[name], version)
        ):
            return
        if known is not None and known.uid != uid:
            self._drop(name, version)
        kept = self._keep(obj)
        self.known[name] = _Known(uid, version, kept)
        self._gone.pop(name, None)
        self._owner.on_change(self.kind, kept, name)

    def _drop(self, name: str, version: str) -> None:
        del self.known[name]
        self._gone[name] = version
        if len(self._gone) > _TOMBSTONES:
            self._gone.popitem(last=False)
        self._owner.on_change(self.kind, None, name)


def _older(one: str, other: str) -> bool:
    """Say whether a version is older: they are numbers, since 1.35 also by promise; else unknown."""
    return one.isdecimal() and other.isdecimal() and int(one) < int(other)
