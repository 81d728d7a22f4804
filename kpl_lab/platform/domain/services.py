"""Services: code and a model behind a stable address; what is wanted, and what is seen."""

from __future__ import annotations

import shlex
from typing import Any, Literal
from urllib.parse import quote

from kpl_lab.engines.spec import Cause, Observation, Replica, ReplicaState
from kpl_lab.errors import Conflict, Invalid
from kpl_lab.naming import check_name, split_reference
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, builds, runs
from kpl_lab.platform.domain.capacity import (
    ALIVE_INSTANCES,
    Amounts,
    Ledger,
    held_replicas,
    require_possible,
    words,
)
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.domain.faults import Explanation
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView, PortView
from kpl_lab.schemas.services import ServiceCreate, ServiceUpdate
from kpl_lab.schemas.tasks import TaskInput

NOUN = "service"
FUNCTION = "deploy"
ENDED = ("stopped", "failed")


def deploy(
    store: Store,
    context: Context,
    caller: Caller,
    request: ServiceCreate,
    received: Code | None,
    book: Ledger,
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
    require_possible(plan.resources, book.limit, max(request.replicas, 1))
    _require_free(book, Amounts.of(plan.resources, request.replicas))
    function = _with_model_input(plan.function, request)
    inputs = runs.resolve_inputs(store, caller, function, _inputs(function, request))
    model = next((i for i in inputs if i["kind"] == "model"), None)
    record = store.services.add(
        **plan.columns(caller.name, store.now()),
        name=name,
        visibility=request.access,
        state="deploying",
        inputs=inputs,
        access=request.access,
        replicas=max(request.replicas, 1),
        is_wanted=request.replicas > 0,
        is_deleted=False,
        revision=1,
        model=f"{model['name']}:{model['version']}" if model else None,
        model_id=model["id"] if model else None,
        task_id=_task_of(store, model),
        instances=[],
    )
    plan.discard_upload(store, context)
    store.events.write(access.subject("services", record), "created")
    _tell_model(store, record)
    return record


def _tell_model(store: Store, service: ServiceRecord) -> None:
    """Let pages of the model look again at what uses it."""
    model = store.models.get(service.model_id) if service.model_id is not None else None
    if model is not None:
        store.events.write(access.subject("models", model), "updated")


def _free_name(store: Store, wanted: str, workspace_id: int) -> str:
    name = check_name(wanted, what="service's name")
    if store.services.named(name, workspace_id) is not None:
        raise Conflict(
            f"There is a service {name!r} already; choose another name, or delete it first "
            f"(`kpl service delete {shlex.quote(name)}`).",
            code="name_taken",
        )
    return name


def _require_free(book: Ledger, wanted: Amounts) -> None:
    lacking = book.free.lacks(wanted)
    if lacking:
        raise Conflict(
            f"There is no room for it now: {words(lacking, wanted, book.free)}. "
            "Stop a task, service or notebook server, or ask for less.",
            code="no_capacity",
        )


def _task_of(store: Store, model: dict[str, Any] | None) -> int | None:
    if model is None:
        return None
    version = store.model_versions.numbered(model["id"], model["version"])
    return version.task_id if version else None


def _with_model_input(function: FunctionView, request: ServiceCreate) -> FunctionView:
    """Return the function; one that declares no inputs at all gets the model as ``model``."""
    if not request.model or function.inputs:
        return function
    port = PortView(key="model", name="model", kind="model")
    return function.model_copy(update={"inputs": [port]})


def _inputs(function: FunctionView, request: ServiceCreate) -> list[TaskInput]:
    """Return the inputs that a request means: ``model`` fills that input, else the only one."""
    given = []
    for key, text in request.inputs.items():
        kind, colon, reference = text.partition(":")
        if not colon or kind not in ("model", "dataset"):
            raise Invalid(f"{text!r} is not an input; write model:NAME[:V] or dataset:NAME[:V].")
        given.append(_input(key, "model" if kind == "model" else "dataset", reference))
    if request.model:
        keys = [port.key for port in function.inputs]
        if "model" not in keys and len(keys) != 1:
            raise Invalid(
                f"The deploy function has the inputs {', '.join(keys)}; none is named "
                "`model`, so say which one the model fills (`--input KEY=model:NAME`).",
                code="unknown_input",
            )
        given.append(_input("model" if "model" in keys else keys[0], "model", request.model))
    return given


def _input(key: str, kind: Literal["dataset", "model"], reference: str) -> TaskInput:
    name, number = split_reference(reference)
    return TaskInput(key=key, kind=kind, name=name, version=number)


def update(
    store: Store, service: ServiceRecord, request: ServiceUpdate, book: Ledger
) -> ServiceRecord:
    """Scale, stop, start, or change who may call.

    Raises
    ------
    Conflict
        There is no room for further replicas.
    """
    values: dict[str, Any] = {}
    replicas = request.replicas or service.replicas
    wanted = service.is_wanted if request.running is None else request.running
    before = service.replicas if service.is_wanted and service.state != "failed" else 0
    more = (replicas if wanted else 0) - held_replicas(service)
    if more > 0:
        require_possible(service.resources, book.limit, replicas)
        _require_free(book, Amounts.of(service.resources, more))
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
    store.services.update(service.id, **values, updated_at=store.now())
    store.events.write(
        access.subject("services", service),
        "updated",
        _scaled_words(service.replicas, replicas),
        data=_state(values) | {"replicas": replicas, "replicas_before": service.replicas},
    )
    return store.services.get(service.id) or service


def _begin_anew(store: Store, service: ServiceRecord) -> dict[str, Any]:
    """Return what a further start changes, and end the token of the one before."""
    auth.revoke(store, "service", service.id)
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
    return "" if before == after else f"Scaled from {before} to {after} replicas."


def _state(values: dict[str, Any]) -> dict[str, Any]:
    return {"state": values["state"]} if "state" in values else {}


def delete(store: Store, service: ServiceRecord) -> None:
    """Ask for a service and its address to vanish."""
    store.services.update(
        service.id,
        is_wanted=False,
        is_deleted=True,
        name=f"{service.name}#{service.id}",
        updated_at=store.now(),
    )
    auth.revoke(store, "service", service.id)
    store.events.write(access.subject("services", service), "deleted")
    _tell_model(store, service)


def observed_state(service: ServiceRecord, seen: Observation) -> str:
    """Return what a service's replicas amount to."""
    ready = sum(1 for r in seen.replicas if r.state is ReplicaState.READY)
    alive = [r for r in seen.replicas if r.state is not ReplicaState.EXITED]
    if not service.is_wanted:
        return "stopping" if alive else "stopped"
    if ready >= service.replicas:
        return "running"
    if service.state in ("running", "degraded") and (ready or alive):
        return "degraded"
    if not alive and len(seen.replicas) >= service.replicas:
        return "failed"
    return "degraded" if ready and service.state != "deploying" else "deploying"


def instance(replica: Replica, message: str | None) -> dict[str, Any]:
    """Return one replica as it is stored and shown."""
    states = {
        ReplicaState.STARTING: "starting",
        ReplicaState.RUNNING: "starting",
        ReplicaState.READY: "ready",
        ReplicaState.UNHEALTHY: "unhealthy",
        ReplicaState.EXITED: "stopped" if replica.cause is Cause.STOPPED else "failed",
    }
    return {
        "index": replica.index,
        "state": states[replica.state],
        "address": replica.address,
        "started_at": replica.started_at.isoformat() if replica.started_at else None,
        "restarts": replica.restarts,
        "message": message,
    }


def record_observation(
    store: Store,
    service: ServiceRecord,
    seen: Observation,
    explanation: Explanation | None,
    *,
    is_routed: bool = True,
) -> bool:
    """Store what the engine sees of a service; tell whether its state or addresses changed.

    It comes to run only when calls reach it: ``is_routed`` says whether the front door knows the way.
    """
    state = observed_state(service, seen)
    if state == "running" and not is_routed:
        state = service.state
    words_of = explanation.message if explanation else None
    instances = [
        instance(r, words_of if r.state is not ReplicaState.READY else None) for r in seen.replicas
    ]
    changed = state != service.state or instances != service.instances
    if not changed:
        return False
    values: dict[str, Any] = {"state": state, "instances": instances, "updated_at": store.now()}
    is_bad = state in ("failed", "degraded") and explanation is not None
    values["reason"] = explanation.reason if is_bad and explanation else None
    values["message"] = explanation.message if is_bad and explanation else None
    values["ending"] = (
        {"remedy": explanation.remedy.model_dump()} if is_bad and explanation else None
    )
    if not _update_as_seen(store, service, **values):
        return True  # somebody wants something else by now: look again
    if state == "failed":
        auth.revoke(store, "service", service.id)
    if state != service.state:
        store.events.write(
            access.subject("services", service),
            "state",
            values["message"] or f"The service is {state}.",
            level="error" if state == "failed" else "normal",
            data={"state": state},
        )
    else:
        store.events.write(access.subject("services", service), "updated")
    return True


def url_of(service: ServiceRecord, workspace: str) -> str:
    """Return the path of a service behind the front door."""
    return f"/svc/{quote(workspace)}/{quote(service.name)}/"


def _update_as_seen(store: Store, service: ServiceRecord, **values: Any) -> bool:  # noqa: ANN401
    """Change a service if its user has not stopped, started or deleted it since it was read."""
    seen = {
        "revision": service.revision,
        "is_wanted": service.is_wanted,
        "is_deleted": service.is_deleted,
    }
    return store.services.update(service.id, where=seen, **values)


def fail(store: Store, service: ServiceRecord, why: Explanation) -> None:
    """Note that a service cannot be started, and why."""
    ending = {"remedy": why.remedy.model_dump()}
    values = {"state": "failed", "reason": why.reason, "message": why.message, "ending": ending}
    if _update_as_seen(store, service, **values):
        auth.revoke(store, "service", service.id)
        note_state(store, service, "failed", why.message)


def fail_for_build(store: Store, service: ServiceRecord, message: str | None) -> None:
    """Note that the environment of a service could not be built; repeatable."""
    why = message or "Its environment could not be built; the build's log says why."
    if _update_as_seen(store, service, state="failed", reason="build_failed", message=why):
        note_state(store, service, "failed", why)


def note_ended(store: Store, service: ServiceRecord, seen: Observation | None) -> None:
    """Note that the replicas of a failed service have ended: they hold nothing any more."""
    if any(i["state"] in ALIVE_INSTANCES for i in service.instances):
        ended = [instance(r, service.message) for r in seen.replicas] if seen else []
        if _update_as_seen(store, service, instances=ended):
            store.events.write(access.subject("services", service), "updated")


def note_stopped(store: Store, service: ServiceRecord) -> None:
    """Note that nothing of a service runs any more; its address stays."""
    values: dict[str, Any] = {"state": "stopped", "instances": [], "handle": None, "ending": None}
    if _update_as_seen(store, service, **values, reason=None, message=None):
        auth.revoke(store, "service", service.id)
        note_state(store, service, "stopped", "The service is stopped.")


def note_state(store: Store, service: ServiceRecord, state: str, message: str) -> None:
    """Tell that a service's state is another one."""
    store.events.write(
        access.subject("services", service),
        "state",
        message,
        level="error" if state == "failed" else "normal",
        data={"state": state},
    )


def start_anew(store: Store, service: ServiceRecord) -> None:
    """Begin a further start of a service that ended through no fault of its own."""
    values = {"revision": service.revision + 1, "state": "deploying", "handle": None}
    if _update_as_seen(store, service, **values, instances=[]):
        auth.revoke(store, "service", service.id)
        note_state(store, service, "deploying", "The service is being started again.")
