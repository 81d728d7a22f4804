"""Datasets over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import StreamingResponse

from kpl_lab.platform.api import downloads, views
from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import access, datasets, pictures, records
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.assets import DatasetRecord, DatasetVersionRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.datasets import (
    DatasetCreate,
    DatasetDetail,
    DatasetUpdate,
    DatasetVersionView,
    DatasetView,
    RecordPage,
)

router = APIRouter(tags=["datasets"])
Reading = Annotated[Caller, Depends(needs(scope("datasets", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("datasets", "write")))]
NOUN = datasets.NOUN


def _facts(
    record: DatasetRecord,
    used: DatasetVersionRecord | None,
    newest: DatasetVersionRecord | None,
    names: dict[int, str],
) -> dict[str, Any]:
    """Return what lists show: the facts of the version in use, the progress of the newest."""
    return views.base_fields(record, names) | {
        "description": record.description,
        "purpose": record.purpose,
        "version": record.version,
        "records": used.records if used else None,
        "bytes": used.bytes if used else None,
        "format": used.format if used else "kpl",
        "progress": newest.progress if newest and newest.state == "preparing" else None,
    }


def _detail(store: Store, record: DatasetRecord) -> DatasetDetail:
    versions = store.dataset_versions.of(record.id)
    newest = versions[0] if versions else None
    used = next((v for v in versions if v.number == record.version), None)
    return DatasetDetail(
        **_facts(record, used, newest, views.workspace_names(store)),
        versions=[DatasetVersionView.model_validate(v) for v in versions],
    )


@router.get("/datasets")
def list_datasets(store: ReadingStoreDep, caller: Reading, listing: ListDep) -> Page[DatasetView]:
    """Return datasets, newest first."""
    found = store.datasets.page(listing.query(caller))
    newest = store.dataset_versions.newest_of([r.id for r in found])
    used = store.dataset_versions.used_of(found)
    names = views.workspace_names(store)
    return listing.page(
        found, lambda r: DatasetView(**_facts(r, used.get(r.id), newest.get(r.id), names))
    )


@router.post("/datasets", status_code=201)
def create_dataset(
    body: DatasetCreate,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> DatasetDetail:
    """Make a dataset of an upload; it is prepared in the background."""
    record = key.made(store, caller, "datasets", store.datasets)
    if record is None:
        record = datasets.create(store, caller, body)
        key.keep(store, caller, "datasets", record.id)
    response.headers["Location"] = f"/kpl/api/v1/datasets/{record.id}"
    return _detail(store, record)


@router.get("/datasets/{ref}")
def get_dataset(ref: str, store: ReadingStoreDep, caller: Reading) -> DatasetDetail:
    """Return a dataset with its versions."""
    return _detail(store, access.find(store.datasets, ref, caller, NOUN))


@router.patch("/datasets/{ref}")
def update_dataset(
    ref: str, body: DatasetUpdate, store: StoreDep, caller: Writing
) -> DatasetDetail:
    """Change what is said about a dataset."""
    record = access.find(store.datasets, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    access.check_visibility(caller, body.visibility)
    store.datasets.update(record.id, **body.model_dump(exclude_none=True), updated_at=store.now())
    store.events.write(access.subject("datasets", record), "updated")
    return _detail(store, access.find(store.datasets, str(record.id), caller, NOUN))


@router.delete("/datasets/{ref}", status_code=204)
def delete_dataset(ref: str, context: ContextDep, store: StoreDep, caller: Writing) -> None:
    """Remove a dataset with all its versions."""
    record = access.find(store.datasets, ref, caller, NOUN)
    access.require_change(record, caller, NOUN)
    datasets.delete(store, context.files, record)


def _version(store: Store, caller: Caller, ref: str, number: int) -> DatasetVersionRecord:
    return datasets.version_of(store, access.find(store.datasets, ref, caller, NOUN), number)


@router.get("/datasets/{ref}/versions/{number}/records")
def list_records(
    ref: str,
    number: int,
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Reading,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=records.MAX_PAGE)] = 50,
    class_name: Annotated[str | None, Query(max_length=500)] = None,
) -> RecordPage:
    """Return a page of records in storage order."""
    version = _version(store, caller, ref, number)
    folder = context.files.dataset(version.dataset_id, version.number)
    context.files.at_hand(folder)
    href = f"datasets/{version.dataset_id}/versions/{number}/records"
    return records.page(folder, href, offset, limit, class_name)


@router.get("/datasets/{ref}/versions/{number}/records/{index}/fields/{field:path}")
def get_field(
    ref: str,
    number: int,
    index: Annotated[int, Path(ge=0)],
    field: str,
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Reading,
    size: Annotated[int | None, Query(ge=8, le=4096)] = None,
) -> Response:
    """Return one field's bytes: with ``size`` as a PNG that is safe to show, else to save."""
    version = _version(store, caller, ref, number)
    folder = context.files.dataset(version.dataset_id, version.number)
    context.files.at_hand(folder)
    data = records.field_bytes(folder, index, field)
    if size is None:
        headers = downloads.attachment(f"{field}-{index}")
        return Response(data, media_type="application/octet-stream", headers=headers)
    headers = {
        "Cache-Control": "private, max-age=86400, immutable",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    return Response(pictures.as_png(data, size), media_type="image/png", headers=headers)


@router.get("/datasets/{ref}/versions/{number}/download")
def download_dataset(
    ref: str, number: int, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> StreamingResponse:
    """Return a version's files as a tar."""
    record = access.find(store.datasets, ref, caller, NOUN)
    version = datasets.version_of(store, record, number)
    folder = context.files.dataset(record.id, version.number)
    return downloads.tar_answer(context.files, folder, f"{record.name}-v{number}")
