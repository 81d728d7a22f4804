"""Services over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from kpl_lab.errors import KplError
from kpl_lab.platform.api import logs, views
from kpl_lab.platform.api.deps import AskedDep, ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import (
    access,
    builds,
    code,
    runs,
    service_plans,
    service_revisions,
    services,
)
from kpl_lab.platform.domain.capacity import books
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.domain.service_plans import Room
from kpl_lab.platform.domain.service_states import CANDIDATE, CURRENT, PREVIOUS
from kpl_lab.platform.outlook import Outlook
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.files import PATIENCE_SECONDS
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Event, Page
from kpl_lab.schemas.services import (
    ReplicaView,
    RevisionCreate,
    RevisionRole,
    RevisionView,
    ServiceCreate,
    ServiceDetail,
    ServiceState,
    ServiceUpdate,
    ServiceView,
    TrafficUpdate,
)
from kpl_lab.schemas.tasks import LogPage

router = APIRouter(tags=["services"])
Reading = Annotated[Caller, Depends(needs(scope("services", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("services", "write")))]
NOUN = services.NOUN


def _room(store: Store, context: Context, caller: Caller, asked: Outlook) -> Room:
    return Room(context, caller.reader, lambda: books(store, context, asked.capacity()))


def _asks_for_more(ref: str, body: ServiceUpdate, context: ContextDep, caller: Writing) -> bool:
    with context.database.store(reads_only=True) as store:
        return services.needs_room(store, _find_own(store, caller, ref), body)


async def _ask_for_more(
    context: ContextDep, needs_room: Annotated[bool, Depends(_asks_for_more)]
) -> Outlook:
    """Ask what there is; what needs no room does not wait for an engine that does not answer."""
    return await (context.outlooks.ask() if needs_room else context.outlooks.look())


def _facts(service: ServiceRecord, names: dict[int, str]) -> dict[str, Any]:
    return views.base_fields(service, names) | {
        "description": service.description,
        "url": services.url_of(service, names.get(service.workspace_id, "")),
        "access": service.access,
        "replicas": service.replicas,
        "ready": sum(1 for i in service.instances if i["state"] == "ready"),
        "model": service.model,
        "algorithm": service.algorithm,
        "code_name": service.code_name,
        "resources": service.resources,
        "pool": service.pool,
    }


def _instances(service: ServiceRecord) -> list[ReplicaView]:
    shown = ReplicaView.model_fields
    return [ReplicaView(**{k: v for k, v in i.items() if k in shown}) for i in service.instances]


def _revisions(store: Store, service: ServiceRecord) -> list[RevisionView]:
    """Return what a service runs, tries out and ran before."""
    candidate, previous = (
        store.services.in_role(service.id, role) for role in (CANDIDATE, PREVIOUS)
    )
    weights = {CANDIDATE: candidate.weight if candidate else 0}
    weights[CURRENT] = 100 - weights[CANDIDATE]
    return [
        RevisionView(
            number=one.number,
            role=RevisionRole(one.role),
            state=ServiceState(one.state),
            weight=weights.get(one.role, 0),
            replicas=one.replicas,
            ready=sum(1 for i in one.instances if i["state"] == "ready"),
            model=one.model,
            algorithm=one.algorithm,
            code_name=one.code_name,
            resources=one.resources,
            pool=one.pool,
            parameters=one.parameters,
            environment=one.environment,
            instances=_instances(one),
            is_promoted_when_ready=one.is_promoted_when_ready,
            message=one.message,
            remedy=(one.ending or {}).get("remedy"),
        )
        for one in (service, candidate, previous)
        if one is not None
    ]


def _of_code(
    store: Store, context: Context, caller: Caller, service: ServiceRecord
) -> dict[str, Any]:
    """Return what a service's code says: how it is called, and what its user should know."""
    try:
        found = code.load_code(context.files, service.code_digest).environment
        interface = found.function(service_plans.FUNCTION).interface
    except KplError:
        return {"interface": [], "notices": []}
    notices = [*found.warnings, *builds.notices_of(store, context, caller.reader, found)]
    return {"interface": interface, "notices": notices}


def _detail(
    store: Store, context: Context, caller: Caller, service: ServiceRecord
) -> ServiceDetail:
    return ServiceDetail(
        **_facts(service, views.workspace_names(store)),
        instances=_instances(service),
        revisions=_revisions(store, service),
        **_of_code(store, context, caller, service),
        parameters=service.parameters,
        environment=service.environment,
        model_id=service.model_id,
        task_id=service.task_id,
        remedy=(service.ending or {}).get("remedy"),
    )


@router.get("/services")
def list_services(store: ReadingStoreDep, caller: Reading, listing: ListDep) -> Page[ServiceView]:
    """Return services, newest first."""
    names = views.workspace_names(store)
    found = store.services.page(listing.query(caller))
    return listing.page(found, lambda s: ServiceView(**_facts(s, names)))


def _receive(body: ServiceCreate, context: ContextDep, caller: Writing, key: KeyDep) -> Code | None:
    """Store the code before the transaction begins, for it takes seconds."""
    return key.unless_made(
        context,
        caller,
        "services",
        lambda s: s.services,
        lambda: runs.receive(context, caller, body),
    )


@router.post("/services", status_code=201)
def create_service(
    body: ServiceCreate,
    received: Annotated[Code | None, Depends(_receive)],
    context: ContextDep,
    asked: AskedDep,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> ServiceDetail:
    """Deploy a service."""
    service = key.made(store, caller, "services", store.services)
    if service is None:
        book = books(store, context, asked.capacity())
        service = services.deploy(store, context, caller, body, received, book)
        key.keep(store, caller, "services", service.id)
    response.headers["Location"] = f"/kpl/api/v1/services/{service.id}"
    return _detail(store, context, caller, service)


def _find(store: Store, caller: Caller, ref: str) -> ServiceRecord:
    return access.find(store.services, ref, caller, NOUN)


def _find_own(store: Store, caller: Caller, ref: str) -> ServiceRecord:
    found = _find(store, caller, ref)
    access.require_change(found, caller, NOUN)
    return found


@router.get("/services/{ref}")
def get_service(
    ref: str, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> ServiceDetail:
    """Return everything about a service."""
    return _detail(store, context, caller, _find(store, caller, ref))


@router.patch("/services/{ref}")
def update_service(
    ref: str,
    body: ServiceUpdate,
    context: ContextDep,
    caller: Writing,
    asked: Annotated[Outlook, Depends(_ask_for_more)],
    store: StoreDep,
) -> ServiceDetail:
    """Scale, stop, start, or change who may call."""
    found = _find_own(store, caller, ref)
    changed = services.update(store, found, body, _room(store, context, caller, asked))
    return _detail(store, context, caller, changed)


@router.delete("/services/{ref}", status_code=204)
def delete_service(ref: str, store: StoreDep, caller: Writing) -> None:
    """Remove a service and its address."""
    services.delete(store, _find_own(store, caller, ref))


def _receive_revision(
    ref: str, body: RevisionCreate, context: ContextDep, caller: Writing, key: KeyDep
) -> Code | None:
    """Store the code of a revision before the transaction begins, as for a service."""
    if service_revisions.keeps_code(body):
        with context.database.store(reads_only=True) as store:
            digest = _find_own(store, caller, ref).code_digest
        code.load_code(context.files, digest, PATIENCE_SECONDS)
        return None
    return key.unless_made(
        context,
        caller,
        "service_revisions",
        lambda s: s.services,
        lambda: runs.receive(context, caller, body),
    )


@router.post("/services/{ref}/revisions", status_code=201)
def create_service_revision(
    ref: str,
    body: RevisionCreate,
    received: Annotated[Code | None, Depends(_receive_revision)],
    context: ContextDep,
    asked: AskedDep,
    store: StoreDep,
    caller: Writing,
    key: KeyDep,
) -> ServiceDetail:
    """Start a candidate beside the current revision, behind the same address."""
    found = _find_own(store, caller, ref)
    if key.made(store, caller, "service_revisions", store.services) is None:
        book = books(store, context, asked.capacity())
        wish = service_revisions.Wish(service=found, request=body, received=received)
        made = service_revisions.add(store, context, caller, wish, book)
        key.keep(store, caller, "service_revisions", made.id)
    return _detail(store, context, caller, found)


@router.put("/services/{ref}/traffic")
def set_service_traffic(
    ref: str, body: TrafficUpdate, context: ContextDep, store: StoreDep, caller: Writing
) -> ServiceDetail:
    """Set how many percent of the calls go to the candidate."""
    found = _find_own(store, caller, ref)
    service_revisions.set_weight(store, found, body.weight)
    return _detail(store, context, caller, found)


@router.post("/services/{ref}/promote")
def promote_service(
    ref: str, context: ContextDep, store: StoreDep, caller: Writing
) -> ServiceDetail:
    """Make the candidate the current revision, without an outage."""
    found = _find_own(store, caller, ref)
    service_revisions.promote(store, found)
    return _detail(store, context, caller, store.services.get(found.id) or found)


@router.post("/services/{ref}/rollback")
def roll_back_service(
    ref: str, context: ContextDep, caller: Writing, asked: AskedDep, store: StoreDep
) -> ServiceDetail:
    """Start the previous revision as a candidate that is promoted as soon as it is ready."""
    found = _find_own(store, caller, ref)
    service_revisions.roll_back(store, found, _room(store, context, caller, asked))
    return _detail(store, context, caller, found)


@router.delete("/services/{ref}/revisions/{role}", status_code=204)
def drop_service_revision(ref: str, role: str, store: StoreDep, caller: Writing) -> None:
    """End the `candidate`, or forget the `previous` revision."""
    service_revisions.drop(store, _find_own(store, caller, ref), role)


@router.get("/services/{ref}/log")
def get_service_log(
    ref: str,
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Reading,
    part: logs.LogPartDep,
    replica: Annotated[int, Query(ge=0, le=1000)] = 0,
    revision: Literal["current", "candidate"] = "current",
) -> LogPage:
    """Return a part of the log of one replica."""
    found = _find_own(store, caller, ref)
    if revision == CANDIDATE:
        found = service_revisions.candidate_of(store, found)
    return logs.page(context, logs.of_service(found, replica), part)


@router.get("/services/{ref}/events")
def list_service_events(
    ref: str,
    store: ReadingStoreDep,
    caller: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Page[Event]:
    """Return what happened to a service, newest first."""
    found = store.events.of("services", _find(store, caller, ref).id, limit=limit)
    return Page(items=[views.event(e) for e in found], next=None)
