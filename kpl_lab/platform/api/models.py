"""Models over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse

from kpl_lab.platform.api import downloads, views
from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, models
from kpl_lab.platform.domain.service_states import PREVIOUS
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.assets import ModelRecord, ModelVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.models import (
    LineageLink,
    ModelCreate,
    ModelDetail,
    ModelUpdate,
    ModelVersionView,
    ModelView,
)

router = APIRouter(tags=["models"])
Reading = Annotated[Caller, Depends(needs(scope("models", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("models", "write")))]
NOUN = models.NOUN


def _facts(
    record: ModelRecord, used: ModelVersionRecord | None, names: dict[int, str]
) -> dict[str, Any]:
    """Return what lists show: the facts of the version in use."""
    return views.base_fields(record, names) | {
        "description": record.description,
        "version": record.version,
        "bytes": used.bytes if used else None,
        "task_id": used.task_id if used else None,
    }


def _version_view(version: ModelVersionRecord, users: list[LineageLink]) -> ModelVersionView:
    view = ModelVersionView.model_validate(version)
    used = [u for u in users if u.version in (None, version.number)]
    return view.model_copy(update={"lineage": view.lineage + used})


def _users(store: Store, record: ModelRecord, caller: Caller) -> list[LineageLink]:
    """Return the services that the caller may see and that run this model."""
    found = []
    for service in store.services.every():
        is_seen = caller.reader.sees_all or service.owner == caller.name
        is_it = service.model_id == record.id and service.role != PREVIOUS
        if is_it and not service.is_deleted and is_seen:
            number = (service.model or "").rpartition(":")[2]
            found.append(
                LineageLink(
                    kind="service",
                    relation="used_by",
                    id=service.public_id,
                    name=service.title,
                    version=int(number) if number.isdigit() else None,
                )
            )
    return found


def _detail(store: Store, record: ModelRecord, caller: Caller) -> ModelDetail:
    versions = store.model_versions.of(record.id)
    users = _users(store, record, caller)
    used = next((v for v in versions if v.number == record.version), None)
    return ModelDetail(
        **_facts(record, used, views.workspace_names(store)),
        versions=[_version_view(v, users) for v in versions],
    )


@router.get("/models")
def list_models(store: ReadingStoreDep, caller: Reading, listing: ListDep) -> Page[ModelView]:
    """Return models, newest first."""
    found = store.models.page(listing.query(caller))
    used = store.model_versions.used_of(found)
    names = views.workspace_names(store)
    return listing.page(found, lambda r: ModelView(**_facts(r, used.get(r.id), names)))


@router.post("/models", status_code=201)
def create_model(
    body: ModelCreate,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> ModelDetail:
    """Make a model of an upload; it is prepared in the background."""
    record = key.made(store, caller, "models", store.models)
    if record is None:
        record = models.create(store, caller, body)
        key.keep(store, caller, "models", record.id)
    response.headers["Location"] = f"/kpl/api/v1/models/{record.id}"
    return _detail(store, record, caller)


@router.get("/models/{ref}")
def get_model(ref: str, store: ReadingStoreDep, caller: Reading) -> ModelDetail:
    """Return a model with its versions."""
    return _detail(store, access.find(store.models, ref, caller, NOUN), caller)


@router.patch("/models/{ref}")
def update_model(ref: str, body: ModelUpdate, store: StoreDep, caller: Writing) -> ModelDetail:
    """Change what is said about a model."""
    record = access.find(store.models, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    access.check_visibility(caller, body.visibility)
    store.models.update(record.id, **body.model_dump(exclude_none=True), updated_at=store.now())
    store.events.write(access.subject("models", record), "updated")
    return _detail(store, access.find(store.models, str(record.id), caller, NOUN), caller)


@router.delete("/models/{ref}", status_code=204)
def delete_model(ref: str, context: ContextDep, store: StoreDep, caller: Writing) -> None:
    """Remove a model with all its versions."""
    record = access.find(store.models, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    models.delete(store, context.files, record)


@router.get("/models/{ref}/versions/{number}/download")
def download_model(
    ref: str, number: int, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> StreamingResponse:
    """Return a version's files as a tar."""
    record = access.find(store.models, ref, caller, NOUN)
    version = models.version_of(store, record, number)
    folder = context.files.model(record.id, version.number)
    return downloads.tar_answer(context.files, folder, f"{record.name}-v{number}")
