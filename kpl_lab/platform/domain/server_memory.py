"""What memory has cost a notebook server that runs on: a kernel, or another program of it."""

from __future__ import annotations

from kpl_lab.platform.domain import server_events
from kpl_lab.platform.storage.records.work import ServerRecord
from kpl_lab.platform.storage.store import Store

# More than a server has in one life, but for one that does nothing else.
_LATEST = 200


def note_kills(store: Store, server: ServerRecord, kills: int, limit_mb: int) -> None:
    """Put into the history that parts of a running server were ended for memory. Repeatable.

    Parameters
    ----------
    kills
        How many since the server was started, as the engine counts them.
    limit_mb
        The server's limit, in MiB.
    """
    event = server_events.PART_OUT_OF_MEMORY
    known = store.events.of("servers", server.id, limit=_LATEST)
    told = max(
        (int(one.data.get("kills", 0)) for one in known if one.kind == event.kind), default=0
    )
    if kills > told:
        server_events.tell(store, server, event, limit=limit_mb, kills=kills)
