"""Models and their immutable versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.naming import check_name
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, uploads, uses
from kpl_lab.platform.storage.archives import listing
from kpl_lab.platform.storage.files import FileStore, remove_tree
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


def begin_version(
    store: Store, name: str, origin: Origin
) -> tuple[ModelRecord, ModelVersionRecord]:
    """Add a version in state ``preparing``, and the model where it is new."""
    clean = check_name(name, what="model's name")
    record = store.models.own(clean, origin.owner)
    now = store.now()
    if record is None:
        record = store.models.add(
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
            version=None,
        )
        store.events.write(access.subject("models", record), "created")
    elif record.version is None:
        # All tries so far have failed; this one starts afresh.
        store.models.update(record.id, state="preparing", reason=None, message=None)
        record = store.models.get(record.id) or record
    version = store.model_versions.add(
        model_id=record.id,
        number=store.model_versions.next_number(record.id),
        state="preparing",
        reason=None,
        message=None,
        created_at=now,
        bytes=None,
        task_id=origin.task_id,
        upload_id=origin.upload_id,
        files=[],
        metrics=origin.metrics,
        parameters=origin.parameters,
        lineage=origin.lineage,
    )
    store.events.write(access.subject("models", record), "updated")
    return record, version


def files_of(folder: Path) -> list[dict[str, Any]]:
    """Return path and size of every file of a version."""
    return listing(folder)


def finish_version(store: Store, version: ModelVersionRecord, files: list[dict[str, Any]]) -> None:
    """Make a version usable; its files are in place already. Repeatable."""
    record = store.models.get(version.model_id)
    if record is None:
        return
    changed = store.model_versions.update(
        version.id,
        where={"state": "preparing"},
        state="ready",
        bytes=sum(f["bytes"] for f in files),
        files=files[:10_000],
        upload_id=None,
    )
    if not changed:
        return
    newest = max(version.number, record.version or 0)
    store.models.update(
        record.id, state="ready", reason=None, message=None, version=newest, updated_at=store.now()
    )
    store.events.write(
        access.subject("models", record),
        "ready",
        f"Model {record.name} version {version.number} is ready.",
    )


def fail_version(store: Store, version: ModelVersionRecord, reason: str, message: str) -> None:
    """End a version that could not be prepared; earlier versions stay in use."""
    record = store.models.get(version.model_id)
    if record is None:
        return
    changed = store.model_versions.update(
        version.id, where={"state": "preparing"}, state="failed", reason=reason, message=message
    )
    if not changed:
        return
    values: dict[str, Any] = {"reason": reason, "message": message, "updated_at": store.now()}
    if record.version is None:
        values["state"] = "failed"
    store.models.update(record.id, **values)
    store.events.write(access.subject("models", record), "failed", message, level="error")


def version_of(store: Store, record: ModelRecord, number: int | None) -> ModelVersionRecord:
    """Return a ready version; without a number the newest.

    Raises
    ------
    NotFound, Conflict
        There is no such version, or it is not ready.
    """
    wanted = number if number is not None else record.version
    if wanted is None:
        raise Conflict(
            f"The model {record.name!r} has no ready version yet: "
            + (record.message or "it is still being prepared."),
            code="not_ready",
        )
    found = store.model_versions.numbered(record.id, wanted)
    if found is None:
        raise NotFound(f"The model {record.name!r} has no version {wanted}.")
    if found.state != "ready":
        raise Conflict(
            f"Version {wanted} of the model {record.name!r} is {found.state}: "
            + (found.message or "wait until it is ready."),
            code="not_ready",
        )
    return found


def delete(store: Store, files: FileStore, record: ModelRecord) -> None:
    """Remove a model with all versions.

    Raises
    ------
    Conflict
        A task or a service uses it; says which.
    """
    uses.refuse_while_used(store, NOUN, record)
    store.model_versions.delete_of(record.id)
    store.models.delete(record.id)
    store.events.write(access.subject("models", record), "deleted")
    store.after_commit(lambda: remove_tree(files.path("models", record.id)))
