"""Notebook servers, mounts and capacity; and what the hub alone may ask."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.from_thread
from fastapi import APIRouter, Depends, Header, Query, Response

from kpl_lab.errors import Forbidden, NotFound, QuotaExceeded, Unauthenticated, Unavailable
from kpl_lab.platform import scopes
from kpl_lab.platform.api import logs, views
from kpl_lab.platform.api.deps import (
    ContextDep,
    ReadingStoreDep,
    StoreDep,
    any_caller,
    get_caller,
    needs,
)
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import pools, server_idle, server_queue, servers, shutdown
from kpl_lab.platform.domain.capacity import books
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.work import ServerRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Event, Page
from kpl_lab.schemas.datasets import MountCreate, MountView
from kpl_lab.schemas.pools import Amount
from kpl_lab.schemas.servers import (
    CapacityView,
    IdleReport,
    ServerCreate,
    ServerGrant,
    ServerLaunch,
    ServersAlive,
    ServerStart,
    ServerStatus,
    ServerView,
)
from kpl_lab.schemas.tasks import LogPage

router = APIRouter(tags=["servers"])
Reading = Annotated[Caller, Depends(needs(scope("servers", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("servers", "write")))]
Internal = Annotated[Caller, Depends(needs(scopes.INTERNAL))]
Anyone = Annotated[Caller, Depends(any_caller)]
MOST_EVENTS = 200


def _view(store: Store, server: ServerRecord) -> ServerView:
    suffix = f"/{server.name}" if server.name else ""
    return ServerView(
        id=server.id,
        name=server.name,
        user=server.user,
        image=server.image,
        state=server.state,
        created_at=server.created_at,
        resources=server.resources,
        pool=server.pool,
        mounts=[MountView.model_validate(m) for m in store.mounts.of(server.id)],
        wanted_mounts=server.wanted_mounts,
        url=f"/user/{server.user}{suffix}/",
        reason=server.reason,
        message=server.message,
    )


def _history(store: Store, server: ServerRecord) -> list[Event]:
    """Return the events that have a name, oldest first."""
    found = [views.event(e) for e in store.events.of("servers", server.id, limit=MOST_EVENTS)]
    return [event for event in reversed(found) if "event" in event.data]


def _start(store: Store, server: ServerRecord) -> ServerStart:
    return ServerStart(
        id=server.id,
        name=server.name,
        user=server.user,
        image=server.image,
        state=server.state,
        created_at=server.created_at,
        resources=server.resources,
        pool=server.pool,
        reason=server.reason,
        message=server.message,
        events=_history(store, server),
    )


def _status(store: Store, server: ServerRecord) -> ServerStatus:
    return ServerStatus(
        id=server.id,
        state=server.state,
        address=server.address,
        reason=server.reason,
        message=server.message,
        events=_history(store, server),
    )


@router.get("/servers")
def list_servers(
    store: ReadingStoreDep,
    caller: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    state: Annotated[list[str] | None, Query()] = None,
    user: str | None = None,
    name: str | None = None,
) -> Page[ServerView]:
    """Return notebook servers, newest first: every start is one of its own.

    ``user`` and ``name`` (empty: the default server) leave the starts of one server.
    """
    all_starts = store.servers.of(caller.reader, limit, user=user, name=name)
    found = [s for s in all_starts if not state or s.state in state]
    return Page(items=[_view(store, s) for s in found], next=None)


@router.get("/servers/history")
def list_server_starts(
    store: ReadingStoreDep,
    caller: Reading,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    user: str | None = None,
    name: str | None = None,
) -> Page[ServerStart]:
    """Return starts of notebook servers with their events, newest first.

    ``user`` and ``name`` (empty: the default server) leave the starts of one server.
    """
    found = store.servers.of(caller.reader, limit, user=user, name=name)
    return Page(items=[_start(store, server) for server in found])


@router.get("/servers/{id}")
def get_server(id: int, store: ReadingStoreDep, caller: Reading) -> ServerView:
    """Return a notebook server."""
    return _view(store, servers.find(store, caller, id))


@router.get("/servers/{id}/events")
def list_server_events(
    id: int,
    store: ReadingStoreDep,
    caller: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Page[Event]:
    """Return what happened to a server, newest first."""
    server = servers.find(store, caller, id)
    return Page(items=[views.event(e) for e in store.events.of("servers", server.id, limit=limit)])


@router.get("/servers/{id}/log")
def get_server_log(
    id: int,
    context: ContextDep,
    caller: Reading,
    part: logs.LogPartDep,
    tail: Annotated[int | None, Query(ge=1, le=logs.MAX_TAIL_BYTES)] = None,
) -> LogPage:
    """Return a part of what a server wrote itself; with ``tail`` its last bytes, in whole lines."""
    with context.database.store(reads_only=True) as store:
        server = servers.find(store, caller, id)
    source = logs.of_server(context, server)
    return logs.page(context, source, part) if tail is None else logs.end(context, source, tail)


@router.post("/servers/{id}/idle", status_code=204)
def report_idle(id: int, body: IdleReport, store: StoreDep, caller: Writing) -> None:
    """Note that a server warns of its stop, was asked to run on, or has been idle for long enough."""
    server_idle.report(store, servers.find(store, caller, id), body)


@router.get("/servers/{id}/mounts")
def list_mounts(id: int, store: ReadingStoreDep, caller: Reading) -> Page[MountView]:
    """Return the datasets in a server's file tree."""
    server = servers.find(store, caller, id)
    return Page(items=[MountView.model_validate(m) for m in store.mounts.of(server.id)])


@router.post("/servers/{id}/mounts", status_code=201)
def create_mount(id: int, body: MountCreate, store: StoreDep, caller: Writing) -> MountView:
    """Show a dataset in a running server, without a restart."""
    server = servers.find(store, caller, id)
    made = servers.mount(store, caller, server, body.dataset, body.version)
    return MountView.model_validate(made)


@router.delete("/servers/{id}/mounts/{mount}", status_code=204)
def delete_mount(id: int, mount: int, store: StoreDep, caller: Writing) -> None:
    """Take a dataset out of a server's file tree."""
    servers.unmount(store, servers.find(store, caller, id), mount)


@router.get("/capacity")
def get_capacity(
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Anyone,
    user: Annotated[str | None, Query(description="for whom: the hub alone may ask")] = None,
    group: Annotated[tuple[str, ...], Query(description="groups of the user")] = (),
) -> CapacityView:
    """Return what there is, what is promised, and what waits."""
    reader = caller.reader
    if user is not None:
        if scopes.INTERNAL not in caller.scopes:
            raise Forbidden("Only the hub may ask for somebody else's pools.")
        reader = Reader(name=user, groups=frozenset(group))
    capacity = anyio.from_thread.run(context.outlooks.look).capacity()
    found = books(store, context, capacity)
    book = found.whole
    counts = store.tasks.counts()
    return CapacityView(
        cpu=Amount(limit=book.limit.cpu, used=book.used.cpu),
        cores=capacity.cpu,
        memory=Amount(limit=book.limit.memory, used=book.used.memory),
        gpu=Amount(limit=book.limit.gpu, used=book.used.gpu),
        queued_tasks=counts.get("queued", 0),
        running_tasks=counts.get("running", 0),
        storage_free_bytes=context.files.free_bytes(),
        pools=pools.views(context, reader, found),
    )


@router.post("/internal/servers", status_code=201)
def create_server(
    body: ServerCreate, context: ContextDep, store: StoreDep, caller: Internal
) -> ServerGrant:
    """Give a new server its identity."""
    del caller
    server, token = servers.create(store, context, body)
    return ServerGrant(id=server.id, token=token, api_url=context.settings.runtime_url)


@router.get("/internal/servers")
def list_alive_servers(store: ReadingStoreDep, caller: Internal) -> ServersAlive:
    """Return which servers run, are about to, or are ending: one answer for all of the hub's polls."""
    del caller
    steps = store.servers.steps()
    return ServersAlive(
        ids=[step.id for step in steps],
        running=[step.id for step in steps if step.state == "running"],
    )


@router.post("/internal/servers/{id}/start")
def start_server(
    id: int, body: ServerLaunch, context: ContextDep, caller: Internal
) -> ServerStatus:
    """Start a server, at once or as soon as there is room."""
    del caller
    capacity = anyio.from_thread.run(context.engine.capacity)
    with context.database.store() as store:
        try:
            server_queue.start(store, context, id, body.model_dump(), capacity)
            found = _status(store, servers.require(store, id))
        except QuotaExceeded as error:
            refusal = error  # the transaction takes the row away, so it must stand
        else:
            return found
    raise refusal


@router.get("/internal/servers/{id}")
def get_server_status(id: int, store: ReadingStoreDep, caller: Internal) -> ServerStatus:
    """Return how a server is doing."""
    del caller
    return _status(store, servers.require(store, id))


@router.post("/internal/servers/{id}/stop", status_code=204)
def stop_server(id: int, store: StoreDep, caller: Internal) -> None:
    """Ask a server to end."""
    del caller
    servers.stop(store, id)


@router.post("/internal/shutdown")
def shut_down(context: ContextDep, store: StoreDep, caller: Internal) -> dict[str, Any]:
    """End what runs because the platform goes down; what waits stays queued."""
    del caller
    shutdown.note_closing(context.settings.home)
    return shutdown.begin(store)


@router.get("/internal/shutdown")
def get_shutdown(context: ContextDep, store: ReadingStoreDep, caller: Internal) -> dict[str, Any]:
    """Return what has not ended yet."""
    del caller
    shutdown.note_closing(context.settings.home)
    return shutdown.progress(store)


@router.api_route(
    "/internal/no-replica",
    methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    include_in_schema=False,
)
def no_replica() -> None:
    """Answer for a service of which no replica is ready (the front door sends calls here)."""
    raise Unavailable(
        "No replica of this service is ready: it is stopped, starting or has failed. "
        "`kpl service show` says which."
    )


@router.api_route(
    "/internal/no-service",
    methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
    include_in_schema=False,
)
def no_service() -> None:
    """Answer for an address below ``/svc/`` that no service has (the front door asks)."""
    raise NotFound(
        "No service has this address: it was deleted, or workspace or name are spelt otherwise. "
        "`kpl service list` shows the addresses of all."
    )


@router.get("/internal/authorize/{id}", include_in_schema=False)
def authorize(
    context: ContextDep,
    store: ReadingStoreDep,
    id: int,
    authorization: Annotated[str | None, Header()] = None,
) -> Response:
    """Tell the front door whether a call of a service may pass (Traefik's forward-auth)."""
    found = store.services.get(id)
    if found is None or found.is_deleted:
        raise NotFound("There is no service at this address.")
    if found.access == "public":
        return Response(status_code=200)
    caller = get_caller(context, authorization)
    if caller.is_workload:
        raise Unauthenticated("Call services with a personal token, not that of a workload.")
    may_call = caller.name == found.owner or caller.is_admin or found.access == "workspace"
    if not may_call:
        raise Forbidden(f"The service belongs to {found.owner}, who can give you access.")
    return Response(status_code=200)
