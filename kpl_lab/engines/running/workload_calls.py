"""The calls on workloads that are the same on every engine with a runner."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kpl_lab.engines.running.calls import CallTable, Message
from kpl_lab.engines.running.checks import check_segment, check_target
from kpl_lab.engines.running.collect import collect
from kpl_lab.engines.running.ledger import Entry, Ledger
from kpl_lab.engines.running.protocol import Json, encode
from kpl_lab.engines.running.rules import USER_PREFIX, identity_of
from kpl_lab.engines.running.trees import Account
from kpl_lab.engines.spec import Handle, Workload
from kpl_lab.errors import EngineError

E = TypeVar("E", bound=Entry[Any])


class Identities(Protocol):
    """Gives each identity its account."""

    def get(self, identity: str) -> Account:
        """Return the account of ``identity``, giving it one the first time."""

    def free_all(self, identity: str) -> None:
        """Let go of the numbers of ``identity`` and of its replicas."""


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """What an engine stands on.

    Attributes
    ----------
    engine
        Its name in handles.
    storage
        Where inputs come from and outputs go to.
    platform
        Who owns what was collected.
    """

    engine: str
    storage: Path
    accounts: Identities
    platform: Account


class WorkloadCalls(CallTable[E]):
    """Calls that know of workloads, replicas and accounts, and not what a replica is."""

    def __init__(self, ledger: Ledger[E], grounds: Grounds) -> None:
        super().__init__(ledger)
        self._grounds = grounds

    @abstractmethod
    def _scale(self, entry: E) -> None:
        """Start and retire replicas until they are as many as were asked for."""

    def _handle(self, name: str, **data: bool) -> Message:
        return dict(encode(Handle(engine=self._grounds.engine, name=name, data=data)))

    async def _bring_up(self, entry: E, wanted: Workload) -> AsyncIterator[Json]:
        """Yield a workload's handle, and again once it has the replicas that ``wanted`` names."""
        yield self._handle(wanted.name)
        async with entry.lock:
            if entry.is_deleting:
                raise EngineError(f"{wanted.name} is being deleted.", code="deleting")
            if entry.workload.replicas != wanted.replicas:
                entry.with_replicas(wanted.replicas)
                entry.save()
            self._scale(entry)
        yield self._handle(wanted.name, started=True)

    async def _stop(self, name: str, grace_seconds: float | None = None) -> None:
        entry = self._entries.get(name)
        if entry is None:
            return
        async with entry.lock:
            for index in list(entry.statuses):
                self._ask_to_stop(entry, index, grace_seconds)

    def _free_accounts(self, entry: E) -> None:
        """Let go of the numbers of a deleted workload, unless they are a person's or in use."""
        identity = entry.workload.identity
        if identity.startswith(USER_PREFIX):
            return
        if any(other.workload.identity == identity for other in self._entries.values()):
            return
        self._grounds.accounts.free_all(identity)

    def _account_of(self, entry: E, index: int) -> Account:
        uid = self._grounds.accounts.get(identity_of(entry.workload, index)).uid
        return Account(uid, uid)

    async def _collect(self, name: str, output: str, target: str) -> int:
        check_segment(output, "output key")
        entry = self.entry(name)
        statuses = entry.statuses.values()
        if not statuses or not all(status.is_final for status in statuses):
            raise EngineError(f"{name} has not ended; its outputs still change.", code="running")
        place = check_target(Path(target), self._grounds.storage)
        folders = [entry.place(index).outputs / output for index in sorted(entry.statuses)]
        sources = [one for one in folders if one.is_dir() and not one.is_symlink()]
        if not sources:
            raise EngineError(
                f"{name} has no output {output!r} any more: the program has removed its folder.",
                code="no_output",
            )
        giver = self._account_of(entry, 0)
        async with entry.lock:
            return await asyncio.to_thread(
                collect,
                sources,
                entry.place(0).root / "collected" / output,
                place,
                giver=giver,
                taker=self._grounds.platform,
            )

    @staticmethod
    def _home_of(entry: E) -> str:
        """Return whose home a workload has."""
        home = entry.workload.home
        if home is None:
            raise EngineError(
                f"{entry.name} has no home to mount into; only servers have.", code="no_home"
            )
        return home
