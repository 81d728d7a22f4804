"""``kpl-lab down``: what runs ends in words, what waits stays, services come back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from kpl_lab.platform.domain import servers, tasks
from kpl_lab.platform.storage.repositories.work import HOLDING_TASKS
from kpl_lab.platform.storage.store import Store
from kpl_lab.settings import Home

# `kpl-lab down` asks several times a second how far it is; each question renews the mark, so that
# one that was broken off does not keep tasks waiting.
CLOSING_SECONDS = 10.0


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


def _mark(home: Home) -> Path:
    return home.run / "closing"


def note_closing(home: Home) -> None:
    """Keep queued tasks from starting while everything is being ended."""
    _mark(home).touch()


def note_open(home: Home) -> None:
    """Let queued tasks start again."""
    _mark(home).unlink(missing_ok=True)


def is_closing(home: Home) -> bool:
    """Say whether everything is being ended at this moment."""
    try:
        return time.time() - _mark(home).stat().st_mtime < CLOSING_SECONDS
    except FileNotFoundError:
        return False
