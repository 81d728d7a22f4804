"""``kpl image``: list."""

from __future__ import annotations

from collections.abc import Mapping

import click

from kpl_lab.cli.output import Column
from kpl_lab.cli.session import Session, common_options, pass_session


def _versions_text(versions: Mapping[str, str]) -> str:
    """Return the two that matter most, which the catalog names first."""
    return ", ".join(f"{name} {number}" for name, number in list(versions.items())[:2]) or "-"


LIST = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("TITLE", "title"),
    Column("FOR", "accelerator", str.upper),
    Column("VERSIONS", "versions", _versions_text),
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
