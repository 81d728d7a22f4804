"""The surface that clients inside algorithms call (runtime contract, section 4).

It keeps the original platform's shapes: a bare JWT, and answers ``{"code", "msg", "data"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel, ConfigDict

from kpl_lab.errors import Forbidden, Invalid, NotFound, Unauthenticated
from kpl_lab.platform import auth
from kpl_lab.platform.api.deps import ContextDep, StoreDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import (
    access,
    metrics,
    servers,
    tasks,
)
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store

router = APIRouter(tags=["runtime"])
MAX_ITEMS = 100_000
MAX_NOTICES = 50


class Answer(BaseModel):
    """What every call is answered with."""

    code: str = "Success"
    msg: str = ""
    data: Any = None


class _Call(BaseModel):
    model_config = ConfigDict(extra="ignore")


class AttributeUpdate(_Call):
    """Progress or a result of a task; ``token`` is shown by clients 0.0.2 to 0.1.2."""

    task_id: int | str | None = None
    token: str = ""
    type: str
    name: str = ""
    value: Any = None


class StopCall(_Call):
    """A task or a notebook ends itself."""

    task_id: int | str


class MetricItems(_Call):
    """Curves of clients 0.0.2."""

    token: str
    items: list[dict[str, Any]]


class MetricBatch(_Call):
    """What our own client has gathered."""

    task_id: int | str
    batch_id: str = ""
    figures: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    progress: float | str | None = None
    scalars: dict[str, Any] = {}
    curves: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []


def workload_caller(
    context: ContextDep, authorization: Annotated[str | None, Header()] = None
) -> Caller:
    """Return the task or notebook whose JWT this is; the original clients send it bare."""
    token = (authorization or "").removeprefix("Bearer ").strip()
    if not token:
        raise Unauthenticated("The Authorization header holds no token.")
    with context.database.store(reads_only=True) as store:
        return auth.workload_caller(store, context.jwt_key, token)


WorkloadDep = Annotated[Caller, Depends(workload_caller)]
DeliveryDep = Annotated[str | None, Header(alias="X-KPL-Delivery", max_length=200)]


def _task(store: Store, caller: Caller, claimed: int | str | None) -> TaskRecord:
    """Return the caller's own task; another one's id is refused."""
    if caller.kind != "task" or str(claimed) != str(caller.subject_id):
        raise Forbidden("This token does not belong to that task.")
    task = store.tasks.get(caller.subject_id or 0)
    if task is None:
        raise NotFound("The task was deleted.")
    return task


def _is_repeated(store: Store, task: TaskRecord, key: str | None) -> bool:
    return bool(key) and not store.tasks.note_delivery(task.id, str(key))


@router.post("/task/attribute/update")
def update_attribute(
    body: AttributeUpdate, store: StoreDep, caller: WorkloadDep, delivery: DeliveryDep = None
) -> Answer:
    """Take progress or a result."""
    task = _task(store, caller, body.task_id)
    if not _is_repeated(store, task, delivery):
        _set_attribute(store, task, body)
    return Answer()


def _set_attribute(store: Store, task: TaskRecord, body: AttributeUpdate) -> None:
    if body.type == "progress":
        metrics.set_progress(store, task, body.value)
    elif body.type == "scalar_result":
        metrics.set_scalar(store, task, {body.name: body.value})
    elif body.type == "curve_result":
        if not isinstance(body.value, Mapping):
            raise Invalid("A curve_result's value is an object with x, y and data.")
        metrics.add_curve(store, task, body.name, body.value)
    else:
        raise Invalid(
            f"The type {body.type!r} is unknown; it is progress, scalar_result or curve_result."
        )


@router.post("/updateTaskAttribute")
def update_attribute_of_old(
    body: AttributeUpdate, store: StoreDep, caller: WorkloadDep, delivery: DeliveryDep = None
) -> Answer:
    """Take the same from clients 0.0.2 to 0.1.2; the relay has checked their word."""
    task = _task(store, caller, caller.subject_id)
    if not _is_repeated(store, task, delivery):
        _set_attribute(store, task, body)
    return Answer()


@router.post("/uploadTaskMetrics")
def upload_metrics(
    body: MetricItems, store: StoreDep, caller: WorkloadDep, delivery: DeliveryDep = None
) -> Answer:
    """Take curves of clients 0.0.2."""
    task = _task(store, caller, caller.subject_id)
    if _is_repeated(store, task, delivery):
        return Answer()
    for item in body.items[:MAX_ITEMS]:
        title = str(item.get("title", ""))
        if item.get("msgType") == "NewMetric":
            _declare(store, task, title, item.get("series"))
        elif item.get("msgType") == "MetricData":
            x, y = metrics.pair(item.get("value"))
            metrics.add_points(store, task, title, str(item.get("seriesName", "")), ([x], [y]))
    metrics.note_points(store, task)
    return Answer()


def _declare(store: Store, task: TaskRecord, title: str, series: object) -> None:
    for one in series if isinstance(series, list) else []:
        if isinstance(one, dict):
            kind = str(one.get("type") or "line")
            metrics.declare_series(store, task.id, title, str(one.get("name", "")), kind)


@router.post("/task/metrics/batch")
def upload_batch(
    body: MetricBatch, store: StoreDep, caller: WorkloadDep, delivery: DeliveryDep = None
) -> Answer:
    """Take what our own client has gathered; a repeated batch counts once."""
    task = _task(store, caller, body.task_id)
    if _is_repeated(store, task, body.batch_id or delivery):
        return Answer()
    for figure in body.figures:
        _declare(store, task, str(figure.get("title", "")), figure.get("series"))
    for part in body.points:
        metrics.add_points(
            store,
            task,
            str(part.get("title", "")),
            str(part.get("series", "")),
            (part.get("x", []), part.get("y", [])),
        )
    if body.points:
        metrics.note_points(store, task)
    if body.progress is not None:
        metrics.set_progress(store, task, body.progress)
    if body.scalars:
        metrics.set_scalar(store, task, body.scalars)
    for curve in body.curves:
        metrics.add_curve(store, task, str(curve.get("title", "")), curve)
    _note_failures(store, task, body.failures)
    return Answer()


def _note_failures(store: Store, task: TaskRecord, failures: list[dict[str, Any]]) -> None:
    """Show on the task what its client could not do; there is room for so many, and no more."""
    room = max(MAX_NOTICES - len(task.notices), 0)
    texts = [
        f"{failure.get('what', 'A call')} failed: {failure.get('message', '')}"[:2000]
        for failure in failures[:room]
    ]
    if not texts:
        return
    store.tasks.update(task.id, notices=[*task.notices, *texts])
    for text in texts:
        store.events.write(access.subject("tasks", task), "warning", text, level="warning")


@router.post("/task/stop")
def stop_itself(body: StopCall, store: StoreDep, caller: WorkloadDep) -> Answer:
    """End the task or notebook server that calls."""
    if caller.kind == "notebook":
        if str(body.task_id) != str(caller.subject_id):
            raise Forbidden("This token does not belong to that notebook.")
        servers.stop(store, caller.subject_id or 0)
        return Answer()
    task = _task(store, caller, body.task_id)
    if task.state not in tasks.FINAL:
        tasks.stop(store, task, "self")
    return Answer()
