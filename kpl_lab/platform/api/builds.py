"""Builds over HTTP: environments that code needs, and images that users make for the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from kpl_lab.errors import NotFound
from kpl_lab.platform.api import logs, views
from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import image_builds
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.builds import BuildCreate, BuildView
from kpl_lab.schemas.common import Page, Visibility
from kpl_lab.schemas.tasks import LogPage

router = APIRouter(tags=["builds"])
Reading = Annotated[Caller, Depends(needs(scope("images", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("images", "write")))]


def _view(build: BuildRecord, names: Mapping[int, str]) -> BuildView:
    return BuildView(
        id=build.id,
        name=build.name or f"environment {build.digest[:8]}",
        kind=build.kind,
        state=build.state,
        created_at=build.created_at,
        updated_at=build.finished_at or build.created_at,
        finished_at=build.finished_at,
        owner=build.owner,
        workspace=names[build.workspace_id],
        visibility=Visibility.PRIVATE,
        digest=build.digest,
        cached=build.cached,
        for_catalog=build.name is not None,
        image_id=build.image_id,
        pushed_to=build.request.get("push"),
        reason=build.reason,
        message=build.message,
    )


def _find(store: Store, caller: Caller, id: int) -> BuildRecord:
    found = store.builds.get(id)
    if found is None or not (caller.reader.sees_all or found.owner == caller.name):
        raise NotFound(f"There is no build {id} that you can see.")
    return found


@router.get("/builds")
def list_builds(store: ReadingStoreDep, caller: Reading, listing: ListDep) -> Page[BuildView]:
    """Return one's builds, newest first; administrators see all."""
    names = views.workspace_names(store)
    return listing.page(store.builds.page(listing.query(caller)), lambda one: _view(one, names))


@router.post("/builds", status_code=201)
def create_build(
    body: BuildCreate, context: ContextDep, caller: Writing, response: Response, key: KeyDep
) -> BuildView:
    """Make an image for the catalog; it is made in the background."""
    with context.database.store(reads_only=True) as store:
        record = key.made(store, caller, "builds", store.builds)
    if record is None:
        with (
            image_builds.received(context, caller, body) as received,
            context.database.store() as store,
        ):
            record = image_builds.order(store, context, caller, body, received)
            key.keep(store, caller, "builds", record.id)
    with context.database.store(reads_only=True) as store:
        names = views.workspace_names(store)
    response.headers["Location"] = f"/kpl/api/v1/builds/{record.id}"
    return _view(record, names)


@router.get("/builds/{id}")
def get_build(id: int, store: ReadingStoreDep, caller: Reading) -> BuildView:
    """Return how a build is doing."""
    return _view(_find(store, caller, id), views.workspace_names(store))


@router.post("/builds/{id}/stop")
def stop_build(id: int, store: StoreDep, caller: Writing) -> BuildView:
    """Ask the making of an image to end; repeatable."""
    stopped = image_builds.stop(store, _find(store, caller, id))
    return _view(stopped, views.workspace_names(store))


@router.get("/builds/{id}/log")
def get_build_log(
    id: int, context: ContextDep, store: ReadingStoreDep, caller: Reading, part: logs.LogPartDep
) -> LogPage:
    """Return a part of a build's log."""
    _find(store, caller, id)
    return logs.page(context, logs.of_build(store, context, id), part)
