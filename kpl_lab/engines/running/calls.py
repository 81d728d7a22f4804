"""The calls of a runner: looked up by name, and ``watch``, which is the same on every engine."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from kpl_lab.engines.running.ledger import Entry, Ledger
from kpl_lab.engines.running.protocol import Json, encode
from kpl_lab.engines.spec import Observation
from kpl_lab.errors import EngineError

Message: TypeAlias = dict[str, Any]
Stream: TypeAlias = Callable[..., AsyncIterator[Json]]
Answer: TypeAlias = Callable[..., Awaitable[Json]]

E = TypeVar("E", bound=Entry[Any])


class CallTable(ABC, Generic[E]):
    """Everything that a caller may ask for.

    Parameters
    ----------
    ledger
        The workloads that watchers are told of.
    """

    def __init__(self, ledger: Ledger[E]) -> None:
        self._entries = ledger.entries
        self._watchers: set[Watcher] = set()

    @abstractmethod
    def streams(self) -> Mapping[str, Stream]:
        """Return the calls that answer with items."""

    @abstractmethod
    def answers(self) -> Mapping[str, Answer]:
        """Return the calls that answer once."""

    async def dispatch(self, call: str, args: Message) -> AsyncGenerator[Message, None]:
        """Yield the messages of a call.

        Raises
        ------
        KplError
            What the caller is to be told.
        """
        streams = {**self.streams(), "watch": self._watch}
        answers = self.answers()
        if call in streams:
            async for item in streams[call](**args):
                yield {"item": item}
            yield {"done": None}
        elif call in answers:
            yield {"done": await answers[call](**args)}
        else:
            raise EngineError(f"The runner knows no call {call!r}.", code="unknown_call")

    def publish(self, entry: E) -> None:
        """Tell everybody of a workload of which something has changed."""
        if entry.is_deleting:
            return
        for watcher in self._watchers:
            watcher.put(entry.observe())
        self._end_condemned(entry)

    def _end_condemned(self, entry: E) -> None:
        for index in entry.condemned():
            self._ask_to_stop(entry, index, None)

    @abstractmethod
    def _ask_to_stop(self, entry: E, index: int, grace_seconds: float | None) -> None:
        """Ask one replica to end."""

    def publish_gone(self, entry: E) -> None:
        """Tell everybody that a workload was deleted."""
        labels = entry.workload.labels
        for watcher in self._watchers:
            watcher.put(Observation(name=entry.name, labels=labels, replicas=(), gone=True))

    def entry(self, name: str) -> E:
        """Return a workload that is there; ``EngineError`` when it is not."""
        entry = self._entries.get(name)
        if entry is None or entry.is_deleting:
            raise EngineError(f"{name} is not there any more.", code="gone")
        return entry

    async def _watch(self) -> AsyncIterator[Json]:
        watcher = Watcher()
        for entry in list(self._entries.values()):
            watcher.put(entry.observe())
            # A runner before us may have been ended between a failure and its consequence.
            self._end_condemned(entry)
        watcher.put(Observation(name="", labels={}, replicas=()))
        self._watchers.add(watcher)
        try:
            while True:
                for observation in await watcher.get():
                    yield encode(observation)
        finally:
            self._watchers.discard(watcher)


class Watcher:
    """One caller of ``watch``: the newest observation of each workload, in order of change."""

    def __init__(self) -> None:
        self._waiting: dict[str, Observation] = {}
        self._event = asyncio.Event()

    def put(self, observation: Observation) -> None:
        """Remember what is to be told; an older one of the same workload is forgotten."""
        self._waiting.pop(observation.name, None)
        self._waiting[observation.name] = observation
        self._event.set()

    async def get(self) -> list[Observation]:
        """Wait until there is something, and return all of it."""
        await self._event.wait()
        self._event.clear()
        found = list(self._waiting.values())
        self._waiting.clear()
        return found
