"""What interrupted work and the passing of time leave behind; looked for now and then.

Removing files cannot be part of a transaction. So rows go first, files afterwards, and what a
crash left in between is found here: folders that no row knows.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from pathlib import Path

from kpl_lab.platform.domain import uploads
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.files import FileStore, remove_tree
from kpl_lab.platform.storage.store import Store

UPLOAD_DAYS = 7
TICKS_KEPT = dt.timedelta(hours=1)
# Longer than any import or collection of outputs sits still in ``incoming``.
INCOMING_SECONDS = 2 * 24 * 3600
# A version's folder is made after its row; a younger folder may belong to a row not yet seen.
ORPHAN_SECONDS = 3600


def clean(store: Store, files: FileStore, options: PlatformOptions) -> None:
    """Forget old events and given-up uploads, and remove files that belong to nothing.

    Repeatable at any time, beside everything else that runs.
    """
    now = store.now()
    days = dt.timedelta(days=options.event_days)
    store.events.trim(before=now - days, ticks_before=now - TICKS_KEPT)
    store.idempotency.trim(now - dt.timedelta(days=options.event_days))
    _forget_uploads(store, files, now - dt.timedelta(days=UPLOAD_DAYS))
    store.after_commit(lambda: _remove_old(files.path("incoming"), INCOMING_SECONDS))
    for kind, known in (("datasets", store.datasets.ids()), ("models", store.models.ids())):
        _remove_unknown(files.path(kind), known)


def _forget_uploads(store: Store, files: FileStore, before: dt.datetime) -> None:
    for upload in store.uploads.older_than(before):
        if not store.dataset_versions.waits_for(upload.id) and not store.model_versions.waits_for(
            upload.id
        ):
            uploads.discard(store, files, upload.id)
    known = {str(id) for id in store.uploads.ids()}
    folder = files.path("uploads")
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in known and _age(path) > ORPHAN_SECONDS:
                path.unlink(missing_ok=True)


def _remove_unknown(folder: Path, known: Iterable[int]) -> None:
    names = {str(id) for id in known}
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in names and _age(path) > ORPHAN_SECONDS:
                remove_tree(path)


def _remove_old(folder: Path, seconds: float) -> None:
    if folder.is_dir():
        for path in folder.iterdir():
            if _age(path) > seconds:
                remove_tree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
