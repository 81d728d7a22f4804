"""Uploads: bytes that arrive in parts, can be resumed, and are then turned into something."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from kpl_lab.errors import Conflict, Invalid, NotFound, StorageFull, TooLarge
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.storage.files import FileStore, explain_full_disk
from kpl_lab.platform.storage.records.assets import UploadRecord
from kpl_lab.platform.storage.store import Store

MAX_FILENAME = 255


def create(
    store: Store, caller: Caller, filename: str, size: int | None, limit: int
) -> UploadRecord:
    """Announce an upload.

    Raises
    ------
    TooLarge
        It is announced larger than the limit.
    """
    if size is not None and size > limit:
        raise TooLarge(
            f"The upload has {size} bytes; at most {limit} are allowed here.",
            detail={"size": size, "limit": limit},
        )
    clean = Path(filename.replace("\\", "/")).name.lstrip(".")[:MAX_FILENAME] or "upload"
    return store.uploads.add(
        owner=caller.name,
        filename=clean,
        size=size,
        received=0,
        complete=False,
        created_at=store.now(),
    )


def check_room(files: FileStore, size: int | None) -> None:
    """Refuse an upload that will not fit, before its bytes are sent for nothing.

    Raises
    ------
    StorageFull
        The detail has the numbers.
    """
    free = files.free_bytes()
    if size is not None and size > free:
        raise StorageFull(
            f"The upload has {size} bytes, but only {free} are free where the platform stores "
            "files. Delete what is no longer needed, or ask an administrator for more room.",
            detail={"size": size, "free": free},
        )


def get(store: Store, caller: Caller, id: int) -> UploadRecord:
    """Return an upload of the caller's.

    Raises
    ------
    NotFound
        There is none of theirs.
    """
    found = store.uploads.get(id)
    if found is None or found.owner != caller.name:
        raise NotFound(f"There is no upload {id} of yours.")
    return found


def check_offset(upload: UploadRecord, offset: int) -> None:
    """Refuse bytes that would leave a hole or come twice.

    Raises
    ------
    Conflict
        The detail says where to go on.
    """
    if upload.complete:
        raise Conflict(f"The upload {upload.id} is complete already.", code="upload_complete")
    if offset != upload.received:
        raise Conflict(
            f"The upload has {upload.received} bytes so far; go on from there, not from {offset}.",
            code="wrong_offset",
            detail={"received": upload.received},
        )


def open_alone(files: FileStore, id: int) -> IO[bytes]:
    """Open an upload's file for this request alone, until it is closed.

    Two that write at once would each write over what the other was told is kept. The lock is the
    file's, so it holds between two processes too: one that ends and the one after it.

    Raises
    ------
    Conflict
        Another request writes it.
    """
    with explain_full_disk():
        path = files.upload(id)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if not isinstance(error, BlockingIOError):
            raise
        raise Conflict(
            f"Another request writes the upload {id} at this moment; wait until it has ended, "
            "then ask how far the upload is and go on from there.",
            code="upload_busy",
        ) from error
    return file


def go_to_end(file: IO[bytes], upload: UploadRecord) -> None:
    """Make an upload's file ready for the bytes that come next."""
    with explain_full_disk():
        # Bytes behind the last acknowledged one belong to a request that was cut off.
        file.truncate(upload.received)
        file.seek(upload.received)


def note_received(store: Store, upload: UploadRecord, received: int, limit: int) -> UploadRecord:
    """Record how far the upload is.

    Raises
    ------
    TooLarge
        More than announced or allowed.
    Conflict
        It was given up meanwhile.
    """
    allowed = limit if upload.size is None else min(limit, upload.size)
    if received > allowed:
        raise TooLarge(f"The upload is larger than the {allowed} bytes that were announced.")
    where = {"received": upload.received, "complete": False}
    if not store.uploads.update(upload.id, where=where, received=received):
        raise Conflict("The upload was given up or ended meanwhile.", code="upload_ended")
    changed = store.uploads.get(upload.id)
    assert changed is not None  # noqa: S101 (changed just above)
    return changed


def complete(store: Store, caller: Caller, id: int) -> UploadRecord:
    """Declare an upload whole; repeatable. Nothing may write it: see :func:`open_alone`.

    Raises
    ------
    Invalid
        Bytes are missing.
    """
    upload = get(store, caller, id)
    if upload.size is not None and upload.received != upload.size:
        raise Invalid(
            f"The upload has {upload.received} of {upload.size} bytes; send the rest first.",
            code="upload_incomplete",
            detail={"received": upload.received, "size": upload.size},
        )
    store.uploads.update(id, complete=True, size=upload.received)
    return get(store, caller, id)


def require_complete(store: Store, caller: Caller, id: int) -> UploadRecord:
    """Return a finished upload of the caller's.

    Raises
    ------
    NotFound, Invalid
        There is none, or it is not finished.
    """
    upload = get(store, caller, id)
    if not upload.complete:
        raise Invalid(
            f"The upload {id} is not complete; send the rest and complete it first.",
            code="upload_incomplete",
        )
    return upload


def discard(store: Store, files: FileStore, id: int) -> None:
    """Forget an upload and its bytes; no-op when it is gone."""
    store.uploads.delete(id)
    store.after_commit(lambda: files.upload(id).unlink(missing_ok=True))
