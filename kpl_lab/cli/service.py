"""``kpl service``: deploy, list, show, logs, scale, stop, start, delete; the others have their own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

import click

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
from kpl_lab.cli.progress import changes, transfer, waiting
from kpl_lab.cli.service_call import call
from kpl_lab.cli.service_revisions import drop, promote, rollback, traffic, update
from kpl_lab.cli.service_shown import LIST, SHOW, input_texts, ready_text
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import INPUT, NEW_NAME, REFERENCE, merged
from kpl_lab.schemas.services import (
    RevisionRole,
    ServiceCreate,
    ServiceDetail,
    ServiceState,
    ServiceUpdate,
)
from kpl_lab.schemas.tasks import TaskInput

DEFAULT_TIMEOUT_SECONDS = 900.0


class DeployOptions(TypedDict):
    """The options of ``kpl service deploy``, as click hands them over."""

    model: str | None
    algorithm: str | None
    code: Path | None
    replicas: int
    inputs: tuple[TaskInput, ...]
    parameters: tuple[tuple[str, Any], ...]
    environment: tuple[tuple[str, str], ...]
    cpu: float | None
    memory: int | None
    gpu: int | None
    pool: str | None
    access: str | None
    description: str


@click.group("service")
def service() -> None:
    """Models that answer behind a stable address."""


for _command in (call, update, traffic, promote, rollback, drop):
    service.add_command(_command)


@service.command("deploy")
@click.argument("name", type=NEW_NAME)
@click.option("--model", type=REFERENCE, metavar="NAME[:VERSION]", help="Fills the model input.")
@click.option("--algorithm", type=REFERENCE, metavar="NAME[:VERSION]", help="Published algorithm.")
@click.option("--code", type=FOLDER, help="Code folder to pack and run.")
@click.option(
    "--replicas", type=click.IntRange(1, 64), default=1, show_default=True, help="How many."
)
@click.option("--input", "inputs", multiple=True, type=INPUT, help="What fills a further input.")
@setting_options
@click.option(
    "--access", type=click.Choice(["private", "workspace", "public"]), help="Who may call it."
)
@click.option("--description", default="", help="What it does.")
@no_wait_option
@timeout_option
@common_options
@pass_session
def deploy(
    session: Session,
    name: str,
    no_wait: bool,
    timeout: float | None,
    **options: Unpack[DeployOptions],
) -> None:
    """Deploy a model with the deploy function of an algorithm or a code folder."""
    code, algorithm = options["code"], options["algorithm"]
    if (code is None) == (algorithm is None):
        raise click.UsageError("Name the code: either --algorithm NAME[:VERSION] or --code DIR.")
    body = _service_create(name, options)
    with transfer(session, "Sending the code") as on_progress:
        deployed = session.client.services.deploy(body, code, on_progress=on_progress)
    session.warn(deployed.notices)
    _settle(session, deployed, wait=not no_wait, timeout=timeout)


def _service_create(name: str, options: DeployOptions) -> ServiceCreate:
    fields = given(
        model=options["model"],
        algorithm=options["algorithm"],
        inputs=merged(input_texts(options["inputs"]), "--input"),
        parameters=merged(options["parameters"], "--param"),
        environment=merged(options["environment"], "--env"),
        resources=resource_override(options["cpu"], options["memory"], options["gpu"]),
        pool=options["pool"],
        access=options["access"],
        description=options["description"],
    )
    return ServiceCreate.model_validate({"name": name, "replicas": options["replicas"], **fields})


def _settle(session: Session, service: ServiceDetail, *, wait: bool, timeout: float | None) -> None:
    """Wait until as many replicas are ready as are wanted, then show the service."""
    if wait:
        tell = changes(session, f"service {service.name!r}")

        def on_look(found: ServiceDetail) -> None:
            words = f"{found.state.value}, {ready_text(found)} ready"
            say(words)
            tell(words)

        with waiting(session, f"Starting {service.name}") as say:
            service = session.client.services.wait_ready(
                service.id,
                timeout_seconds=timeout or DEFAULT_TIMEOUT_SECONDS,
                on_look=on_look,
            )
    session.show(service, SHOW)


@service.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List services, newest first."""
    items = session.client.services.list(limit=limit, search=search)
    session.show_list(items, LIST, "No services yet; start one with `kpl service deploy`.")


@service.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one service: address, replicas, and why it failed if it did."""
    session.show(session.client.services.get(ref), SHOW)


@service.command("logs")
@click.argument("ref", metavar="NAME")
@click.option("--replica", type=click.IntRange(min=0), default=0, show_default=True, help="Which.")
@click.option("--candidate", is_flag=True, help="That of the candidate.")
@common_options
@pass_session
def logs(session: Session, ref: str, replica: int, candidate: bool) -> None:
    """Print what one replica printed."""
    services = session.client.services
    found = services.get(ref)
    revision = RevisionRole.CANDIDATE if candidate else RevisionRole.CURRENT
    page = services.log(found.id, replica=replica, revision=revision)
    text = [page.text]
    while page.next_offset > page.offset and not page.complete:
        page = services.log(found.id, replica=replica, offset=page.next_offset, revision=revision)
        text.append(page.text)
    if session.json:
        session.show_json({**page.model_dump(), "text": "".join(text), "offset": 0})
    else:
        click.echo("".join(text), nl=False)


service.add_command(alias_of(logs), "log")


@service.command("scale")
@click.argument("ref", metavar="NAME")
@click.argument("count", metavar="[REPLICAS]", type=click.IntRange(1, 64), required=False)
@click.option("--replicas", type=click.IntRange(1, 64), help="How many; the same as REPLICAS.")
@no_wait_option
@timeout_option
@common_options
@pass_session
def scale(
    session: Session, /, ref: str, no_wait: bool, timeout: float | None, **numbers: int
) -> None:
    """Run more or fewer replicas."""
    named = {number for number in numbers.values() if number is not None}
    if len(named) != 1:
        raise click.UsageError("Say once how many replicas: `kpl service scale NAME 3`.")
    update = ServiceUpdate(replicas=named.pop())
    scaled = session.client.services.update(ref, update)
    if scaled.state is ServiceState.STOPPED:
        session.say(f"It is stopped; it will start with {scaled.replicas}.")
    is_awaited = not no_wait and scaled.state is not ServiceState.STOPPED
    _settle(session, scaled, wait=is_awaited, timeout=timeout)


@service.command("stop")
@click.argument("ref", metavar="NAME")
@no_wait_option
@timeout_option
@common_options
@pass_session
def stop(session: Session, ref: str, no_wait: bool, timeout: float | None) -> None:
    """Stop all replicas; the address is kept."""
    stopped = session.client.services.update(ref, ServiceUpdate(running=False))
    if not no_wait:
        with waiting(session, f"Stopping {stopped.name}"):
            stopped = session.client.services.wait_stopped(stopped.id, timeout_seconds=timeout)
    session.show(stopped, SHOW)


@service.command("start")
@click.argument("ref", metavar="NAME")
@no_wait_option
@timeout_option
@common_options
@pass_session
def start(session: Session, ref: str, no_wait: bool, timeout: float | None) -> None:
    """Start a stopped service at its old address."""
    started = session.client.services.update(ref, ServiceUpdate(running=True))
    _settle(session, started, wait=not no_wait, timeout=timeout)


@service.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Delete a service with its address."""
    delete_thing(session, session.client.services, ref, wait=not no_wait, sure=yes)
