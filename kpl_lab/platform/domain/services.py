"""Services: code and a model behind a stable address; what is wanted of them."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import quote

from kpl_lab.errors import Conflict
from kpl_lab.naming import check_name
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, runs, service_plans, service_revisions
from kpl_lab.platform.domain.capacity import held_replicas
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.domain.ledgers import Amounts, Books, require_possible
from kpl_lab.platform.domain.service_plans import FUNCTION, Room, require_free, tell_model
from kpl_lab.platform.domain.service_states import (
    CANDIDATE,
    ENDED,
    changed_meanwhile,
    update_as_seen,
)
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.services import ServiceCreate, ServiceUpdate
from kpl_lab.wording import counted

NOUN = "service"


def deploy(
    store: Store,
    context: Context,
    caller: Caller,
    request: ServiceCreate,
    received: Code | None,
    found: Books,
) -> ServiceRecord:
    """Check a request whole and keep it as a service that shall run.

    ``received`` is the code that came with it, if any did.

    Raises
    ------
    Conflict
        The name is taken in the workspace.
    Invalid, NotFound, QuotaExceeded
        Something in it is wrong, missing, or more than there is.
    """
    plan = runs.plan(store, context, caller, request, FUNCTION, received)
    name = _free_name(store, request.name, plan.workspace_id)
    least = Amounts.of(plan.resources, max(request.replicas, 1))
    require_possible(found, plan.pool, caller.name, least)
    wanted = Amounts.of(plan.resources, request.replicas)
    require_free(found, plan.pool, caller.name, wanted)
    record = store.services.add(
        **plan.columns(caller.name, store.now()),
        **service_plans.given(store, caller, plan.function, request),
        name=name,
        visibility=request.access,
        state="deploying",
        access=request.access,
        replicas=max(request.replicas, 1),
        is_wanted=request.replicas > 0,
        is_deleted=False,
        revision=1,
        instances=[],
    )
    plan.discard_upload(store, context)
    store.events.write(access.subject("services", record), "created")
    tell_model(store, record)
    return record


def _free_name(store: Store, wanted: str, workspace_id: int) -> str:
    name = check_name(wanted, what="service's name")
    if store.services.named(name, workspace_id) is not None:
        raise Conflict(
            f"There is a service {name!r} already; choose another name, or delete it first "
            f"(`kpl service delete {shlex.quote(name)}`).",
            code="name_taken",
        )
    return name


def update(
    store: Store, service: ServiceRecord, request: ServiceUpdate, room: Room
) -> ServiceRecord:
    """Scale, stop, start, or change who may call; a candidate is scaled along, and a stop drops it.

    Raises
    ------
    Conflict
        There is no room for further replicas.
    Invalid
        Whoever asks for more may not use the pool any longer.
    """
    values: dict[str, Any] = {}
    replicas = request.replicas or service.replicas
    wanted = service.is_wanted if request.running is None else request.running
    before = service.replicas if service.is_wanted and service.state != "failed" else 0
    candidate = store.services.in_role(service.id, CANDIDATE)
    _require_room(room, _growing(store, service, request), replicas)
    if request.replicas is not None:
        values["replicas"] = request.replicas
        if wanted and request.replicas > before:
            values["state"] = "deploying"
    is_scaled_back_to_life = service.state == "failed" and wanted and request.replicas is not None
    if request.running is True or is_scaled_back_to_life:
        values |= _begin_anew(store, service)
    elif request.running is False:
        values |= {"is_wanted": False}
        if service.state not in ENDED:
            values["state"] = "stopping"
    if request.access is not None:
        values |= {"access": request.access, "visibility": request.access}
    if request.description is not None:
        values["description"] = request.description
    if request.running is True and service.is_wanted and service.state != "failed":
        raise Conflict(f"The service {service.name!r} runs already.", code="already_running")
    if not update_as_seen(store, service, **values, updated_at=store.now()):
        raise changed_meanwhile()
    service_revisions.follow(store, candidate, replicas, is_wanted=wanted)
    store.events.write(
        access.subject("services", service),
        "updated",
        _scaled_words(service.replicas, replicas),
        data=_state(values) | {"replicas": replicas, "replicas_before": service.replicas},
    )
    return store.services.get(service.id) or service


def needs_room(store: Store, service: ServiceRecord, request: ServiceUpdate) -> bool:
    """Say whether a change asks for more replicas than a service holds."""
    return bool(_growing(store, service, request))


def _growing(
    store: Store, service: ServiceRecord, request: ServiceUpdate
) -> list[tuple[ServiceRecord, int]]:
    """Return what runs of a service a change gives more replicas, and how many more."""
    is_to_run = request.running or (request.running is None and service.is_wanted)
    if not is_to_run or (request.running is None and request.replicas is None):
        return []
    replicas = request.replicas or service.replicas
    candidate = store.services.in_role(service.id, CANDIDATE)
    found = [(one, replicas - held_replicas(one)) for one in (service, candidate) if one]
    return [
        (one, further)
        for one, further in found
        if further > 0 and not (one.service_id and one.state in ENDED)
    ]


def _require_room(room: Room, growing: list[tuple[ServiceRecord, int]], replicas: int) -> None:
    """Refuse more replicas of what runs of a service than there is room for."""
    found: Books | None = None
    for record, further in growing:
        pool, owner = record.pool, record.owner
        room.require_pool(pool)
        found = found or room.books()
        require_possible(found, pool, owner, Amounts.of(record.resources, replicas))
        more = Amounts.of(record.resources, further)
        require_free(found, pool, owner, more)
        found = found.with_use(pool, owner, more)


def _begin_anew(store: Store, service: ServiceRecord) -> dict[str, Any]:
    """Return what a further start changes, and end the token of the one before."""
    auth.revoke(store, "service", service.run_id)
    return {
        "is_wanted": True,
        "state": "deploying",
        "reason": None,
        "message": None,
        "revision": service.revision + 1,
        "handle": None,
        "instances": [],
        "build_id": builds.renew(store, service.build_id),
    }


def _scaled_words(before: int, after: int) -> str:
    return "" if before == after else f"Scaled from {before} to {counted(after, 'replica')}."


def _state(values: dict[str, Any]) -> dict[str, Any]:
    return {"state": values["state"]} if "state" in values else {}


def delete(store: Store, service: ServiceRecord) -> None:
    """Ask for a service, its address and its other revisions to vanish."""
    _give_up(store, service)
    # Only now: a candidate that was being added has been by then, or is refused.
    for record in store.services.others(service.id):
        _give_up(store, record)
    store.events.write(access.subject("services", service), "deleted")


def _give_up(store: Store, record: ServiceRecord) -> None:
    store.services.update(
        record.id,
        is_wanted=False,
        is_deleted=True,
        name=f"{record.title}#{record.id}",
        updated_at=store.now(),
    )
    auth.revoke(store, "service", record.run_id)
    tell_model(store, record)


def url_of(service: ServiceRecord, workspace: str) -> str:
    """Return the path of a service behind the front door."""
    return f"/svc/{quote(workspace)}/{quote(service.name)}/"
