"""Tasks: submitted, admitted, run, ended; the rules of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import Conflict, Invalid, NotFound
from kpl_lab.naming import check_name
from kpl_lab.platform import auth
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, distributed, runs
from kpl_lab.platform.domain.capacity import behind_servers, held_for_servers, limits
from kpl_lab.platform.domain.code import Code
from kpl_lab.platform.domain.faults import Explanation
from kpl_lab.platform.domain.ledgers import Amounts, Books, require_possible
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.repositories.census import CensusRepository
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.algorithms import FunctionView
from kpl_lab.schemas.tasks import QueuePosition, TaskCreate, TaskState, TaskUpdate
from kpl_lab.telemetry.instruments import TASK_WAITS, TASKS_ENDED

NOUN = "task"
FINAL = ("succeeded", "failed", "stopped")
# What runs may have to be started once more: its node is drained, say.
ON_THE_WAY = ("preparing", "running")
# State → states that may follow. The one table of a task's life.
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "draft": ("queued", "stopped"),
    "queued": ("preparing", "stopped", "failed"),
    "preparing": ("queued", "running", "stopping", "succeeded", "failed", "stopped"),
    "running": ("stopping", "succeeded", "failed", "stopped"),
    "stopping": ("stopped", "failed", "succeeded"),
    "succeeded": (),
    "failed": (),
    "stopped": (),
}


# What the time line says of a state that has no message of its own.
STATE_WORDS: Mapping[str, str] = {
    "draft": "Saved as a draft.",
    "queued": "Waiting for its turn.",
    "preparing": "There is room; code and inputs are being laid out.",
    "running": "The command is running.",
    "stopping": "It was asked to end.",
    "succeeded": "The command has ended well and its outputs are kept.",
    "failed": "It failed.",
    "stopped": "It was stopped.",
}

_BEING_BUILT = "its environment is being built"
# What keeps all queued tasks from their start, whatever they ask for.
NO_ANSWER = "nothing can start while the engine does not answer"
NOTHING_STARTS = "nothing can start: {why}"

# What every task begins with.
_NEW: Mapping[str, Any] = {
    "visibility": "private",
    "desired": "run",
    "stop_reason": None,
    "attempt": 1,
    "progress": None,
    "progress_at": None,
    "started_at": None,
    "finished_at": None,
    "exit_code": None,
}


def submit(
    store: Store,
    context: Context,
    caller: Caller,
    request: TaskCreate,
    received: Code | None,
    capacity: Capacity,
) -> TaskRecord:
    """Check a request whole and keep it as a queued task (or a draft).

    ``received`` is the code that came with it, if any did.

    Raises
    ------
    Invalid, NotFound, Conflict
        Something in it is wrong or missing; says what.
    QuotaExceeded
        It asks for more than there is in all.
    """
    plan = runs.plan(store, context, caller, request, request.function, received)
    distributed.check(request.nodes, request.processes)
    wanted = Amounts.of(plan.resources, request.nodes)
    require_possible(limits(context, capacity), plan.pool, caller.name, wanted)
    code_name = plan.chosen.code_name
    record = store.tasks.add(
        **plan.columns(caller.name, store.now()),
        **_NEW,
        name=check_name(request.name or f"{request.function} {code_name}"),
        state="draft" if request.draft else "queued",
        inputs=runs.resolve_inputs(store, caller, plan.function, request.inputs),
        function=request.function,
        labels=request.labels,
        outputs=_plan_outputs(plan.function, request, code_name),
        save_as=[s.model_dump() for s in request.save_as],
        priority=request.priority,
        time_limit_seconds=request.time_limit_seconds,
        nodes=request.nodes,
        processes=request.processes,
        launch=distributed.way_of(plan.function.cmd, request.launch),
        notices=plan.notices,
        scalars={},
        curves=[],
    )
    plan.discard_upload(store, context)
    store.events.write(access.subject("tasks", record), "created")
    return record


def _plan_outputs(function: FunctionView, request: TaskCreate, code_name: str) -> list[Any]:
    """Return what shall become of each output: the first of a train is the model, named after code.

    Raises
    ------
    Invalid
        ``save_as`` names an output that the function does not declare.
    """
    keys = [port.key for port in function.outputs]
    chosen = {}
    for entry in request.save_as:
        if entry.output not in keys:
            raise Invalid(
                f"The function {function.name} has no output {entry.output!r}; "
                f"it declares: {', '.join(keys) or 'none'}.",
                code="unknown_output",
                detail={"key": entry.output, "declared": keys},
            )
        chosen[entry.output] = entry
    planned = []
    for number, port in enumerate(function.outputs):
        saved = chosen.get(port.key)
        default = code_name if number == 0 else f"{code_name}-{port.key}"
        name = check_name(saved.name if saved else default)
        kind = saved.kind if saved else port.kind
        if kind == "files" and function.name == "infer":
            kind = "dataset-or-files"
        planned.append({"key": port.key, "kind": kind, "name": name})
    return planned


def position(store: Store, task: TaskRecord, found: Books | str) -> QueuePosition | None:
    """Return why a queued task waits, in words.

    Parameters
    ----------
    found
        The books, or why nobody can open them.
    """
    if task.state != "queued":
        return None
    build = store.builds.get(task.build_id) if task.build_id else None
    ahead = store.tasks.ahead_of(task)
    behind = f"; {ahead} ahead of you" if ahead else ""
    if build is not None and build.state in ("queued", "running"):
        waits = f"its environment is not built yet: {build.message}"
        text = waits if build.message else _BEING_BUILT
        return QueuePosition(ahead=ahead, waiting_for=text + behind)
    if isinstance(found, str):
        return QueuePosition(ahead=ahead, waiting_for=found + behind)
    wanted = Amounts.of(task.resources, task.nodes)
    lacking = found.shortage(task.pool, task.owner, wanted)
    held = held_for_servers(store, found).of(task.pool, task.owner, wanted)
    text = lacking.text if lacking else behind_servers(held) or "about to start"
    return QueuePosition(ahead=ahead, waiting_for=text + behind)


def move(store: Store, task: TaskRecord, state: str, **values: Any) -> bool:  # noqa: ANN401
    """Change a task's state if the table allows it from where it is now; tell whether it did."""
    sources = tuple(s for s, targets in TRANSITIONS.items() if state in targets)
    changed = store.tasks.update(
        task.id, where={"state": sources}, state=state, updated_at=store.now(), **values
    )
    if changed:
        level = "error" if state == "failed" else "normal"
        _count(store, task, state, values.get("reason"))
        message = str(values.get("message") or STATE_WORDS[state])
        data = {"state": state}
        store.events.write(access.subject("tasks", task), "state", message, level=level, data=data)
    return changed


def _count(store: Store, task: TaskRecord, state: str, reason: str | None) -> None:
    """Count, once the change holds, what a scraper asks for."""
    if state == "preparing":
        since = CensusRepository(store.session).entered(task.id) or task.created_at
        waited = (store.now() - since).total_seconds()
        store.after_commit(lambda: TASK_WAITS.observe(max(waited, 0.0)))
    elif state in FINAL:
        store.after_commit(TASKS_ENDED.labels(state, reason or "none").inc)


def waits(store: Store, task: TaskRecord, text: str, *, is_progress: bool) -> None:
    """Note what a task that was admitted waits for where it is to run, or how far it is."""
    if text == task.message:
        return
    if not store.tasks.update(task.id, where={"state": ON_THE_WAY}, message=text):
        return
    if not is_progress:
        store.events.write(access.subject("tasks", task), "waiting", text, level="warning")
    elif task.state == "running":  # no change of its state will be told
        store.events.write(access.subject("tasks", task), "updated", text)


def waits_no_more(store: Store, task: TaskRecord) -> None:
    """Forget what a task waited for: it is on its way."""
    if store.tasks.update(task.id, where={"state": ON_THE_WAY}, message=None):
        store.events.write(access.subject("tasks", task), "updated")


def waits_to_end(store: Store, task: TaskRecord, text: str) -> None:
    """Note why the outputs of a task whose command has ended are not kept yet."""
    if text != task.message and store.tasks.update(
        task.id, where={"state": task.state}, message=text
    ):
        store.events.write(access.subject("tasks", task), "waiting", text, level="warning")


def stop(store: Store, task: TaskRecord, reason: str = "user") -> TaskRecord:
    """Ask a task to end.

    Raises
    ------
    Conflict
        It has ended already; says how.
    """
    if task.state in FINAL:
        raise Conflict(
            f"The task {task.name!r} has ended already: it {task.state}.", code="already_ended"
        )
    store.tasks.update(
        task.id,
        where={"desired": "run"},
        desired="stop",
        stop_reason=reason,
        updated_at=store.now(),
    )
    if task.state in ("draft", "queued"):
        move(store, task, "stopped", **stop_words(reason), finished_at=store.now())
    else:
        move(store, task, "stopping")
    return store.tasks.get(task.id) or task


def with_node(task: TaskRecord, node: int) -> TaskRecord:
    """Return a task that has the node.

    Raises
    ------
    NotFound
        It has fewer.
    """
    if node >= task.nodes:
        raise NotFound(
            f"The task {task.name!r} runs on {task.nodes} nodes, counted from 0; it has no node {node}.",
            code="no_such_node",
        )
    return task


def stop_words(reason: str) -> dict[str, str]:
    """Return reason and message of a stopped task."""
    if reason == "platform_down":
        return {
            "reason": "platform_down",
            "message": "The platform was shut down (`kpl-lab down`) while it ran. Submit it again.",
        }
    if reason == "self":
        return {"reason": "stopped_itself", "message": "The program ended itself with kill()."}
    return {"reason": "stopped", "message": "It was stopped by its user."}


def update(store: Store, task: TaskRecord, request: TaskUpdate) -> TaskRecord:
    """Change what is said about a task; ``start`` sends a draft off.

    Raises
    ------
    Conflict
        ``start`` of something that is no draft.
    """
    values = request.model_dump(exclude_none=True, exclude={"start"})
    if "name" in values:
        values["name"] = check_name(values["name"])
    if values:
        store.tasks.update(task.id, **values, updated_at=store.now())
        store.events.write(access.subject("tasks", task), "updated")
    if request.start and not (task.state == "draft" and move(store, task, "queued")):
        raise Conflict(
            f"The task {task.name!r} is {task.state}; only a draft can be started.",
            code="not_a_draft",
        )
    return store.tasks.get(task.id) or task


def delete(store: Store, context: Context, task: TaskRecord) -> None:
    """Ask for a task and all its traces to vanish; one that never ran does so at once."""
    del context
    store.tasks.update(task.id, desired="delete", updated_at=store.now())
    store.events.write(access.subject("tasks", task), "updated")


def end(store: Store, task: TaskRecord, state: TaskState, explanation: Explanation | None) -> bool:
    """Put a task into its final state and end its token; repeatable."""
    values: dict[str, Any] = {"finished_at": store.now(), "message": None}
    if state is TaskState.STOPPED:
        values |= stop_words(task.stop_reason or "user")
    elif explanation is not None:
        values |= {"reason": explanation.reason, "message": explanation.message}
        values["ending"] = {
            **(task.ending or {}),
            "remedy": explanation.remedy.model_dump(),
        }
    if state is TaskState.SUCCEEDED:
        values["progress"] = 1.0
    auth.revoke(store, "task", task.id)
    return move(store, task, state.value, **values)


def wait_again(store: Store, task: TaskRecord) -> bool:
    """Put a task that found no room after all back into the queue; its token ends."""
    auth.revoke(store, "task", task.id)
    return move(store, task, "queued", handle=None)


def fail_for_build(store: Store, task: TaskRecord, message: str | None) -> bool:
    """End a queued task whose environment could not be built; repeatable."""
    return move(
        store, task, "failed", reason="build_failed", message=message, finished_at=store.now()
    )


def end_as_noted(store: Store, task: TaskRecord, ending: Mapping[str, Any]) -> bool:
    """Put a task into the final state that was noted when its command ended; repeatable."""
    state = TaskState(ending["state"])
    why = ending.get("why")
    if state is not TaskState.FAILED or not why:
        return end(store, task, state, None)
    auth.revoke(store, "task", task.id)
    return move(
        store,
        task,
        "failed",
        reason=why["reason"],
        message=why["message"],
        finished_at=store.now(),
    )
