"""Revisions of a service: a candidate beside the current one, its share of the calls, and changes of place.

A further revision is a row of its own, so that it starts, is watched and fails as a service does.
A promotion exchanges what runs between the two rows: the service keeps its id and address, the
candidate's row becomes the previous revision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import IntegrityError

from kpl_lab.errors import Conflict, NotFound
from kpl_lab.formats.parameter_yml import merge
from kpl_lab.formats.pools_yml import PoolsFile
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import builds, runs, service_plans
from kpl_lab.platform.domain.code import Code, load_code
from kpl_lab.platform.domain.ledgers import Amounts, Books, require_possible
from kpl_lab.platform.domain.runs import Chosen, Plan
from kpl_lab.platform.domain.service_plans import FUNCTION, Room, require_free, tell_model
from kpl_lab.platform.domain.service_states import (
    CANDIDATE,
    DROPPED,
    ENDED,
    PREVIOUS,
    changed_meanwhile,
    note_change,
    update_as_seen,
)
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.services import RevisionCreate, ServiceCreate
from kpl_lab.schemas.tasks import ResourceOverride

# What a revision is made of, and how it runs: both change places at a promotion.
_MADE_OF = (
    "code_name", "code_digest", "algorithm", "algorithm_id", "parameters", "environment", "inputs",
    "build_id", "image", "cpu", "memory", "gpu", "shm", "pool", "model", "model_id", "task_id", "number",
)  # fmt: skip
_RUNS_AS = ("handle", "revision", "instances", "ending", "state", "reason", "message")


def keeps_code(request: RevisionCreate) -> bool:
    """Say whether a revision has the code of the current one."""
    return request.upload is None and request.algorithm is None


def completed(
    request: RevisionCreate,
    service: ServiceRecord,
    workspaces: dict[int, str],
    pools: PoolsFile,
) -> ServiceCreate:
    """Return a request as one for a service: what it leaves out is as the current revision has it.

    With other code, parameters, environment and resources are that code's own. A pool that is gone
    is left out.
    """
    kept = service.pool if pools.named(service.pool) else None
    resources = request.resources
    if keeps_code(request):
        own = service.resources.model_dump() | resources.model_dump(exclude_none=True)
        resources = ResourceOverride.model_validate(own)
    return ServiceCreate(
        name=service.title,
        model=request.model,
        algorithm=request.algorithm,
        upload=request.upload,
        code_name=request.code_name,
        replicas=service.replicas,
        parameters=request.parameters,
        resources=resources,
        pool=request.pool or kept,
        environment=request.environment,
        inputs=_inputs(request, service),
        description=service.description,
        workspace=workspaces[service.workspace_id],
    )


def _inputs(request: RevisionCreate, service: ServiceRecord) -> dict[str, str]:
    """Return the inputs of a request: those of the current revision where it names none."""
    if request.inputs is not None:
        return request.inputs
    kept = {i["key"]: f"{i['kind']}:{i['id']}:{i['version']}" for i in service.inputs}
    if request.model:
        models = [i["key"] for i in service.inputs if i["kind"] == "model"]
        kept.pop("model" if "model" in models else next(iter(models), ""), None)
    return kept


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A further revision of a service as it is asked for, with the code that came along."""

    service: ServiceRecord
    request: RevisionCreate
    received: Code | None


def add(store: Store, context: Context, caller: Caller, wish: Wish, found: Books) -> ServiceRecord:
    """Check a request and keep it as a candidate that runs beside the current revision.

    Raises
    ------
    Conflict
        There is a candidate already, the service is stopped, or there is no room.
    Invalid, NotFound, QuotaExceeded
        Something in it is wrong, missing, or more than there is.
    """
    service, request = wish.service, wish.request
    _require_open(store, service)
    wanted = completed(request, service, store.workspaces.names(), context.pools)
    plan = _plan(store, context, caller, wish, wanted)
    columns = plan.columns(service.owner, store.now())
    if keeps_code(request):
        columns |= _kept_settings(service, request, plan)
    amounts = Amounts.of(plan.resources, service.replicas)
    require_possible(found, plan.pool, service.owner, amounts)
    require_free(found, plan.pool, service.owner, amounts)
    if request.inputs is None:
        declared = {port.key for port in plan.function.inputs}
        left = {k: v for k, v in wanted.inputs.items() if not declared or k in declared}
        wanted = wanted.model_copy(update={"inputs": left})
    columns |= service_plans.given(store, caller, plan.function, wanted)
    columns["number"] = _next_number(store, service)
    made = _begin(store, service, columns, request.weight, promotes=request.promote)
    plan.discard_upload(store, context)
    return made


def _kept_settings(
    service: ServiceRecord, request: RevisionCreate, plan: Plan
) -> dict[str, dict[str, Any]]:
    """Return parameters and environment of the current revision with what the request changes."""
    is_declared = bool(plan.chosen.code.parameters)
    given = request.parameters
    parameters = merge(service.parameters, given) if is_declared else service.parameters | given
    return {"parameters": parameters, "environment": service.environment | request.environment}


def _plan(
    store: Store,
    context: Context,
    caller: Caller,
    wish: Wish,
    wanted: ServiceCreate,
) -> Plan:
    service = wish.service
    if not keeps_code(wish.request):
        return runs.plan(store, context, caller, wanted, FUNCTION, wish.received)
    kept = Chosen(
        code=load_code(context.files, service.code_digest),
        code_name=service.code_name,
        algorithm=service.algorithm,
        algorithm_id=service.algorithm_id,
    )
    return runs.plan_of(store, context, caller, wanted, FUNCTION, kept)


def _require_open(store: Store, service: ServiceRecord) -> None:
    """Refuse a candidate where there is one, and for what does not run."""
    if not service.is_wanted:
        raise Conflict(
            f"The service {service.title!r} is stopped; start it before it gets another revision.",
            code="not_running",
        )
    if store.services.in_role(service.id, CANDIDATE) is not None:
        raise _taken(service)


def _taken(service: ServiceRecord) -> Conflict:
    return Conflict(
        f"The service {service.title!r} has a candidate already; promote it or drop it first.",
        code="has_candidate",
    )


def _next_number(store: Store, service: ServiceRecord) -> int:
    return 1 + max(r.number for r in (service, *store.services.others(service.id)))


def _begin(
    store: Store, service: ServiceRecord, columns: dict[str, Any], weight: int, *, promotes: bool
) -> ServiceRecord:
    """Keep a candidate that shall run; its name makes sure that there is but one.

    The service's row is held until then: it cannot be stopped or deleted in between.
    """
    if not update_as_seen(store, service, updated_at=store.now()):
        raise changed_meanwhile()
    values = columns | {
        "name": f"{service.title}#{CANDIDATE}",
        "visibility": service.visibility,
        "state": "deploying",
        "access": service.access,
        "replicas": service.replicas,
        "is_wanted": True,
        "is_deleted": False,
        "revision": 1,
        "instances": [],
        "service_id": service.id,
        "role": CANDIDATE,
        "weight": weight,
        "is_promoted_when_ready": promotes,
    }
    try:
        made = store.services.add(**values)
    except IntegrityError as error:  # somebody else made one just now
        raise _taken(service) from error
    note_change(store, service, f"Revision {made.number} is started beside {service.number}.")
    tell_model(store, made)
    return made


def candidate_of(store: Store, service: ServiceRecord) -> ServiceRecord:
    """Return the candidate of a service.

    Raises
    ------
    NotFound
        It has none.
    """
    return _in_role(store, service, CANDIDATE)


def _in_role(store: Store, service: ServiceRecord, role: str) -> ServiceRecord:
    is_kept = role in (CANDIDATE, PREVIOUS)
    found = store.services.in_role(service.id, role) if is_kept else None
    if found is None:
        raise NotFound(f"The service {service.title!r} has no {role} revision.", code="no_revision")
    return found


def set_weight(store: Store, service: ServiceRecord, weight: int) -> None:
    """Let the candidate have so many percent of the calls, once it is ready."""
    candidate = candidate_of(store, service)
    is_it = {"role": CANDIDATE}
    if not store.services.update(candidate.id, where=is_it, weight=weight, updated_at=store.now()):
        raise changed_meanwhile()
    note_change(store, service, f"Revision {candidate.number} gets {weight} % of the calls.")


def promote(store: Store, service: ServiceRecord) -> None:
    """Make the candidate the current revision; the former one is kept as the previous one.

    The former one ends when no call goes to it any more, which is the reconciler's to see.

    Raises
    ------
    NotFound
        There is no candidate.
    Conflict
        It is not ready, the service is stopped, or one of them changed at this moment.
    """
    candidate = candidate_of(store, service)
    if not service.is_wanted:
        raise Conflict(
            f"The service {service.title!r} is stopped; start it before a revision is promoted.",
            code="not_running",
        )
    if candidate.state != "running":
        raise Conflict(
            f"Revision {candidate.number} is {candidate.state}; it can be promoted when all its "
            "replicas are ready.",
            code="not_ready",
        )
    older = store.services.in_role(service.id, PREVIOUS)
    if older is not None:
        _drop(store, older)
    _exchange(store, service, candidate)
    note_change(
        store,
        service,
        f"Revision {candidate.number} is the current one; revision {service.number} is kept.",
    )
    tell_model(store, service)
    tell_model(store, candidate)


def _exchange(store: Store, service: ServiceRecord, candidate: ServiceRecord) -> None:
    """Let service and candidate change places, if both are still as they were read."""
    now = store.now()
    moved = (*_MADE_OF, *_RUNS_AS)
    mine = {name: getattr(candidate, name) for name in moved} | {"origin_id": candidate.run_id}
    theirs = {name: getattr(service, name) for name in moved} | {"origin_id": service.run_id}
    if service.state not in ENDED:
        theirs["state"] = "stopping"
    theirs |= {
        "name": f"{service.title}#{PREVIOUS}",
        "role": PREVIOUS,
        "weight": 0,
        "is_promoted_when_ready": False,
        "is_wanted": False,
    }
    is_done = update_as_seen(store, service, **mine, updated_at=now)
    if not (is_done and update_as_seen(store, candidate, **theirs, updated_at=now)):
        raise changed_meanwhile()


def promote_when_ready(store: Store, candidate: ServiceRecord) -> bool:
    """Promote a candidate that was made for it; tell whether it was."""
    service = store.services.get(candidate.public_id)
    now = store.services.get(candidate.id)
    is_still_wanted = now is not None and now.role == CANDIDATE and now.is_promoted_when_ready
    if service is None or not service.is_wanted or now is None or not is_still_wanted:
        return False
    if now.is_deleted or now.state != "running":
        return False
    promote(store, service)
    return True


def roll_back(store: Store, service: ServiceRecord, room: Room) -> ServiceRecord:
    """Start the previous revision again, as a candidate that is promoted when it is ready.

    Raises
    ------
    NotFound
        There is no previous revision.
    Conflict
        There is a candidate, the service is stopped, or there is no room.
    Invalid
        Whoever asks may not use the pool any longer.
    """
    previous = _in_role(store, service, PREVIOUS)
    _require_open(store, service)
    room.require_pool(previous.pool)
    found = room.books()
    amounts = Amounts.of(previous.resources, service.replicas)
    require_possible(found, previous.pool, service.owner, amounts)
    require_free(found, previous.pool, service.owner, amounts)
    now = store.now()
    columns = {name: getattr(previous, name) for name in _MADE_OF} | {
        "owner": service.owner,
        "workspace_id": service.workspace_id,
        "description": service.description,
        "reason": None,
        "message": None,
        "handle": None,
        "ending": None,
        "created_at": now,
        "updated_at": now,
        "build_id": builds.renew(store, previous.build_id),
    }
    return _begin(store, service, columns, 0, promotes=True)


def drop(store: Store, service: ServiceRecord, role: str) -> None:
    """End a further revision and forget it.

    Raises
    ------
    NotFound
        There is none in that role.
    """
    found = _in_role(store, service, role)
    _drop(store, found)
    note_change(store, service, f"Revision {found.number} is dropped.")
    tell_model(store, found)


def _drop(store: Store, record: ServiceRecord) -> None:
    values: dict[str, Any] = {"is_wanted": False, "role": DROPPED}
    if record.state not in ENDED:
        values["state"] = "stopping"
    values |= {"name": f"{record.title}#{record.id}", "updated_at": store.now()}
    if not store.services.update(record.id, where={"role": record.role}, **values):
        raise changed_meanwhile()


def forget(store: Store, record: ServiceRecord) -> None:
    """Remove a dropped revision, of which nothing runs any more."""
    auth.revoke(store, "service", record.run_id)
    if store.services.delete(record.id):
        note_change(store, record)


def follow(
    store: Store, candidate: ServiceRecord | None, replicas: int, *, is_wanted: bool
) -> None:
    """Scale a candidate as its service is; drop it when that is stopped."""
    if candidate is None:
        return
    if not is_wanted:
        _drop(store, candidate)
    elif replicas != candidate.replicas:
        is_more = replicas > candidate.replicas and candidate.state not in ENDED
        values: dict[str, Any] = {"state": "deploying"} if is_more else {}
        store.services.update(candidate.id, replicas=replicas, **values, updated_at=store.now())
