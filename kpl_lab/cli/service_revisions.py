"""``kpl service update``, ``traffic``, ``promote``, ``rollback``, ``drop``: revisions of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict, Unpack

import click

from kpl_lab.cli.options import (
    FOLDER,
    given,
    no_wait_option,
    resource_override,
    setting_options,
    timeout_option,
)
from kpl_lab.cli.progress import changes, transfer, waiting
from kpl_lab.cli.service_shown import SHOW, input_texts
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import INPUT, REFERENCE, merged
from kpl_lab.client.services import live_revision
from kpl_lab.schemas.services import RevisionCreate, RevisionRole, ServiceDetail
from kpl_lab.schemas.tasks import TaskInput

DEFAULT_TIMEOUT_SECONDS = 900.0


class UpdateOptions(TypedDict):
    """The options of ``kpl service update``, as click hands them over."""

    model: str | None
    algorithm: str | None
    code: Path | None
    inputs: tuple[TaskInput, ...]
    parameters: tuple[tuple[str, Any], ...]
    environment: tuple[tuple[str, str], ...]
    cpu: float | None
    memory: int | None
    gpu: int | None
    pool: str | None
    weight: int
    promote: bool


def _candidate(service: ServiceDetail) -> int | None:
    """Return the number of the candidate; it may have been promoted by now."""
    roles = {one.role: one.number for one in service.revisions}
    return roles.get(RevisionRole.CANDIDATE, roles.get(RevisionRole.CURRENT))


def _settle(session: Session, service: ServiceDetail, *, wait: bool, timeout: float | None) -> None:
    """Wait until the candidate is ready, or promoted where it is to be; then show the service."""
    number = _candidate(service)
    if wait and number is not None:
        tell = changes(session, f"revision {number} of service {service.name!r}")

        def on_look(found: ServiceDetail) -> None:
            one = live_revision(found, number)
            words = f"{one.state.value}, {one.ready}/{one.replicas} ready" if one else "gone"
            say(words)
            tell(words)

        with waiting(session, f"Starting revision {number} of {service.name}") as say:
            service = session.client.services.wait_revision(
                service.id,
                number,
                timeout_seconds=timeout or DEFAULT_TIMEOUT_SECONDS,
                on_look=on_look,
            )
    session.show(service, SHOW)


@click.command("update")
@click.argument("ref", metavar="NAME")
@click.option("--model", type=REFERENCE, metavar="NAME[:VERSION]", help="Fills the model input.")
@click.option("--algorithm", type=REFERENCE, metavar="NAME[:VERSION]", help="Published algorithm.")
@click.option("--code", type=FOLDER, help="Code folder to pack and run.")
@click.option("--input", "inputs", multiple=True, type=INPUT, help="What fills a further input.")
@setting_options
@click.option(
    "--weight", type=click.IntRange(0, 100), default=0, show_default=True,
    help="Percent of the calls that it gets.",
)  # fmt: skip
@click.option("--promote", is_flag=True, help="Make it the current one when it is ready.")
@no_wait_option
@timeout_option
@common_options
@pass_session
def update(
    session: Session,
    ref: str,
    no_wait: bool,
    timeout: float | None,
    **options: Unpack[UpdateOptions],
) -> None:
    """Start a candidate beside what runs; what is not given stays as it is."""
    if options["code"] is not None and options["algorithm"] is not None:
        raise click.UsageError("Name the code once: --algorithm NAME[:VERSION] or --code DIR.")
    inputs = merged(input_texts(options["inputs"]), "--input")
    fields = given(
        model=options["model"],
        algorithm=options["algorithm"],
        inputs=inputs or None,
        parameters=merged(options["parameters"], "--param"),
        environment=merged(options["environment"], "--env"),
        resources=resource_override(options["cpu"], options["memory"], options["gpu"]),
        pool=options["pool"],
        weight=options["weight"],
        promote=options["promote"],
    )
    body = RevisionCreate.model_validate(fields)
    with transfer(session, "Sending the code") as on_progress:
        revised = session.client.services.revise(
            ref, body, options["code"], on_progress=on_progress
        )
    _settle(session, revised, wait=not no_wait, timeout=timeout)


@click.command("traffic")
@click.argument("ref", metavar="NAME")
@click.argument("weight", metavar="PERCENT", type=click.IntRange(0, 100))
@common_options
@pass_session
def traffic(session: Session, ref: str, weight: int) -> None:
    """Set how many percent of the calls go to the candidate."""
    session.show(session.client.services.set_traffic(ref, weight), SHOW)


@click.command("promote")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def promote(session: Session, ref: str) -> None:
    """Make the candidate the current revision, without an outage."""
    session.show(session.client.services.promote(ref), SHOW)


@click.command("rollback")
@click.argument("ref", metavar="NAME")
@no_wait_option
@timeout_option
@common_options
@pass_session
def rollback(session: Session, ref: str, no_wait: bool, timeout: float | None) -> None:
    """Bring the previous revision back, without an outage."""
    started = session.client.services.roll_back(ref)
    _settle(session, started, wait=not no_wait, timeout=timeout)


@click.command("drop")
@click.argument("ref", metavar="NAME")
@click.option("--previous", is_flag=True, help="Forget the previous revision instead.")
@common_options
@pass_session
def drop(session: Session, ref: str, previous: bool) -> None:
    """End the candidate; the current revision goes on."""
    role = RevisionRole.PREVIOUS if previous else RevisionRole.CANDIDATE
    session.show(session.client.services.drop_revision(ref, role), SHOW)
