"""Which notebook servers may start, and what the others wait for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import QuotaExceeded
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import server_events, servers
from kpl_lab.platform.domain.capacity import books, limits
from kpl_lab.platform.domain.ledgers import (
    Amounts,
    Blocked,
    Shortage,
    explain_impossible,
    require_possible,
)
from kpl_lab.platform.storage.records.work import ServerRecord
from kpl_lab.platform.storage.store import Store

WAITING_REASON = "waiting"
"""``reason`` of a server that has asked to start and for which there is no room yet."""


def start(
    store: Store,
    context: Context,
    id: int,
    launch: Mapping[str, Any],
    capacity: Capacity,
) -> ServerRecord:
    """Let a server start as soon as there is room; repeating it changes nothing.

    Raises
    ------
    QuotaExceeded
        It can never fit; says of what, with numbers. Nothing is left of the server.
    """
    server = servers.require(store, id)
    if server.state != "pending" or server.launch is not None:
        return server
    try:
        wanted = Amounts.of(server.resources)
        require_possible(limits(context, capacity), server.pool, server.user, wanted)
    except QuotaExceeded:
        servers.withdraw(store, server)
        raise
    store.servers.update(id, where={"state": "pending"}, launch=dict(launch))
    admit(store, context, capacity)
    return servers.require(store, id)


def admit(store: Store, context: Context, capacity: Capacity) -> list[int]:
    """Let those that wait start in the order in which they came; return their ids.

    Who waits for a kind is not overtaken by later ones that take of it.
    """
    found = books(store, context, capacity)
    blocked = Blocked()
    admitted: list[int] = []
    ahead = 0
    for server in store.servers.waiting():
        wanted = Amounts.of(server.resources)
        never = found.never(server.pool, server.user, wanted, is_queued=True)
        if never is not None:  # the machine or the quota became smaller since it asked
            servers.end_explained(store, server, explain_impossible(never, server.pool))
            continue
        lacking = found.shortage(server.pool, server.user, wanted)
        held = blocked.of(server.pool, server.user, wanted)
        if lacking is not None:
            blocked.add(lacking)
        elif held:
            lacking = found.behind(server.pool, server.user, wanted, held)
        if lacking is not None:
            _wait(store, server, _sentence(lacking, ahead))
            ahead += 1
        elif servers.admitted(store, server):
            found = found.with_use(server.pool, server.user, wanted)
            admitted.append(server.id)
    return admitted


def _sentence(lacking: Shortage, ahead: int) -> str:
    text = lacking.text
    behind = f"; {ahead} ahead of you" if ahead else ""
    return f"{text[0].upper()}{text[1:]}{behind}."


def _wait(store: Store, server: ServerRecord, message: str) -> None:
    """Say what a server waits for; the history has the first sentence, the state the latest."""
    if message == server.message:
        return
    store.servers.update(
        server.id, where={"state": "pending"}, reason=WAITING_REASON, message=message
    )
    if server.message is None:
        server_events.tell(store, server, server_events.QUEUED, message=message)
