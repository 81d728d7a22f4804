"""Tasks over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import anyio.from_thread
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from kpl_lab.errors import Invalid, KplError, NotFound, Unavailable
from kpl_lab.platform.api import downloads, logs, views
from kpl_lab.platform.api.deps import AskedDep, ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, code, metrics, runs, tasks
from kpl_lab.platform.domain.capacity import standing
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.domain.ledgers import Books
from kpl_lab.platform.outlook import Outlook
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Event, Page
from kpl_lab.schemas.tasks import (
    LogPage,
    TaskCreate,
    TaskDetail,
    TaskInput,
    TaskMetrics,
    TaskOutput,
    TaskUpdate,
    TaskView,
)

router = APIRouter(tags=["tasks"])
Reading = Annotated[Caller, Depends(needs(scope("tasks", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("tasks", "write")))]
NOUN = tasks.NOUN


def _books(store: Store, context: Context, outlook: Outlook | None = None) -> Books | str | None:
    """Return what there is to wait for, or why nobody knows.

    None while the file of pools is wrong, which others say.
    """
    try:
        found = (outlook or anyio.from_thread.run(context.outlooks.look)).capacity()
    except Unavailable:
        return tasks.NO_ANSWER
    except KplError as error:
        return tasks.NOTHING_STARTS.format(why=error.message.removesuffix("."))
    try:
        return standing(store, context, found)
    except Invalid:
        return None


async def _look(context: ContextDep) -> Outlook:
    return await context.outlooks.look()


def _facts(
    store: Store, task: TaskRecord, names: dict[int, str], book: Books | str | None
) -> dict[str, Any]:
    return views.base_fields(task, names) | {
        "function": task.function,
        "code_name": task.code_name,
        "algorithm": task.algorithm,
        "description": task.description,
        "labels": task.labels,
        "resources": task.resources,
        "pool": task.pool,
        "nodes": task.nodes,
        "processes": task.processes,
        "priority": task.priority,
        "progress": task.progress,
        "seconds_left": metrics.seconds_left(task, task.progress, store.now()),
        "queue": tasks.position(store, task, book) if book else None,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "exit_code": task.exit_code,
        "attempt": task.attempt,
        "headline": metrics.headline(task),
    }


def _detail(
    store: Store, context: Context, task: TaskRecord, outlook: Outlook | None = None
) -> TaskDetail:
    book = _books(store, context, outlook) if task.state == "queued" else None
    folder = context.files.code(task.code_digest)
    # Never waited for: what is asked for here (that it stops, say) must not fail with a bucket.
    is_there = bool(task.code_digest) and context.files.is_here(folder)
    command = ""
    if is_there:
        loaded = code.load_code(context.files, task.code_digest)
        command = loaded.environment.function(task.function).cmd
    ending = task.ending or {}
    return TaskDetail(
        **_facts(store, task, views.workspace_names(store), book),
        inputs=[
            TaskInput(**{k: i[k] for k in ("key", "kind", "name", "version")}) for i in task.inputs
        ],
        outputs=[_output(o) for o in task.outputs],
        parameters=task.parameters,
        environment=task.environment,
        save_as=task.save_as,
        time_limit_seconds=task.time_limit_seconds,
        launch=task.launch,
        command=command,
        files=code.names(folder) if is_there else [],
        notices=task.notices,
        remedy=ending.get("remedy"),
        usage=ending.get("usage"),
    )


def _output(planned: dict[str, Any]) -> TaskOutput:
    known = {k: v for k, v in planned.items() if k in TaskOutput.model_fields}
    if known.get("kind") == "dataset-or-files":
        known["kind"] = "files"
    return TaskOutput(**known)


@router.get("/tasks")
def list_tasks(
    context: ContextDep, store: ReadingStoreDep, caller: Reading, listing: ListDep
) -> Page[TaskView]:
    """Return tasks, newest first."""
    found = store.tasks.page(listing.query(caller))
    book = _books(store, context) if any(t.state == "queued" for t in found) else None
    names = views.workspace_names(store)
    return listing.page(found, lambda t: TaskView(**_facts(store, t, names, book)))


def _receive(body: TaskCreate, context: ContextDep, caller: Writing, key: KeyDep) -> Code | None:
    """Store the code before the transaction begins, for it takes seconds."""
    return key.unless_made(
        context, caller, "tasks", lambda s: s.tasks, lambda: runs.receive(context, caller, body)
    )


@router.post("/tasks", status_code=201)
def create_task(
    body: TaskCreate,
    received: Annotated[Code | None, Depends(_receive)],
    context: ContextDep,
    asked: AskedDep,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> TaskDetail:
    """Submit a task, or keep it as a draft."""
    task = key.made(store, caller, "tasks", store.tasks)
    if task is None:
        task = tasks.submit(store, context, caller, body, received, asked.capacity())
        key.keep(store, caller, "tasks", task.id)
    response.headers["Location"] = f"/kpl/api/v1/tasks/{task.id}"
    return _detail(store, context, task, asked)


def _find(store: Store, caller: Caller, ref: str) -> TaskRecord:
    return access.find(store.tasks, ref, caller, NOUN)


def _find_own(store: Store, caller: Caller, ref: str) -> TaskRecord:
    task = _find(store, caller, ref)
    access.require_change(task, caller, NOUN)
    return task


@router.get("/tasks/{ref}")
def get_task(ref: str, context: ContextDep, store: ReadingStoreDep, caller: Reading) -> TaskDetail:
    """Return everything about a task."""
    return _detail(store, context, _find(store, caller, ref))


@router.patch("/tasks/{ref}")
def update_task(
    ref: str,
    body: TaskUpdate,
    context: ContextDep,
    caller: Writing,
    seen: Annotated[Outlook, Depends(_look)],
    store: StoreDep,
) -> TaskDetail:
    """Change what is said about a task, or start a draft."""
    return _detail(store, context, tasks.update(store, _find_own(store, caller, ref), body), seen)


@router.delete("/tasks/{ref}", status_code=204)
def delete_task(ref: str, context: ContextDep, store: StoreDep, caller: Writing) -> None:
    """Remove a task with log, curves and kept files; one that runs is ended first."""
    tasks.delete(store, context, _find_own(store, caller, ref))


@router.post("/tasks/{ref}/stop")
def stop_task(ref: str, context: ContextDep, store: StoreDep, caller: Writing) -> TaskDetail:
    """Ask a task to end."""
    return _detail(store, context, tasks.stop(store, _find_own(store, caller, ref)))


@router.get("/tasks/{ref}/log")
def get_task_log(
    ref: str,
    context: ContextDep,
    store: ReadingStoreDep,
    caller: Reading,
    part: logs.LogPartDep,
    node: Annotated[int, Query(ge=0, description="of a task over several, from 0")] = 0,
) -> LogPage:
    """Return a part of a task's log, by byte offset."""
    task = tasks.with_node(_find(store, caller, ref), node)
    return logs.page(context, logs.of_task(context, task, node), part)


@router.get("/tasks/{ref}/metrics")
def get_task_metrics(
    ref: str,
    store: ReadingStoreDep,
    caller: Reading,
    points: Annotated[int, Query(ge=4, le=100_000)] = 1000,
) -> TaskMetrics:
    """Return progress, results and curves, thinned to ``points`` points a series."""
    return metrics.view(store, _find(store, caller, ref), points)


@router.get("/tasks/{ref}/events")
def list_task_events(
    ref: str,
    store: ReadingStoreDep,
    caller: Reading,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Page[Event]:
    """Return what happened to a task, newest first."""
    found = store.events.of("tasks", _find(store, caller, ref).id, limit=limit)
    return Page(items=[views.event(e) for e in found], next=None)


@router.get("/tasks/{ref}/files/{path:path}")
def get_task_file(
    ref: str, path: str, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> Response:
    """Return a text file of the code that the task runs."""
    text = code.text_of(context.files, _find(store, caller, ref).code_digest, path)
    return Response(text, media_type="text/plain; charset=utf-8")


@router.get("/tasks/{ref}/outputs/{key}/download")
def download_output(
    ref: str, key: str, context: ContextDep, store: ReadingStoreDep, caller: Reading
) -> StreamingResponse:
    """Return the kept files of an output as a tar."""
    task = _find(store, caller, ref)
    if key not in [o["key"] for o in task.outputs]:
        raise NotFound(f"The task {task.name!r} has no output {key!r}.")
    folder = context.files.path("outputs", task.id, key)
    if not context.files.has(folder):
        raise NotFound(f"Nothing was kept of the output {key!r}.")
    return downloads.tar_answer(context.files, folder, f"{task.name}-{key}")
