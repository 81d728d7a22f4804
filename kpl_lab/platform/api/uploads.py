"""Uploads: announced, sent in parts, resumed, completed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import IO, Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.requests import ClientDisconnect

from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs_one_of
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import code, uploads
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.files import explain_full_disk
from kpl_lab.platform.storage.records.assets import UploadRecord
from kpl_lab.schemas.datasets import UploadCreate, UploadView

log = logging.getLogger(__name__)
router = APIRouter(tags=["uploads"])
# What is uploaded becomes one of these; who may make none of them has nothing to upload.
CallerDep = Annotated[
    Caller,
    Depends(
        needs_one_of(
            *(scope(r, "write") for r in ("datasets", "models", "algorithms", "tasks", "services"))
        )
    ),
]
WRITE_BYTES = 1024 * 1024


@router.post("/uploads", status_code=201)
def create_upload(
    body: UploadCreate, context: ContextDep, store: StoreDep, caller: CallerDep, response: Response
) -> UploadView:
    """Announce bytes that will follow."""
    if body.is_code and body.size is not None:
        code.check_size(context.options, body.size)
    uploads.check_room(context.files, body.size)
    made = uploads.create(store, caller, body.filename, body.size, context.options.max_upload_bytes)
    response.headers["Location"] = f"/kpl/api/v1/uploads/{made.id}"
    return UploadView.model_validate(made)


@router.get("/uploads/{id}")
def get_upload(id: int, store: ReadingStoreDep, caller: CallerDep) -> UploadView:
    """Return how far an upload is: where to go on after a break."""
    return UploadView.model_validate(uploads.get(store, caller, id))


def _begin(
    context: Context, caller: Caller, id: int, offset: int
) -> tuple[UploadRecord, IO[bytes]]:
    """Return the upload and its file, which is this request's alone until it is closed."""
    _get(context, caller, id)
    with ExitStack() as closing:
        file = closing.enter_context(uploads.open_alone(context.files, id))
        # How far it is: now that nobody else can change it.
        upload = _get(context, caller, id)
        uploads.check_offset(upload, offset)
        uploads.go_to_end(file, upload)
        closing.pop_all()
    return upload, file


def _get(context: Context, caller: Caller, id: int) -> UploadRecord:
    with context.database.store(reads_only=True) as store:
        return uploads.get(store, caller, id)


def _note(context: Context, upload: UploadRecord, received: int) -> UploadRecord:
    with context.database.store() as store:
        return uploads.note_received(store, upload, received, context.options.max_upload_bytes)


async def _receive(request: Request, file: IO[bytes], upload: UploadRecord, limit: int) -> int:
    """Write the body to the file as it comes; memory stays flat, the disk may be slow.

    What arrived before a connection broke counts: the next request goes on from there.
    """
    received = upload.received
    allowed = limit if upload.size is None else min(limit, upload.size)
    async for part in _blocks(request):
        received += len(part)
        if received > allowed:
            break
        with explain_full_disk():
            await anyio.to_thread.run_sync(file.write, part)
    with explain_full_disk():
        await anyio.to_thread.run_sync(file.flush)
    return received


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    """Yield the body in blocks worth writing, up to where the client left."""
    waiting = bytearray()
    try:
        async for part in request.stream():
            waiting += part
            if len(waiting) >= WRITE_BYTES:
                yield bytes(waiting)
                waiting.clear()
    except ClientDisconnect:
        log.info("an upload was interrupted by its client")
    yield bytes(waiting)


@router.put("/uploads/{id}")
async def put_upload(
    id: int,
    offset: Annotated[int, Query(ge=0)],
    request: Request,
    context: ContextDep,
    caller: CallerDep,
) -> UploadView:
    """Append the raw body at ``offset``, which must be where the upload stands."""
    upload, file = await anyio.to_thread.run_sync(_begin, context, caller, id, offset)
    with file:
        received = await _receive(request, file, upload, context.options.max_upload_bytes)
        changed = await anyio.to_thread.run_sync(_note, context, upload, received)
    return UploadView.model_validate(changed)


@router.post("/uploads/{id}/complete")
def complete_upload(id: int, context: ContextDep, caller: CallerDep) -> UploadView:
    """Declare an upload whole."""
    _get(context, caller, id)
    # The lock goes last: what is written must not come after what was declared whole.
    with uploads.open_alone(context.files, id), context.database.store() as store:
        return UploadView.model_validate(uploads.complete(store, caller, id))


@router.delete("/uploads/{id}", status_code=204)
def delete_upload(id: int, context: ContextDep, store: StoreDep, caller: CallerDep) -> None:
    """Give an upload up."""
    uploads.get(store, caller, id)
    uploads.discard(store, context.files, id)
