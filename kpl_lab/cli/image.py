"""``kpl image``: list, show, register, set, look, delete."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import click
from pydantic import ValidationError

from kpl_lab.cli.options import delete_options, delete_thing, given, list_options, no_wait_option
from kpl_lab.cli.output import Column, age_text, bytes_text, state_text
from kpl_lab.cli.progress import waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.cli.values import NEW_NAME, PAIR
from kpl_lab.schemas.common import Resources, Visibility
from kpl_lab.schemas.images import Credentials, ImageCreate, ImageUpdate

P = ParamSpec("P")
R = TypeVar("R")


def _versions_text(versions: Mapping[str, str]) -> str:
    """Return the two that matter most, which the catalog names first."""
    return ", ".join(f"{name} {number}" for name, number in list(versions.items())[:2]) or "-"


def _packages_text(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(packages.items())) or "-"


def _words(words: list[str]) -> str:
    return ", ".join(words) or "-"


LIST = (
    Column("NAME", "name"),
    Column("STATE", text=state_text),
    Column("TITLE", "title"),
    Column("FOR", "accelerator", str.upper),
    Column("VERSIONS", "versions", _versions_text),
    Column("ALSO", "aliases", _words),
)
SHOW = (
    *LIST[:1],
    Column("ID", "id"),
    *LIST[1:4],
    Column("ALSO", "aliases", _words),
    Column("REFERENCE", "reference"),
    Column("DIGEST", "digest"),
    Column("MACHINE", "architecture"),
    Column("SIZE", "size_bytes", bytes_text),
    Column("FROM", "source"),
    Column("OWNER", "owner"),
    Column("VISIBLE", "visibility"),
    Column("GROUPS", "groups", _words),
    Column("SERVERS", "serves_notebooks", lambda yes: "yes" if yes else "no: it has no JupyterLab"),
    Column("ABOUT", "description"),
    Column("READ", "documentation"),
    Column("PACKAGES", "packages", _packages_text),
    Column("CREATED", "created_at", age_text),
    Column("WHY", "message"),
)


def _resources(option: str, pairs: tuple[tuple[str, str], ...]) -> Resources | None:
    """Return what ``--default`` or ``--max`` says; all four, since one left out would be a limit too."""
    if not pairs:
        return None
    if {key for key, _ in pairs} != set(Resources.model_fields):
        raise click.UsageError(f"Give {option} for each of {', '.join(Resources.model_fields)}.")
    try:
        return Resources.model_validate(dict(pairs))
    except ValidationError as error:
        first = error.errors()[0]
        raise click.UsageError(f"{option} {first['loc'][0]}: {first['msg']}.") from error


def facts_options(function: Callable[P, R]) -> Callable[P, R]:
    """What may be said about an image."""
    options: tuple[Callable[[Callable[P, R]], Callable[P, R]], ...] = (
        click.option("--password-stdin", is_flag=True, help="Read the password from stdin."),
        click.option("--username", metavar="NAME", help="Who the registry lets in."),
        click.option(
            "--env", "variables", multiple=True, type=PAIR, help="Set in all that starts from it."
        ),
        click.option(
            "--max",
            "max_resources",
            multiple=True,
            type=PAIR,
            help="The most a server may get: cpu=CORES memory=MIB gpu=N shm=MIB.",
        ),
        click.option(
            "--default",
            "default_resources",
            multiple=True,
            type=PAIR,
            help="What a server gets by default: cpu=CORES memory=MIB gpu=N shm=MIB.",
        ),
        click.option("--group", "groups", multiple=True, help="Only for members of this group."),
        click.option(
            "--visibility",
            type=click.Choice([str(v) for v in Visibility]),
            help="Who may use it; presets are for administrators to make.",
        ),
        click.option("--alias", "aliases", multiple=True, help="A further name, as from_image."),
        click.option("--icon", metavar="SIGN", help="In place of the framework's first letter."),
        click.option(
            "--accelerator", type=click.Choice(["cpu", "gpu"]), help="What it is made for."
        ),
        click.option("--framework", metavar="NAME", help="What its card names first."),
        click.option("--documentation", metavar="URL", help="A page to read."),
        click.option("--description", metavar="TEXT", help="A line about it."),
        click.option("--title", metavar="TEXT", help="What its card says."),
    )
    for option in options:
        function = option(function)
    return function


def facts_of(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a request from the options of ``facts_options``."""
    username, is_read = values.pop("username"), values.pop("password_stdin")
    if bool(username) != is_read:
        raise click.UsageError("Give --username and --password-stdin together.")
    found = given(
        **values
        | {
            "groups": [*values["groups"]],
            "aliases": [*values["aliases"]],
            "variables": dict(values["variables"]),
            "default_resources": _resources("--default", values["default_resources"]),
            "max_resources": _resources("--max", values["max_resources"]),
        }
    )
    if username:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise click.UsageError("There is no password on stdin.")
        found["credentials"] = Credentials(username=username, password=password)
    return found


@click.group("image")
def image() -> None:
    """What notebook servers, tasks, services and builds start from."""


@image.command("list")
@list_options
@common_options
@pass_session
def list_(session: Session, limit: int, search: str | None) -> None:
    """List the catalog: the administrator's images first."""
    items = session.client.images.list(limit=limit, search=search)
    problem = session.client.images.catalog().problem
    if problem:
        session.warn([f"The administrator's catalog file cannot be used: {problem}"])
    session.show_list(items, LIST, "The catalog is empty; an administrator keeps it.")


@image.command("show")
@click.argument("ref", metavar="NAME")
@common_options
@pass_session
def show(session: Session, ref: str) -> None:
    """Show one image with everything that is in it."""
    session.show(session.client.images.get(ref), SHOW)


@image.command("register")
@click.argument("name", type=NEW_NAME)
@click.argument("reference")
@facts_options
@no_wait_option
@common_options
@pass_session
def register(session: Session, /, name: str, reference: str, no_wait: bool, **values: Any) -> None:  # noqa: ANN401 - the shared options
    """Add an image that is there already: REFERENCE is as `docker pull` takes it.

    On the local engine it is the folder of a Python environment, and an administrator names it.
    """
    images = session.client.images
    body = ImageCreate(name=name, reference=reference, **facts_of(values))
    made = images.register(body, wait=False)
    if not no_wait:
        with waiting(session, f"Looking at {reference}"):
            made = images.wait_ready(made.id)
    session.show(made, SHOW)


@image.command("set")
@click.argument("ref", metavar="NAME")
@click.option("--online/--offline", default=None, help="Whether anything may start from it.")
@facts_options
@common_options
@pass_session
def set_(session: Session, /, ref: str, online: bool | None, **values: Any) -> None:  # noqa: ANN401 - the shared options
    """Change what is said about an image, who may use it, or whether anybody may."""
    changes = facts_of(values) | ({} if online is None else {"online": online})
    if not changes:
        raise click.UsageError("Say what is to change; `kpl image set --help` lists it.")
    session.show(session.client.images.update(ref, ImageUpdate(**changes)), SHOW)


@image.command("look")
@click.argument("ref", metavar="NAME")
@no_wait_option
@common_options
@pass_session
def look(session: Session, ref: str, no_wait: bool) -> None:
    """Look again at what an image holds: what could not be had, or has changed since."""
    found = session.client.images.look(ref, wait=False)
    if not no_wait:
        with waiting(session, f"Looking at {found.reference}"):
            found = session.client.images.wait_ready(found.id)
    session.show(found, SHOW)


@image.command("delete")
@click.argument("ref", metavar="NAME")
@delete_options
@common_options
@pass_session
def delete(session: Session, ref: str, no_wait: bool, yes: bool) -> None:
    """Take an image out of the catalog; what runs goes on."""
    delete_thing(session, session.client.images, ref, wait=not no_wait, sure=yes)
