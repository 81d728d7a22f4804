"""``kpl image``: list."""

from __future__ import annotations

import click

from kpl_lab.cli.output import Column
from kpl_lab.cli.session import Session, common_options, pass_session

LIST = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("TITLE", "title"),
    Column("FOR", "accelerator", str.upper),
    Column("VERSIONS", "versions", lambda v: ", ".join(f"{k} {n}" for k, n in v.items()) or "-"),
    Column("ALSO", "aliases", lambda aliases: ", ".join(aliases) or "-"),
)


@click.group("image")
def image() -> None:
    """What notebook servers and tasks start from."""


@image.command("list")
@common_options
@pass_session
def list_(session: Session) -> None:
    """List the catalog."""
    session.show_list(session.client.images(), LIST, "The catalog is empty; an admin keeps it.")
