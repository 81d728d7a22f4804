"""``kpl algorithm``: publish, list, show, delete."""

from __future__ import annotations

from pathlib import Path

import click

from kpl_lab.cli.options import FOLDER, delete_options, delete_thing, list_options, no_wait_option
from kpl_lab.cli.output import Column, age_text, state_text
from kpl_lab.cli.progress import transfer, waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import NEW_NAME
from kpl_lab.client.algorithms import Algorithms
from kpl_lab.client.resources import EndedBadly
from kpl_lab.schemas.algorithms import AlgorithmDetail

LIST = (
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("VERSION", "version"),
    Column("FUNCTIONS", "functions", ", ".join),
    Column("CREATED", "created_at", age_text),
)


def _versions_text(detail: AlgorithmDetail) -> str:
    versions = sorted(detail.versions, key=lambda version: -version.number)
    return ", ".join(f"{v.number} {state_text(v)}" for v in versions) or "-"


SHOW = (
    *LIST[:1],
    Column("ID", "id"),
    *LIST[1:],
    Column("VERSIONS", text=_versions_text),
    Column("OWNER", "owner"),
    Column("VISIBLE", "visibility"),
    Column("ABOUT", "description"),
    Column("FILES", "files", lambda files: ", ".join(files[:20]) or "-"),
    Column("WHY", "message"),
)


@click.group("algorithm")
def algorithm() -> None:
    """Published code: checked, versioned, with an environment of its own."""


@algorithm.command("publish")
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--name", type=NEW_NAME, help="Default: the folder's name.")
@no_wait_option
@common_options
@pass_session
def publish(session: Session, folder: Path, name: str | None, no_wait: bool) -> None:
    """Publish a code folder; a name of yours gets its next version."""
    algorithms = session.client.algorithms
    with transfer(session, f"Sending {folder.name}") as on_progress:
        detail = algorithms.publish(folder, name, wait=False, on_progress=on_progress)
    session.warn(detail.notices)
    if not no_wait:
        detail = _build(session, algorithms, detail)
    session.show(detail, SHOW)


def _build(session: Session, algorithms: Algorithms, made: AlgorithmDetail) -> AlgorithmDetail:
    """Wait for the environment, with the build's log on stderr as it grows."""
    number = max(version.number for version in made.versions)
    offset = 0

    def tell(_: AlgorithmDetail) -> None:
        nonlocal offset
        if session.json:
            return
        page = algorithms.log(made.id, number, offset=offset)
        if page.text:
            click.echo(page.text, err=True, nl=False)
        offset = page.next_offset

    with waiting(session, f"Building the environment of {made.name}"):
        try:
            return algorithms.wait_ready(made, on_look=tell)
        except EndedBadly:
            tell(made)
            raise


@algorithm.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List algorithms, newest first."""
    items = session.client.algorithms.list(limit=limit, search=search)
    session.show_list(items, LIST, "No algorithms yet; publish one: `kpl algorithm publish DIR`.")


@algorithm.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one algorithm: functions, versions, files."""
    session.show(session.client.algorithms.get(ref), SHOW)


@algorithm.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Delete an algorithm with all its versions."""
    delete_thing(session, session.client.algorithms, ref, wait=not no_wait, sure=yes)
