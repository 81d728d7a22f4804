"""What interrupted work and the passing of time leave behind; looked for now and then.

Removing files cannot be part of a transaction. So rows go first, files afterwards, and what a
crash left in between is found here: folders that no row knows.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from kpl_lab.platform.domain import image_builds, servers, uploads
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.files import FileStore, remove_tree
from kpl_lab.platform.storage.store import Store

TICKS_KEPT = dt.timedelta(hours=1)
# Longer than any import or collection of outputs sits still in ``incoming``.
INCOMING_SECONDS = 2 * 24 * 3600
# A version's folder is made after its row; a younger folder may belong to a row not yet seen.
ORPHAN_SECONDS = 3600
# The hub starts what it has created in the same breath, unless it dies in between.
FORGOTTEN_START = dt.timedelta(minutes=10)


def clean(store: Store, files: FileStore, options: PlatformOptions) -> None:
    """Forget old events and given-up uploads, and remove files that belong to nothing.

    Repeatable at any time, beside everything else that runs.
    """
    now = store.now()
    days = dt.timedelta(days=options.event_days)
    store.events.trim(before=now - days, ticks_before=now - TICKS_KEPT)
    _end_forgotten_starts(store, now - FORGOTTEN_START)
    _forget_starts(store, files, options.server_starts_kept)
    store.idempotency.trim(now - dt.timedelta(days=options.event_days))
    _forget_uploads(store, files, now - dt.timedelta(days=options.upload_days))
    assets = {"datasets": store.datasets.ids(), "models": store.models.ids()}
    loose = store.uploads.ids()
    contexts = {path.name for build in store.builds.active() for path in image_builds.paths(build)}
    store.after_commit(
        partial(_remove_old, files.path(image_builds.FOLDER), ORPHAN_SECONDS, contexts)
    )
    # Large trees take minutes to remove: that must not hold the database's lock. What was not
    # known above and is known by then is young.
    for kind, ids in assets.items():
        store.after_commit(partial(_remove_orphans, files.path(kind), frozenset(ids)))
    store.after_commit(partial(_remove_old, files.path("uploads"), ORPHAN_SECONDS, loose))
    store.after_commit(partial(_remove_old, files.path("incoming"), INCOMING_SECONDS))


def _end_forgotten_starts(store: Store, before: dt.datetime) -> None:
    """End servers that were created and never asked to start: nobody knows of them any more."""
    for server in store.servers.active():
        if server.state == "pending" and server.launch is None and server.created_at < before:
            message = "The hub ended before it had started the server; start it again."
            servers.end(store, server, "stopped", "never_started", message)


def _forget_starts(store: Store, files: FileStore, kept: int) -> None:
    """Forget old starts of notebook servers, with events and log."""
    for server in store.servers.older_starts(kept):
        servers.forget(store, server)
        log = files.path("logs", "servers", f"{server.id}.log")
        store.after_commit(partial(files.remove, log))


def _forget_uploads(store: Store, files: FileStore, before: dt.datetime) -> None:
    for upload in store.uploads.older_than(before):
        is_waited_for = store.dataset_versions.waits_for(
            upload.id
        ) or store.model_versions.waits_for(upload.id)
        if not is_waited_for and not _has_changed_since(files.upload(upload.id), before):
            uploads.discard(store, files, upload.id)


def _has_changed_since(path: Path, time: dt.datetime) -> bool:
    """Say whether bytes have still arrived after ``time``."""
    try:
        return path.stat().st_mtime > time.timestamp()
    except FileNotFoundError:
        return False


def _remove_old(folder: Path, seconds: float, known: Iterable[object] = ()) -> None:
    """Remove what lies in ``folder`` for longer than ``seconds`` and is not ``known``."""
    names = {str(id) for id in known}
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in names and _age(path) > seconds:
                remove_tree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _remove_orphans(folder: Path, ids: frozenset[int]) -> None:
    """Remove the folders of datasets or models that were deleted.

    A database that is restored from a backup does not know what came after it: from the highest id on,
    everything stays.
    """
    highest = max(ids, default=0)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    later = [name for name in names if not name.isdecimal() or int(name) >= highest]
    _remove_old(folder, ORPHAN_SECONDS, {*ids, *later})


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
