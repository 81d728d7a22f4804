"""Datasets in running servers: shown by the agent of the node, else copied by the agent of the pod."""

from __future__ import annotations

from pathlib import Path

from kpl_lab.engines.kubernetes.ledger import Entry
from kpl_lab.engines.kubernetes.nodes import Nodes
from kpl_lab.engines.kubernetes.orders import Orders
from kpl_lab.errors import EngineError

_COPY_SECONDS = 3600.0


class LiveMounts:
    """Brings folders of the store into running servers.

    Parameters
    ----------
    has_node_agents
        Whether they are to be there: without, nothing is said of them.
    """

    def __init__(self, orders: Orders, nodes: Nodes, *, has_node_agents: bool) -> None:
        self._orders, self._nodes = orders, nodes
        self._has_node_agents = has_node_agents

    async def mount(self, entry: Entry, name: str, folder: Path) -> str:
        """Bring a folder in; return which way it went, as a sentence. The caller holds the lock.

        Raises
        ------
        EngineError
            Neither way.
        """
        entry.mounted[name] = str(folder)
        entry.save()
        why = ""
        if self._has_node_agents and name not in entry.copied:
            why = await self._nodes.show(entry, name, folder)
            if not why:
                return "The node agent shows it: a node keeps one copy for all servers."
            if entry.is_deleting:
                raise EngineError(f"{entry.name} is being deleted.", code="deleting")
        await self._orders.give(entry, {"do": "mount", "name": name}, _COPY_SECONDS)
        entry.copied.add(name)
        entry.save()
        return f"It was copied into the server: {why.rstrip('.')}." if why else ""

    async def unmount(self, entry: Entry, name: str) -> None:
        """Take it away again; no-op where it is not. The caller holds the lock.

        Raises
        ------
        EngineError
            The agent does not answer.
        """
        if name in entry.shown:
            await self._nodes.hide(entry, name)
        elif name in entry.mounted:
            status = entry.statuses.get(0)
            if status is not None and not status.is_final:
                await self._orders.give(entry, {"do": "unmount", "name": name}, _COPY_SECONDS)
        entry.mounted.pop(name, None)
        entry.copied.discard(name)
        entry.save()
