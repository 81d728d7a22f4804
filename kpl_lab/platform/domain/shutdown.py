"""``kpl-lab down``: what runs ends in words, what waits stays, services come back."""

from __future__ import annotations

from typing import Any

from kpl_lab.platform.domain import servers, tasks
from kpl_lab.platform.storage.repositories.work import HOLDING_TASKS
from kpl_lab.platform.storage.store import Store


def begin(store: Store) -> dict[str, Any]:
    """Ask running tasks and servers to end; services stay wanted for the next start."""
    for task in store.tasks.active():
        if task.state in HOLDING_TASKS and task.desired == "run":
            tasks.stop(store, task, "platform_down")
    for server in store.servers.active():
        servers.stop(store, server.id)
    return progress(store)


def progress(store: Store) -> dict[str, Any]:
    """Return how many tasks and servers have not ended yet."""
    active = [t for t in store.tasks.active() if t.state in HOLDING_TASKS]
    return {"tasks": len(active), "servers": len(store.servers.active())}
