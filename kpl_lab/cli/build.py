"""``kpl build``: list, show, logs, stop."""

from __future__ import annotations

import click

from kpl_lab.cli.logs import show_log
from kpl_lab.cli.options import alias_of, list_options, no_wait_option
from kpl_lab.cli.output import Column, age_text, state_text
from kpl_lab.cli.progress import waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.client.builds import ENDED
from kpl_lab.client.resources import EndedBadly
from kpl_lab.schemas.builds import BuildState, BuildView

LIST = (
    Column("ID", "id"),
    Column("IMAGE", "name"),
    Column("STATE", text=state_text),
    Column("FROM", "kind"),
    Column("OWNER", "owner"),
    Column("CREATED", "created_at", age_text),
)
SHOW = (
    *LIST,
    Column("ENDED", "finished_at", age_text),
    Column("SENT TO", "pushed_to"),
    Column("WHY", "message"),
)


@click.group("build")
def build() -> None:
    """Makings of environments and images; `kpl image build` begins one."""


@build.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List your builds, newest first."""
    items = session.client.builds.list(limit=limit, search=search)
    session.show_list(items, LIST, "No builds yet; begin one: `kpl image build -t NAME DIR`.")


@build.command("show")
@click.argument("ref", metavar="ID", type=int)
@common_options
@pass_session
def show(session: Session, ref: int) -> None:
    """Show one build."""
    session.show(session.client.builds.get(ref), SHOW)


@build.command("logs")
@click.argument("ref", metavar="ID", type=int)
@click.option("--follow", "-f", is_flag=True, help="Go on until the build has ended.")
@common_options
@pass_session
def logs(session: Session, ref: int, follow: bool) -> None:
    """Print what a build printed."""
    builds = session.client.builds
    show_log(session, builds.follow_log(ref) if follow else builds.read_log(ref))


build.add_command(alias_of(logs), "log")


@build.command("stop")
@click.argument("ref", metavar="ID", type=int)
@no_wait_option
@common_options
@pass_session
def stop(session: Session, ref: int, no_wait: bool) -> None:
    """Stop the making of an image; what was made stays in the builder's cache."""
    builds = session.client.builds
    found = builds.stop(ref)
    if not no_wait and found.state not in ENDED:
        with waiting(session, f"Stopping build {ref}"):
            try:
                found = builds.wait(found)
            except EndedBadly as ended:
                found = BuildView.model_validate(ended.resource)
                if found.state is not BuildState.STOPPED:
                    raise
    session.show(found, SHOW)
