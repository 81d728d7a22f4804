"""What stands behind the gate: what the agents of pods and nodes may fetch, give and call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kpl_lab.engines.kubernetes.builds import Builder
from kpl_lab.engines.kubernetes.gate import Caller, Line
from kpl_lab.engines.kubernetes.keeper import Keeper
from kpl_lab.engines.kubernetes.ledger import Entry, Ledger
from kpl_lab.engines.kubernetes.nodes import Nodes
from kpl_lab.engines.kubernetes.planner import Planner
from kpl_lab.engines.kubernetes.reach import Reach, Streams
from kpl_lab.engines.spec import Kind
from kpl_lab.errors import EngineError


class Behind:
    """Answers agents from what is known of their workloads."""

    def __init__(
        self,
        ledger: Ledger,
        planner: Planner,
        builder: Builder,
        keeper: Keeper,
        reach: Reach,
        nodes: Nodes,
    ) -> None:
        self._ledger, self._planner, self._builder = ledger, planner, builder
        self._keeper, self._reach, self._nodes = keeper, reach, nodes

    def _entry(self, name: str) -> Entry:
        entry = self._ledger.entries.get(name)
        if entry is None or entry.is_deleting:
            raise EngineError(f"{name} is not there any more.", code="gone")
        return entry

    def source(self, caller: Caller, what: str, key: str) -> Path:
        """Return a folder that a workload, or the agent of a node, may fetch.

        Raises
        ------
        EngineError
            It has none of this name.
        """
        if caller.node is not None:
            return self._planner.check_source(self._nodes.source(caller.node, key))
        entry = self._entry(caller.workload)
        workload = entry.workload
        if workload.kind is Kind.BUILD:
            return self._builder.source(entry, key)
        found = {
            "code": lambda: workload.code,
            "skeleton": lambda: workload.skeleton,
            "input": lambda: next((one.source for one in workload.inputs if one.key == key), None),
            "mount": lambda: entry.mounted.get(key),
        }.get(what, lambda: None)()
        if found is None:
            raise EngineError(f"{caller.workload} has no {what} {key!r}.", code="no_source")
        # The administrator's own; everything else lies in the store.
        return Path(found) if what == "skeleton" else self._planner.check_source(Path(found))

    def place_for(self, caller: Caller, output: str) -> Path:
        """Return where an output is to lie."""
        entry = self._entry(caller.workload)
        if output not in entry.workload.outputs:
            raise EngineError(f"{caller.workload} has no output {output!r}.", code="no_output")
        index = entry.index_of(caller.pod)
        if index is None:
            raise EngineError(f"{caller.pod} is no pod of {caller.workload}.", code="no_replica")
        return entry.place(index).outputs / output

    def may_call(self, caller: Caller, port: int) -> bool:
        """Say whether a workload may call a port of the platform."""
        entry = self._ledger.entries.get(caller.workload)
        return entry is not None and self._planner.may_call(entry.workload.kind, port)

    def arrived(self, number: str, streams: Streams) -> bool:
        """Take a connection that an agent was asked for."""
        return self._reach.arrived(number, streams)

    def linked(self, caller: Caller, line: Line) -> None:
        """Take an agent's connection."""
        if caller.node is None:
            self._keeper.linked(caller, line)
        else:
            self._nodes.linked(caller.node, line)

    def unlinked(self, caller: Caller, line: Line) -> None:
        """Let it go."""
        if caller.node is None:
            self._keeper.unlinked(caller, line)
        else:
            self._nodes.unlinked(caller.node, line)

    def reported(self, caller: Caller, report: dict[str, Any]) -> None:
        """Take what an agent says."""
        if caller.node is None:
            self._keeper.reported(caller, report)
        else:
            self._nodes.reported(caller.node, report)
