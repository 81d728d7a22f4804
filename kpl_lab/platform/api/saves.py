"""Files that code saves while it runs: datasets, models and algorithms of its owner."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.routing import APIRoute

from kpl_lab.platform.api.deps import ContextDep
from kpl_lab.platform.api.runtime import Answer, DeliveryDep, WorkloadDep, workload_caller
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import algorithms, datasets, models, uploads
from kpl_lab.platform.storage.files import explain_full_disk
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import AlgorithmCreate
from kpl_lab.schemas.datasets import DatasetCreate
from kpl_lab.schemas.models import ModelCreate


class _TokenFirst(APIRoute):
    """Looks at the token before the body is read, so that no stranger fills the disk with files."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what takes a request."""
        handle = super().get_route_handler()

        async def check_and_handle(request: Request) -> Response:
            context: Context = request.app.state.context
            token = request.headers.get("authorization")
            await run_in_threadpool(workload_caller, context, token)
            return await handle(request)

        return check_and_handle


router = APIRouter(tags=["runtime"], route_class=_TokenFirst)


def _keep_upload(context: Context, owner: Caller, file: UploadFile) -> int:
    """Turn a multipart file into a finished upload; return its id.

    The copy stands outside of transactions: it may take minutes, and writers would wait for it.
    """
    limit = context.options.max_upload_bytes
    uploads.check_room(context.files, file.size)
    with context.database.store() as store:
        made = uploads.create(store, owner, file.filename or "upload", file.size, limit)
    with explain_full_disk(), uploads.open_alone(context.files, made.id) as out:
        shutil.copyfileobj(file.file, out, 1024 * 1024)
        size = out.tell()
    with context.database.store() as store:
        uploads.note_received(store, made, size, limit)
        uploads.complete(store, owner, made.id)
    return made.id


NameForm = Annotated[str, Form(max_length=500)]
TextForm = Annotated[str, Form(max_length=10_000)]
FileForm = Annotated[UploadFile, File()]


@dataclass(frozen=True)
class Save:
    """What a save call carries; ``delivery`` is the same whenever the relay repeats it."""

    context: Context
    caller: Caller
    name: str
    file: UploadFile
    description: str
    delivery: str | None

    @property
    def owner(self) -> Caller:
        """Whose it will be."""
        return Caller(name=self.caller.name, kind="user")

    @property
    def key(self) -> str | None:
        """Name of this very save among everything that the owner makes."""
        if not self.delivery:
            return None
        digest = hashlib.sha256(self.delivery.encode()).hexdigest()
        return f"save {self.caller.kind} {self.caller.subject_id} {digest}"

    def upload(self) -> int:
        """Return the upload that the file has become."""
        return _keep_upload(self.context, self.owner, self.file)

    def made(self, resource: str) -> Answer | None:
        """Return the answer of an earlier try that was lost on its way."""
        if self.key is None:
            return None
        with self.context.database.store(reads_only=True) as store:
            id = store.idempotency.find(self.caller.name, self.key, resource)
        return None if id is None else Answer(data={"id": id, "name": self.name})

    def keep(self, store: Store, resource: str, id: int) -> None:
        """Remember what was made, in the transaction that makes it."""
        if self.key is not None:
            store.idempotency.keep(self.caller.name, self.key, resource, id)


def get_save(
    context: ContextDep,
    caller: WorkloadDep,
    name: NameForm,
    file: FileForm,
    description: TextForm = "",
    delivery: DeliveryDep = None,
) -> Save:
    """Return what the form of a save call holds."""
    return Save(context, caller, name, file, description, delivery)


SaveDep = Annotated[Save, Depends(get_save)]


def _save_dataset(save: Save, format: Literal["kpl", "files"]) -> Answer:
    if (before := save.made("datasets")) is not None:
        return before
    body = DatasetCreate(
        name=save.name, upload=save.upload(), format=format, description=save.description
    )
    with save.context.database.store() as store:
        record = datasets.create(store, save.owner, body)
        save.keep(store, "datasets", record.id)
    return Answer(data={"id": record.id, "name": record.name})


@router.post("/dataset/upload")
@router.post("/upload/dataset", include_in_schema=False)
def save_dataset(save: SaveDep) -> Answer:
    """Save a dataset that is in the KPL format already."""
    return _save_dataset(save, "kpl")


@router.post("/dataset_fs/upload")
@router.post("/upload/dataset_fs", include_in_schema=False)
def save_dataset_files(save: SaveDep) -> Answer:
    """Save a dataset of plain files."""
    return _save_dataset(save, "files")


@router.post("/model/upload")
@router.post("/upload/model", include_in_schema=False)
def save_model(save: SaveDep) -> Answer:
    """Save a model: one file, or a packed folder."""
    if (before := save.made("models")) is not None:
        return before
    request = ModelCreate(name=save.name, upload=save.upload(), description=save.description)
    with save.context.database.store() as store:
        record = models.create(store, save.owner, request)
        save.keep(store, "models", record.id)
    return Answer(data={"id": record.id, "name": record.name})


@router.post("/algorithm/upload")
def save_algorithm(save: SaveDep) -> Answer:
    """Save an algorithm: its packed code."""
    if (before := save.made("algorithms")) is not None:
        return before
    request = AlgorithmCreate(name=save.name, upload=save.upload(), description=save.description)
    code = algorithms.receive_code(save.context, save.owner, request)
    with save.context.database.store() as store:
        record = algorithms.publish(store, save.context, save.owner, request, code)
        save.keep(store, "algorithms", record.id)
    return Answer(data={"id": record.id, "name": record.name})
