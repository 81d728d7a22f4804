"""What is seen of services and noted, unless their user wants something else by now."""

from __future__ import annotations

from typing import Any

from kpl_lab.engines.routing import RouteState
from kpl_lab.engines.spec import Cause, Observation, Replica, ReplicaState
from kpl_lab.errors import Conflict
from kpl_lab.platform import auth
from kpl_lab.platform.domain import access
from kpl_lab.platform.domain.capacity import ALIVE_INSTANCES
from kpl_lab.platform.domain.faults import Explanation
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store

# What a row is to its service.
CURRENT, CANDIDATE, PREVIOUS, DROPPED = "current", "candidate", "previous", "dropped"
ENDED = ("stopped", "failed")


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
    waiting = next((r.waits for r in seen.replicas if r.waits), None)
    instances = [instance(r, _words_of(r, explanation)) for r in seen.replicas]
    changed = state != service.state or instances != service.instances
    if not changed:
        return False
    values: dict[str, Any] = {"state": state, "instances": instances, "updated_at": store.now()}
    is_bad = state in ("failed", "degraded") and explanation is not None
    why = explanation if is_bad else None
    values["reason"] = why.reason if why else None
    values["message"] = why.message if why else waiting.text if waiting else None
    values["ending"] = {"remedy": why.remedy.model_dump()} if why else None
    if not update_as_seen(store, service, **values):
        return True  # somebody wants something else by now: look again
    if state == "failed":
        auth.revoke(store, "service", service.run_id)
    if state != service.state:
        note_state(store, service, state, values["message"] or f"The service is {state}.")
    elif waiting and not waiting.is_progress and values["message"] not in (None, service.message):
        store.events.write(_subject(store, service), "waiting", waiting.text, level="warning")
    else:
        note_change(store, service)
    return True


def _words_of(replica: Replica, explanation: Explanation | None) -> str | None:
    """Return what is said of one replica: what it waits for itself, else what ended one of them."""
    if replica.waits is not None:
        return replica.waits.text
    if explanation is None or replica.state is ReplicaState.READY:
        return None
    return explanation.message


def update_as_seen(store: Store, service: ServiceRecord, **values: Any) -> bool:  # noqa: ANN401
    """Change a service if nobody has stopped, started, promoted or deleted it since it was read."""
    seen = {
        "origin_id": service.origin_id,
        "revision": service.revision,
        "is_wanted": service.is_wanted,
        "is_deleted": service.is_deleted,
    }
    return store.services.update(service.id, where=seen, **values)


def changed_meanwhile() -> Conflict:
    """Return the refusal of what somebody else came before: nothing of it is done."""
    return Conflict("The service was changed at this very moment; try again.")


def fail(store: Store, service: ServiceRecord, why: Explanation) -> None:
    """Note that a service cannot be started, and why."""
    ending = {"remedy": why.remedy.model_dump()}
    values = {"state": "failed", "reason": why.reason, "message": why.message, "ending": ending}
    if update_as_seen(store, service, **values):
        auth.revoke(store, "service", service.run_id)
        note_state(store, service, "failed", why.message)


def fail_for_build(store: Store, service: ServiceRecord, message: str | None) -> None:
    """Note that the environment of a service could not be built; repeatable."""
    why = message or "Its environment could not be built; the build's log says why."
    if update_as_seen(store, service, state="failed", reason="build_failed", message=why):
        note_state(store, service, "failed", why)


def note_ended(store: Store, service: ServiceRecord, seen: Observation | None) -> None:
    """Note that the replicas of a failed service have ended: they hold nothing any more."""
    if any(i["state"] in ALIVE_INSTANCES for i in service.instances):
        ended = [instance(r, service.message) for r in seen.replicas] if seen else []
        if update_as_seen(store, service, instances=ended):
            note_change(store, service)


def note_stopped(store: Store, service: ServiceRecord) -> None:
    """Note that nothing of a service runs any more; its address stays."""
    values: dict[str, Any] = {"state": "stopped", "instances": [], "handle": None, "ending": None}
    if update_as_seen(store, service, **values, reason=None, message=None):
        auth.revoke(store, "service", service.run_id)
        note_state(store, service, "stopped", "The service is stopped.")


def waits(store: Store, service: ServiceRecord, text: str, *, is_progress: bool) -> None:
    """Note what a service waits for before it can start, or how far that is."""
    changed = text != service.message and update_as_seen(store, service, message=text)
    if changed and not is_progress:
        store.events.write(_subject(store, service), "waiting", text, level="warning")


def waits_no_more(store: Store, service: ServiceRecord) -> None:
    """Forget what a service waited for: it was given to the engine."""
    is_waiting = service.message is not None and service.reason is None
    if is_waiting and update_as_seen(store, service, message=None):
        note_change(store, service)


def note_change(store: Store, service: ServiceRecord, message: str = "") -> None:
    """Tell that something of a service is another one, its state apart."""
    store.events.write(_subject(store, service), "updated", message)


def note_state(store: Store, service: ServiceRecord, state: str, message: str) -> None:
    """Tell that a service's state is another one.

    Of a further revision it is told as a change of the service, whose own state it is not.
    """
    if service.service_id is None:
        store.events.write(
            _subject(store, service),
            "state",
            message,
            level="error" if state == "failed" else "normal",
            data={"state": state},
        )
    elif service.role == CANDIDATE:
        words = f"failed: {message}" if state == "failed" else f"is {state}."
        note_change(store, service, f"Revision {service.number} {words}")
    else:
        note_change(store, service)


def note_way(store: Store, service: ServiceRecord, way: RouteState) -> None:
    """Tell whether calls go past the front door, where that is another thing than was told last."""
    message = way.message or (
        "Calls reach the service by a route of its own." if way.is_taken else ""
    )
    last = store.events.last("services", service.id, "route")
    if message and (last is None or last.message != message):
        level = "normal" if way.is_taken else "warning"
        store.events.write(_subject(store, service), "route", message, level=level)


def _subject(store: Store, service: ServiceRecord) -> Subject:
    """Return the service as an event's subject, also for its further revisions."""
    return access.subject("services", store.services.get(service.public_id) or service)


def start_anew(store: Store, service: ServiceRecord) -> None:
    """Begin a further start of a service that ended through no fault of its own."""
    values = {"revision": service.revision + 1, "state": "deploying", "handle": None}
    if update_as_seen(store, service, **values, instances=[]):
        auth.revoke(store, "service", service.run_id)
        note_state(store, service, "deploying", "The service is being started again.")
