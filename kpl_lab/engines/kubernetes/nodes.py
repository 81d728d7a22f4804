"""The agents of nodes, as the runner sees them: what each is to show, and what it says of that."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.gate import Line
from kpl_lab.engines.kubernetes.ledger import Entry, Ledger
from kpl_lab.engines.kubernetes.node.report import NodeReport, Showing, State, report_of
from kpl_lab.engines.kubernetes.plan import TAKES_MOUNTS
from kpl_lab.engines.kubernetes.pods import Json, Pods
from kpl_lab.engines.kubernetes.wire import Broken
from kpl_lab.errors import EngineError

log = logging.getLogger(__name__)

Wanted = dict[str, dict[str, str]]
_OVER = ("Succeeded", "Failed")
# How long a node's agent may say nothing before what is to be shown is copied instead.
SILENCE_SECONDS = 15.0
# How long an agent that was there may take to come again; a connection to an address that has gone ends late.
RETURN_SECONDS = 20.0
# How long a node may take to fetch a version, as a copy may.
FETCH_SECONDS = 3600.0
# All may still have to come while the runner is so young.
_YOUNG_SECONDS = 60.0


@dataclass
class _Node:
    """One node's agent.

    Attributes
    ----------
    order
        Number of the last order.
    told
        What that said; None: it was told nothing yet since it is there.
    report
        What it said last; None: nothing yet since it is there.
    """

    line: Line | None = None
    was_there: bool = False
    order: int = 0
    told: Wanted | None = None
    report: NodeReport | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pods(self) -> Mapping[str, Mapping[str, Showing]] | None:
        """What the last order has come to; None before the agent has followed it."""
        if self.told is None or self.report is None or self.report.heard != self.order:
            return None
        return self.report.pods


class Nodes:
    """What node agents show.

    Parameters
    ----------
    installation
        Id, so that caches of two do not mix.
    storage
        Folder of the store.
    """

    def __init__(self, ledger: Ledger, pods: Pods, installation: str, storage: Path) -> None:
        self._ledger, self._pods = ledger, pods
        self._installation, self._storage = installation, storage.resolve()
        self._nodes: dict[str, _Node] = {}
        # No runner takes the answer to another's order for one to its own.
        self._orders = itertools.count(secrets.randbelow(2**48) + 1)
        self._is_synced = False
        self._watched: set[str] = set()  # labels of the workloads that show something
        self._leaving: set[tuple[str, str]] = set()
        self._began = time.monotonic()

    # --- agents -------------------------------------------------------------------------------------

    def linked(self, node: str, line: Line) -> None:
        """Take an agent's connection."""
        log.info("the agent of the node %s is there", node)
        found = self._nodes.setdefault(node, _Node())
        found.line, found.told, found.report, found.was_there = line, None, None, True
        found.news.set()

    def unlinked(self, node: str, line: Line) -> None:
        """Let it go."""
        found = self._nodes.get(node)
        if found is not None and found.line is line:
            log.info("the agent of the node %s has gone", node)
            found.line, found.told = None, None

    def reported(self, node: str, report: dict[str, Any]) -> None:
        """Take what an agent says."""
        found = self._nodes.setdefault(node, _Node())
        try:
            found.report = report_of(report)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("the agent of the node %s cannot be understood: %s", node, error)
            return
        if self._is_synced and found.told is None:
            self._adopt(found.report)
            self._tell()
        found.news.set()

    def _adopt(self, report: NodeReport) -> None:
        """Learn what is shown in the pods of workloads that only the cluster remembers."""
        for entry in self._ledger.entries.values():
            place = self._place(entry) if entry.is_adopted else None
            known = report.pods.get(place[1], {}) if place else {}
            if any(name not in entry.shown for name in known):
                entry.shown = {**{name: one.version for name, one in known.items()}, **entry.shown}
                entry.save()

    @property
    def present(self) -> list[str]:
        """Names of the nodes whose agents are there."""
        return sorted(name for name, one in self._nodes.items() if one.line is not None)

    # --- what is to be shown ------------------------------------------------------------------------

    def synced(self) -> None:
        """Begin to give orders: before the cluster has told of everything, they would lack pods."""
        self._is_synced = True
        for found in self._nodes.values():
            if found.report is not None:
                self._adopt(found.report)
        self._tell()

    def changed(self, label: str) -> None:
        """Look at a workload of which something has changed, named by its label."""
        if self._is_synced and label in self._watched:
            self._tell()

    def _wanted(self) -> dict[str, Wanted]:
        """Return what is to be shown, by node."""
        found: dict[str, Wanted] = {}
        for entry in list(self._ledger.entries.values()):
            shown = {
                name: version
                for name, version in list(entry.shown.items())
                if (entry.name, name) not in self._leaving
            }
            if shown and (place := self._place(entry)) is not None:
                found.setdefault(place[0], {})[place[1]] = shown
        return found

    def _tell(self) -> None:
        """Say what is to be shown, where that is news, to all agents that have said what is."""
        wanted = self._wanted()
        showing = [one.name for one in self._ledger.entries.values() if one.shown]
        self._watched = {names.label_value(one) for one in showing}
        for node, found in self._nodes.items():
            mine = wanted.get(node, {})
            if found.line is None or found.report is None or mine == found.told:
                continue
            found.order, found.told = next(self._orders), mine
            found.line.order({"do": "show", "id": found.order, "pods": mine})

    def _place(self, entry: Entry) -> tuple[str, str] | None:
        """Return node and UID of the pod of a server, where it sees what is mounted into it."""
        for pod in reversed(self._pods.of(entry.name)):
            if _sees(pod):
                return str(pod["spec"].get("nodeName") or ""), str(pod["metadata"]["uid"])
        return None

    async def show(self, entry: Entry, name: str, folder: Path) -> str:
        """Have a version shown in a server's pod; return why not, empty when it is."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                why = await self._show(entry, name, folder)
        except TimeoutError:
            why = "the node has not fetched it in all that time"
        if why:
            log.warning("%s is not shown in %s: %s", name, entry.name, why)
            entry.shown.pop(name, None)
            entry.save()
            self._tell()
        return why

    async def _show(self, entry: Entry, name: str, folder: Path) -> str:
        place = self._place(entry)
        if place is None:
            return "the server was started before there were node agents"
        node, uid = place
        if not await self._is_there(node):
            return f"no node agent answers on {node}"
        version = self.version_of(folder)
        self._leaving.discard((entry.name, name))
        entry.shown[name] = version
        entry.save()
        self._tell()
        while (pods := await self._followed(node)) is not None and not entry.is_deleting:
            one = pods.get(uid, {}).get(name)
            if one is None:
                return "the server has ended"
            if one.state is State.SHOWN:
                return ""
            if one.state is State.FAILED:
                return one.error
            if not await self._news(node):
                break
        return f"the node agent of {node} does not answer"

    async def _is_there(self, node: str) -> bool:
        """Say whether a node has an agent, which may be just being replaced."""
        found = self._nodes.setdefault(node, _Node())
        if found.was_there or time.monotonic() - self._began < _YOUNG_SECONDS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETURN_SECONDS):
                    while found.line is None:
                        await self._news(node)
        return found.line is not None

    def progress(self, entry: Entry, name: str) -> tuple[int, int] | None:
        """Return the bytes that a node has of what it fetches for a live mount, and all of them."""
        node, uid = self._place(entry) or ("", "")
        found = self._nodes.get(node)
        one = (found.pods or {}).get(uid, {}).get(name) if found else None
        is_coming = one is not None and one.state is State.FETCHING and one.total > 0
        return (one.done, one.total) if one is not None and is_coming else None

    async def hide(self, entry: Entry, name: str) -> None:
        """Have a version shown no more.

        Raises
        ------
        EngineError
            The node's agent does not answer.
        """
        place = self._place(entry)
        if place is not None:
            self._leaving.add((entry.name, name))
            self._tell()
            if await self._followed(place[0]) is None:
                raise EngineError(
                    f"The node agent of {place[0]} does not answer just now; try again in a moment.",
                    code="agent_away",
                )
        entry.shown.pop(name, None)
        entry.save()
        self._leaving.discard((entry.name, name))

    async def _followed(self, node: str) -> Mapping[str, Mapping[str, Showing]] | None:
        """Wait until the last order was followed; return what it has come to, None without an answer."""
        found = self._nodes.setdefault(node, _Node())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                while found.pods is None:
                    await self._news(node)
        return found.pods

    async def _news(self, node: str) -> bool:
        """Wait for a word of a node's agent; False where none comes."""
        found = self._nodes.setdefault(node, _Node())
        found.news.clear()
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                await found.news.wait()
        except TimeoutError:
            return False
        return True

    # --- versions -----------------------------------------------------------------------------------

    def version_of(self, folder: Path) -> str:
        """Return by what nodes know a version: another one where the store has made it anew."""
        facts = folder.stat()
        told = (self._installation, folder.relative_to(self._storage), facts.st_ino)
        text = "\0".join(str(part) for part in (*told, facts.st_mtime_ns))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def source(self, node: str, version: str) -> Path:
        """Return the folder of a version that is to be shown on a node.

        Raises
        ------
        EngineError
            It is not to be shown there.
        Broken
            Not known yet: the cluster has not told of all pods.
        """
        if not self._is_synced:
            raise Broken("it is not known yet what is to be shown")
        wanted = self._wanted().get(node, {}).items()
        uids = {uid for uid, shown in wanted if version in shown.values()}
        for entry in list(self._ledger.entries.values()):
            place = self._place(entry) if entry.shown else None
            if place is not None and place[1] in uids:
                for name, one in list(entry.shown.items()):
                    if one == version and name in entry.mounted:
                        return Path(entry.mounted[name])
        raise EngineError(f"{version} is not to be shown on {node}.", code="no_source")


def _sees(pod: Json) -> bool:
    """Say whether a pod runs and sees what is mounted into it."""
    if (pod["metadata"].get("annotations") or {}).get(TAKES_MOUNTS) != "true":
        return False
    status = pod.get("status") or {}
    if status.get("phase") in _OVER:
        return False
    return not any(
        "terminated" in (one.get("state") or {})
        for one in status.get("containerStatuses") or ()
        if one.get("name") == names.COMMAND_CONTAINER
    )
