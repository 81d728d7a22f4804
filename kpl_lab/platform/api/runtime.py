"""The surface that clients inside algorithms call (runtime contract, section 4).

It keeps the original platform's shapes: a bare JWT, and answers ``{"code", "msg", "data"}``.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, File, Form, Header, Request, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict

from kpl_lab.errors import Forbidden, Invalid, KplError, NotFound, Unauthenticated
from kpl_lab.platform import auth
from kpl_lab.platform.api.deps import ContextDep, StoreDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import (
    access,
    algorithms,
    datasets,
    metrics,
    models,
    servers,
    tasks,
    uploads,
)
from kpl_lab.platform.storage.files import explain_full_disk
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import AlgorithmCreate
from kpl_lab.schemas.datasets import DatasetCreate
from kpl_lab.schemas.models import ModelCreate

RUNTIME_PREFIX = "/kpl/runtime"
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


saves = APIRouter(tags=["runtime"], route_class=_TokenFirst)
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


def _keep_upload(context: Context, owner: Caller, file: UploadFile) -> int:
    """Turn a multipart file into a finished upload; return its id.

    The copy stands outside of transactions: it may take minutes, and writers would wait for it.
    """
    limit = context.options.max_upload_bytes
    uploads.check_room(context.files, file.size)
    with context.database.store() as store:
        made = uploads.create(store, owner, file.filename or "upload", file.size, limit)
    with explain_full_disk(), uploads.open_at(context.files, made) as out:
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


@saves.post("/dataset/upload")
@saves.post("/upload/dataset", include_in_schema=False)
def save_dataset(save: SaveDep) -> Answer:
    """Save a dataset that is in the KPL format already."""
    return _save_dataset(save, "kpl")


@saves.post("/dataset_fs/upload")
@saves.post("/upload/dataset_fs", include_in_schema=False)
def save_dataset_files(save: SaveDep) -> Answer:
    """Save a dataset of plain files."""
    return _save_dataset(save, "files")


@saves.post("/model/upload")
@saves.post("/upload/model", include_in_schema=False)
def save_model(save: SaveDep) -> Answer:
    """Save a model: one file, or a packed folder."""
    if (before := save.made("models")) is not None:
        return before
    request = ModelCreate(name=save.name, upload=save.upload(), description=save.description)
    with save.context.database.store() as store:
        record = models.create(store, save.owner, request)
        save.keep(store, "models", record.id)
    return Answer(data={"id": record.id, "name": record.name})


@saves.post("/algorithm/upload")
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


_CODES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 413: "TooLarge"}


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, KplError)  # noqa: S101 (registered for this type alone)
    code = _CODES.get(error.http_status, error.code)
    answer = Answer(code=code, msg=error.message)
    return JSONResponse(answer.model_dump(), error.http_status)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(p) for p in first["loc"][1:])
    answer = Answer(code="InvalidParameter", msg=f"{field}: {first['msg']}")
    return JSONResponse(answer.model_dump(), 400)


async def _on_defect(request: Request, error: Exception) -> JSONResponse:
    """Answer in the same shape what nobody has foreseen; the server logs it with its trace."""
    del request, error
    answer = Answer(code="InternalError", msg="The platform failed at this; its log says how.")
    return JSONResponse(answer.model_dump(), 500)


def create_runtime(context: Context) -> FastAPI:
    """Return the surface as an application of its own, with the original error shape."""
    app = FastAPI(title="KPL runtime", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.context = context
    app.add_exception_handler(KplError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_defect)
    app.include_router(router)
    app.include_router(saves)
    return app
