"""Datasets and their immutable versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.naming import check_name
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, uploads, uses
from kpl_lab.platform.domain.imports import Imported as Imported
from kpl_lab.platform.storage.files import FileStore, remove_tree
from kpl_lab.platform.storage.records.assets import DatasetRecord, DatasetVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.datasets import DatasetCreate

NOUN = "dataset"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who owns a new version and where it comes from."""

    owner: str
    workspace_id: int
    source: str
    visibility: str = "private"
    description: str = ""
    purpose: str = "other"
    upload_id: int | None = None
    task_id: int | None = None
    format: str = "auto"


def create(store: Store, caller: Caller, request: DatasetCreate) -> DatasetRecord:
    """Begin a dataset, or the next version of the caller's dataset of that name."""
    access.check_visibility(caller, request.visibility)
    upload = uploads.require_complete(store, caller, request.upload)
    origin = Origin(
        owner=caller.name,
        workspace_id=access.workspace_id(store, request.workspace),
        source=upload.filename,
        visibility=request.visibility,
        description=request.description,
        purpose=request.purpose,
        upload_id=upload.id,
        format=request.format,
    )
    record, _ = begin_version(store, request.name, origin)
    return record


def begin_version(
    store: Store, name: str, origin: Origin
) -> tuple[DatasetRecord, DatasetVersionRecord]:
    """Add a version in state ``preparing``, and the dataset where it is new."""
    clean = check_name(name, what="dataset's name")
    record = store.datasets.own(clean, origin.owner)
    now = store.now()
    if record is None:
        record = store.datasets.add(
            name=clean,
            owner=origin.owner,
            workspace_id=origin.workspace_id,
            visibility=origin.visibility,
            state="preparing",
            reason=None,
            message=None,
            created_at=now,
            updated_at=now,
            description=origin.description,
            purpose=origin.purpose,
            version=None,
        )
        store.events.write(access.subject("datasets", record), "created")
    elif record.version is None:
        # All tries so far have failed; this one starts afresh.
        store.datasets.update(record.id, state="preparing", reason=None, message=None)
        record = store.datasets.get(record.id) or record
    version = store.dataset_versions.add(
        dataset_id=record.id,
        number=store.dataset_versions.next_number(record.id),
        state="preparing",
        reason=None,
        message=None,
        created_at=now,
        bytes=None,
        task_id=origin.task_id,
        upload_id=origin.upload_id,
        format=origin.format,
        source=origin.source,
        records=None,
        progress=0.0,
        fields=[],
        classes=[],
        skipped=[],
    )
    store.events.write(access.subject("datasets", record), "updated")
    return record, version


def finish_version(store: Store, version: DatasetVersionRecord, found: Imported) -> None:
    """Make a prepared version usable; its files are in place already. Repeatable."""
    record = store.datasets.get(version.dataset_id)
    if record is None:
        return
    changed = store.dataset_versions.update(
        version.id,
        where={"state": "preparing"},
        state="ready",
        progress=None,
        records=found.records,
        bytes=found.bytes,
        fields=list(found.fields),
        classes=list(found.classes),
        skipped=list(found.skipped)[:200],
        format=found.format,
        upload_id=None,
    )
    if not changed:
        return
    newest = max(version.number, record.version or 0)
    store.datasets.update(
        record.id, state="ready", reason=None, message=None, version=newest, updated_at=store.now()
    )
    store.events.write(
        access.subject("datasets", record),
        "ready",
        f"Dataset {record.name} version {version.number} is ready: {found.records} records.",
    )


def fail_version(store: Store, version: DatasetVersionRecord, reason: str, message: str) -> None:
    """End a version that could not be prepared; earlier versions stay in use."""
    record = store.datasets.get(version.dataset_id)
    if record is None:
        return
    changed = store.dataset_versions.update(
        version.id, where={"state": "preparing"}, state="failed", reason=reason, message=message
    )
    if not changed:
        return
    values: dict[str, Any] = {"reason": reason, "message": message, "updated_at": store.now()}
    if record.version is None:
        values["state"] = "failed"
    store.datasets.update(record.id, **values)
    store.events.write(access.subject("datasets", record), "failed", message, level="error")


def version_of(store: Store, record: DatasetRecord, number: int | None) -> DatasetVersionRecord:
    """Return a ready version; without a number the newest.

    Raises
    ------
    NotFound, Conflict
        There is no such version, or it is not ready.
    """
    wanted = number if number is not None else record.version
    if wanted is None:
        raise Conflict(
            f"The dataset {record.name!r} has no ready version yet: "
            + (record.message or "it is still being prepared."),
            code="not_ready",
        )
    found = store.dataset_versions.numbered(record.id, wanted)
    if found is None:
        raise NotFound(f"The dataset {record.name!r} has no version {wanted}.")
    if found.state != "ready":
        raise Conflict(
            f"Version {wanted} of the dataset {record.name!r} is {found.state}: "
            + (found.message or "wait until it is ready."),
            code="not_ready",
        )
    return found


def delete(store: Store, files: FileStore, record: DatasetRecord) -> None:
    """Remove a dataset with all versions.

    Raises
    ------
    Conflict
        It is mounted, or used by a task or a service; says by which.
    """
    uses.refuse_while_used(store, NOUN, record)
    store.dataset_versions.delete_of(record.id)
    store.datasets.delete(record.id)
    store.events.write(access.subject("datasets", record), "deleted")
    store.after_commit(lambda: remove_tree(files.path("datasets", record.id)))
