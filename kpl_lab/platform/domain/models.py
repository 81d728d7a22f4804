"""Models and their immutable versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, uploads, uses
from kpl_lab.platform.domain.versions import Shelf
from kpl_lab.platform.storage.archives import listing
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.records.assets import ModelRecord, ModelVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.models import ModelCreate

NOUN = "model"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who owns a new version and what it was made from."""

    owner: str
    workspace_id: int
    visibility: str = "private"
    description: str = ""
    upload_id: int | None = None
    task_id: int | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    lineage: list[dict[str, Any]] = field(default_factory=list)


def create(store: Store, caller: Caller, request: ModelCreate) -> ModelRecord:
    """Begin a model, or the next version of the caller's model of that name."""
    access.check_visibility(caller, request.visibility)
    upload = uploads.require_complete(store, caller, request.upload)
    origin = Origin(
        owner=caller.name,
        workspace_id=access.workspace_id(store, request.workspace),
        visibility=request.visibility,
        description=request.description,
        upload_id=upload.id,
    )
    record, _ = begin_version(store, request.name, origin)
    return record


def _shelf(store: Store) -> Shelf[ModelRecord, ModelVersionRecord]:
    return Shelf(store=store, noun=NOUN, assets=store.models, versions=store.model_versions)


def begin_version(
    store: Store, name: str, origin: Origin
) -> tuple[ModelRecord, ModelVersionRecord]:
    """Add a version in state ``preparing``, and the model where it is new."""
    return _shelf(store).begin(
        name,
        asset={
            "owner": origin.owner,
            "workspace_id": origin.workspace_id,
            "visibility": origin.visibility,
            "description": origin.description,
        },
        version={
            "bytes": None,
            "task_id": origin.task_id,
            "upload_id": origin.upload_id,
            "files": [],
            "metrics": origin.metrics,
            "parameters": origin.parameters,
            "lineage": origin.lineage,
        },
    )


def files_of(folder: Path) -> list[dict[str, Any]]:
    """Return path and size of every file of a version."""
    return listing(folder)


def finish_version(store: Store, version: ModelVersionRecord, files: list[dict[str, Any]]) -> None:
    """Make a version usable; its files are in place already. Repeatable."""
    _shelf(store).finish(
        version, bytes=sum(f["bytes"] for f in files), files=files[:10_000], upload_id=None
    )


def version_waits(store: Store, version: ModelVersionRecord, text: str) -> bool:
    """Note what a version waits for; False where it is not being prepared any more."""
    return _shelf(store).note_wait(version, text)


def fail_version(store: Store, version: ModelVersionRecord, reason: str, message: str) -> None:
    """End a version that could not be prepared; earlier versions stay in use."""
    _shelf(store).fail(version, reason, message)


def version_of(store: Store, record: ModelRecord, number: int | None) -> ModelVersionRecord:
    """Return a ready version; without a number the newest.

    Raises
    ------
    NotFound, Conflict
        There is no such version, or it is not ready.
    """
    return _shelf(store).usable(record, number)


def delete(store: Store, files: FileStore, record: ModelRecord) -> None:
    """Remove a model with all versions.

    Raises
    ------
    Conflict
        A task or a service uses it; says which.
    """
    uses.refuse_while_used(store, NOUN, record)
    _shelf(store).delete(record)
    store.after_commit(lambda: files.remove(files.path("models", record.id)))
