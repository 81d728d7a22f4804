"""Lives of workloads, driven by what the cluster and the agents tell."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.gate import Caller, Line
from kpl_lab.engines.kubernetes.heard import report_of
from kpl_lab.engines.kubernetes.ledger import Entry, Ledger
from kpl_lab.engines.kubernetes.life import Life, Tools
from kpl_lab.engines.kubernetes.objects.parts import workload_of
from kpl_lab.engines.kubernetes.orders import Orders
from kpl_lab.engines.kubernetes.pods import OBJECT_OF, Json

log = logging.getLogger(__name__)


class Keeper:
    """Begins lives, passes on what agents say, and adopts what runs."""

    def __init__(self, ledger: Ledger, tools: Tools) -> None:
        self._ledger = ledger
        self._tools = tools
        self._lives: dict[str, Life] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._names: dict[str, str] = {}  # by the label that objects have
        self._links: dict[Caller, Line] = {}
        self.orders = Orders(self._agent, lambda name: name not in self._lives)

    def adopt(self) -> None:
        """Go on with all that the folders and the cluster know; once the cluster was listed."""
        for found in self._tools.pods.all():
            self._rebuild(found)
        for entry in list(self._ledger.entries.values()):
            # What was not made before a crash is made when it is asked for again.
            found_one = self._tools.pods.object_of(entry.name, entry.workload.kind)
            if entry.is_made or found_one is not None:
                self.begin(entry)

    def _rebuild(self, found: Json) -> None:
        """Make an entry of an object's annotation: its folder was lost, or is another machine's."""
        metadata = found["metadata"]
        workload = workload_of(metadata.get("annotations") or {})
        if workload is None or workload.name in self._ledger.entries:
            return
        # Whoever may write annotations may write any name there: only the object's own counts.
        own = names.object_name(self._tools.planner.installation, workload.name)
        if found["kind"] == OBJECT_OF[workload.kind] and metadata["name"] == own:
            log.info("adopting %s from the cluster", workload.name)
            self._ledger.create(workload, is_made=True, is_adopted=True)

    def begin(self, entry: Entry) -> None:
        """Watch a workload; no-op while that is done already."""
        task = self._tasks.get(entry.name)
        if task is not None and not task.done():
            self._lives[entry.name].wake()
            return
        life = self._lives[entry.name] = Life(entry, self._tools)
        self._names[names.label_value(entry.name)] = entry.name
        for caller, line in self._links.items():
            if caller.workload == entry.name:
                life.linked(caller.pod, line)
        task = self._tasks[entry.name] = asyncio.create_task(life.run())
        task.add_done_callback(partial(self._done, entry.name))

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        """Let go of a life that is over: there may be thousands."""
        if not task.cancelled() and task.exception() is not None:
            log.error("%s is watched no more", name, exc_info=task.exception())
        if self._tasks.get(name) is task:
            self._forget(name)

    def _forget(self, name: str) -> None:
        self._tasks.pop(name, None)
        self._lives.pop(name, None)
        self._names.pop(names.label_value(name), None)

    def wake(self, label: str) -> None:
        """Have a workload looked at, which is named by its label."""
        name = self._names.get(label, label)
        if name in self._lives:
            self._lives[name].wake()

    def life(self, name: str) -> Life | None:
        """Return a workload's life."""
        return self._lives.get(name)

    async def end(self, entry: Entry) -> None:
        """Watch a workload no more."""
        task = self._tasks.get(entry.name)
        self._forget(entry.name)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def close(self) -> None:
        """Let go of everything; what runs goes on."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # --- what agents tell ---------------------------------------------------------------------------

    def linked(self, caller: Caller, line: Line) -> None:
        """Take an agent's connection."""
        self._links[caller] = line
        if caller.workload in self._lives:
            self._lives[caller.workload].linked(caller.pod, line)

    def line(self, caller: Caller) -> Line | None:
        """Return the connection to an agent; None while it has none."""
        return self._links.get(caller)

    def _agent(self, name: str) -> Line | None:
        life = self._lives.get(name)
        return None if life is None else life.line()

    def unlinked(self, caller: Caller, line: Line) -> None:
        """Let it go."""
        if self._links.get(caller) is line:
            del self._links[caller]
        if caller.workload in self._lives:
            self._lives[caller.workload].unlinked(caller.pod, line)

    def reported(self, caller: Caller, report: dict[str, Any]) -> None:
        """Take what an agent says."""
        self.orders.answered(caller.workload, report_of(report)["done"])
        if caller.workload in self._lives:
            self._lives[caller.workload].reported(caller.pod, report)
