"""``kpl task``: submit, list, show, logs, metrics, stop, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

import click

from kpl_lab.cli.logs import show_log
from kpl_lab.cli.options import (
    FOLDER,
    alias_of,
    delete_options,
    delete_thing,
    given,
    list_options,
    no_wait_option,
    resource_override,
    setting_options,
    timeout_option,
)
from kpl_lab.cli.output import (
    Column,
    age_text,
    duration_text,
    percent_text,
    remedy_text,
    state_text,
)
from kpl_lab.cli.progress import changes, left_alone, transfer, waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import INPUT, NEW_NAME, REFERENCE, SAVE_AS, merged
from kpl_lab.schemas.tasks import (
    SaveAs,
    TaskCreate,
    TaskDetail,
    TaskInput,
    TaskMetrics,
    TaskView,
)
from kpl_lab.wording import counted


def _progress_text(task: TaskView) -> str:
    if task.queue is not None:
        return task.queue.waiting_for
    if task.headline or task.progress is None:
        return task.headline or "-"
    left = f", {duration_text(task.seconds_left)} left" if task.seconds_left is not None else ""
    return percent_text(task.progress) + left


def _outputs_text(task: TaskDetail) -> str:
    # The start of one that did well may have been seen by nobody.
    has_run = task.started_at is not None or task.state == "succeeded"
    if task.finished_at is not None and not has_run:
        return "none: it never ran"
    words = [
        f"{o.key} → {o.name}" + (f":{o.version}" if o.version else "")
        if o.name and (o.version or not o.message)
        else f"{o.key} ({o.message or o.kind})"
        for o in task.outputs
    ]
    return ", ".join(words) or "-"


def _inputs_text(task: TaskDetail) -> str:
    words = [
        f"{i.key} ← {i.kind} {i.name}" + (f":{i.version}" if i.version else "") for i in task.inputs
    ]
    return ", ".join(words) or "-"


def _memory_text(task: TaskDetail) -> str:
    peak = task.usage.memory_peak if task.usage else None
    return f"{peak} of {task.resources.memory} MB at most" if peak is not None else "-"


def _processes_text(task: TaskDetail) -> str:
    return f"{task.nodes} nodes × {task.processes}" if task.nodes > 1 else str(task.processes)


LIST = (
    Column("ID", "id"),
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("PROGRESS", text=_progress_text),
    Column("CODE", text=lambda task: task.algorithm or task.code_name),
    Column("CREATED", "created_at", age_text),
)
SHOW = (
    Column("NAME", "name"),
    *LIST[:1],
    *LIST[2:],
    Column("FUNCTION", "function"),
    Column("COMMAND", "command"),
    Column("INPUTS", text=_inputs_text),
    Column("OUTPUTS", text=_outputs_text),
    Column("PARAMETERS", "parameters"),
    Column("PROCESSES", text=_processes_text),
    Column("POOL", "pool"),
    Column("MEMORY", text=_memory_text),
    Column("STARTED", "started_at", age_text),
    Column("ENDED", "finished_at", age_text),
    Column("EXIT CODE", "exit_code"),
    Column("NOTICES", "notices", lambda notices: "; ".join(notices) or "-"),
    Column("WHY", "message"),
    Column("DO", "remedy", remedy_text),
)


class SubmitOptions(TypedDict):
    """The options of ``kpl task submit``, as click hands them over."""

    code: Path | None
    algorithm: str | None
    function: str
    inputs: tuple[TaskInput, ...]
    parameters: tuple[tuple[str, Any], ...]
    environment: tuple[tuple[str, str], ...]
    save_as: tuple[SaveAs, ...]
    cpu: float | None
    memory: int | None
    gpu: int | None
    pool: str | None
    name: str | None
    description: str
    time_limit: int | None
    nodes: int | None
    processes: int | None
    launch: str | None
    priority: int | None


@click.group("task")
def task() -> None:
    """Runs of code: train, test, infer, compile."""


@task.command("submit")
@click.option("--code", type=FOLDER, help="Code folder to pack and run.")
@click.option("--algorithm", type=REFERENCE, metavar="NAME[:VERSION]", help="Published algorithm.")
@click.option(
    "--function",
    type=click.Choice(["train", "test", "infer", "compile"]),
    default="train",
    show_default=True,
    help="Which part of environment.yml.",
)
@click.option("--input", "inputs", multiple=True, type=INPUT, help="What fills an input.")
@setting_options
@click.option("--save-as", multiple=True, type=SAVE_AS, help="Where an output goes after success.")
@click.option("--name", type=NEW_NAME, help="Default: function and code.")
@click.option("--description", default="", help="What it is for.")
@click.option("--time-limit", type=click.IntRange(min=1), metavar="SECONDS", help="Ends it then.")
@click.option("--nodes", type=click.IntRange(min=1), help="Run on so many, each with the limits.")
@click.option("--processes", type=click.IntRange(min=1), help="On each node.")
@click.option(
    "--launch",
    type=click.Choice(["process", "node"]),
    help="Start the command once per process, or once per node (torchrun, mp.spawn). Default: what "
    "it looks like.",
)
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher ones start first.")
@click.option(
    "--wait", "wait_", is_flag=True, help="Return when it has ended; 1 unless it succeeded."
)
@timeout_option
@common_options
@pass_session
def submit(
    session: Session, wait_: bool, timeout: float | None, **options: Unpack[SubmitOptions]
) -> None:
    """Send a task off."""
    code, algorithm = options["code"], options["algorithm"]
    if (code is None) == (algorithm is None):
        raise click.UsageError("Name the code: either --code DIR or --algorithm NAME[:VERSION].")
    tasks = session.client.tasks
    with transfer(session, "Sending the code") as on_progress:
        submitted = tasks.submit(_task_create(options), code, on_progress=on_progress)
    session.warn(submitted.notices)
    if not wait_:
        session.show(submitted, SHOW)
        return
    tell = changes(session, f"task {submitted.id} {submitted.name!r}")

    def on_look(found: TaskDetail) -> None:
        say(f"{found.state.value} {_progress_text(found)}")
        # What keeps it from starting comes and goes, while its state stays the same.
        why = "" if found.state.is_final else found.message
        tell(f"{found.state.value}: {why}" if why else found.state.value)

    left = (
        f"Interrupted. The task {submitted.name!r} goes on; `kpl task show {submitted.id}` shows it, "
        f"`kpl task stop {submitted.id}` ends it."
    )
    with left_alone(left), waiting(session, f"Task {submitted.name} ({submitted.id})") as say:
        ended = tasks.wait(
            submitted.id,
            timeout_seconds=timeout,
            on_look=on_look,
        )
    session.show(tasks.succeeded(ended), SHOW)


def _task_create(options: SubmitOptions) -> TaskCreate:
    fields = given(
        algorithm=options["algorithm"],
        inputs=list(options["inputs"]),
        parameters=merged(options["parameters"], "--param"),
        environment=merged(options["environment"], "--env"),
        save_as=list(options["save_as"]),
        resources=resource_override(options["cpu"], options["memory"], options["gpu"]),
        pool=options["pool"],
        name=options["name"],
        description=options["description"],
        time_limit_seconds=options["time_limit"],
        nodes=options["nodes"],
        processes=options["processes"],
        launch=options["launch"],
        priority=options["priority"],
    )
    keys = [one.key for one in options["inputs"]]
    if len(set(keys)) < len(keys):
        raise click.UsageError("--input fills one key twice; which one is meant?")
    return TaskCreate.model_validate({"function": options["function"], **fields})


@task.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List tasks, newest first."""
    items = session.client.tasks.list(limit=limit, search=search)
    session.show_list(items, LIST, "No tasks yet; send one off with `kpl task submit`.")


@task.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one task: state, inputs, outputs, and why it failed if it did."""
    session.show(session.client.tasks.get(ref), SHOW)


@task.command("logs")
@click.argument("ref", metavar="NAME")
@click.option("--follow", "-f", is_flag=True, help="Go on until the task has ended.")
@click.option(
    "--node", type=click.IntRange(min=0), default=0, help="Of a task over several, from 0."
)
@common_options
@pass_session
def logs(session: Session, ref: str, follow: bool, node: int) -> None:
    """Print what a task printed."""
    tasks = session.client.tasks
    pages = tasks.follow_log(ref, number=node) if follow else tasks.read_log(ref, node=node)
    show_log(session, pages)


task.add_command(alias_of(logs), "log")


@task.command("metrics")
@click.argument("ref", metavar="NAME")
@click.option(
    "--points",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="At most so many points of a series.",
)
@common_options
@pass_session
def metrics(session: Session, ref: str, points: int) -> None:
    """Print progress, scalar results and curves."""
    found = session.client.tasks.metrics(ref, points=points)
    session.show(found, _metric_columns(found))


def _metric_columns(found: TaskMetrics) -> list[Column]:
    def fixed(title: str, text: str) -> Column:
        return Column(title, text=lambda _: text)

    columns = [fixed("PROGRESS", percent_text(found.progress))]
    columns += [fixed(name, str(value)) for name, value in found.scalars.items()]
    for figure in found.curves:
        for series in figure.series:
            last = series.y[-1] if series.y else None
            points = counted(series.total, "point")
            words = f"{points}, last {last:g}" if last is not None else "no points"
            columns.append(fixed(f"{figure.title} / {series.name}", words))
    columns += [fixed(curve.title, counted(len(curve.data), "point")) for curve in found.results]
    return columns


@task.command("stop")
@click.argument("ref", metavar="NAME")
@no_wait_option
@common_options
@pass_session
def stop(session: Session, ref: str, no_wait: bool) -> None:
    """Stop a task; what it wrote so far stays in its log and curves."""
    with waiting(session, f"Stopping {ref}"):
        stopped = session.client.tasks.stop(ref, wait=not no_wait)
    session.show(stopped, SHOW)


@task.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Delete a task with its log and curves; what it saved stays."""
    delete_thing(session, session.client.tasks, ref, wait=not no_wait, sure=yes)
