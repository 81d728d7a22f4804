"""Datasets and their immutable versions."""

from __future__ import annotations

from dataclasses import dataclass

from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, uploads, uses
from kpl_lab.platform.domain.imports import Imported as Imported
from kpl_lab.platform.domain.versions import Shelf
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.records.assets import DatasetRecord, DatasetVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.datasets import DatasetCreate
from kpl_lab.wording import counted

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


def _shelf(store: Store) -> Shelf[DatasetRecord, DatasetVersionRecord]:
    return Shelf(store=store, noun=NOUN, assets=store.datasets, versions=store.dataset_versions)


def begin_version(
    store: Store, name: str, origin: Origin
) -> tuple[DatasetRecord, DatasetVersionRecord]:
    """Add a version in state ``preparing``, and the dataset where it is new."""
    return _shelf(store).begin(
        name,
        asset={
            "owner": origin.owner,
            "workspace_id": origin.workspace_id,
            "visibility": origin.visibility,
            "description": origin.description,
            "purpose": origin.purpose,
        },
        version={
            "bytes": None,
            "task_id": origin.task_id,
            "upload_id": origin.upload_id,
            "format": origin.format,
            "source": origin.source,
            "records": None,
            "progress": 0.0,
            "fields": [],
            "classes": [],
            "skipped": [],
        },
    )


def finish_version(store: Store, version: DatasetVersionRecord, found: Imported) -> None:
    """Make a prepared version usable; its files are in place already. Repeatable."""
    _shelf(store).finish(
        version,
        what=counted(found.records, "record"),
        progress=None,
        records=found.records,
        bytes=found.bytes,
        fields=list(found.fields),
        classes=list(found.classes),
        skipped=list(found.skipped)[:200],
        format=found.format,
        upload_id=None,
    )


def version_waits(store: Store, version: DatasetVersionRecord, text: str) -> bool:
    """Note what a version waits for; False where it is not being prepared any more."""
    return _shelf(store).note_wait(version, text)


def fail_version(store: Store, version: DatasetVersionRecord, reason: str, message: str) -> None:
    """End a version that could not be prepared; earlier versions stay in use."""
    _shelf(store).fail(version, reason, message)


def version_of(store: Store, record: DatasetRecord, number: int | None) -> DatasetVersionRecord:
    """Return a ready version; without a number the newest.

    Raises
    ------
    NotFound, Conflict
        There is no such version, or it is not ready.
    """
    return _shelf(store).usable(record, number)


def delete(store: Store, files: FileStore, record: DatasetRecord) -> None:
    """Remove a dataset with all versions.

    Raises
    ------
    Conflict
        It is mounted, or used by a task or a service; says by which.
    """
    uses.refuse_while_used(store, NOUN, record)
    _shelf(store).delete(record)
    store.after_commit(lambda: files.remove(files.path("datasets", record.id)))
