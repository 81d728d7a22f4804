"""Options and steps that several nouns share."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from kpl_lab.cli.output import Column, bytes_text
from kpl_lab.cli.progress import transfer, waiting
from kpl_lab.cli.session import Session
from kpl_lab.cli.values import PAIR, PARAMETER
from kpl_lab.client.resources import Resource
from kpl_lab.client.versioned import Versioned
from kpl_lab.schemas.common import ResourceView
from kpl_lab.schemas.tasks import ResourceOverride

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V", bound=ResourceView)
D = TypeVar("D", bound=ResourceView)
Function = Callable[P, R]

FOLDER = click.Path(exists=True, file_okay=False, readable=True, path_type=Path)

_DOWNLOADED = (
    Column("NAME", "name"),
    Column("PATH", "path"),
    Column("FILES", "files"),
    Column("SIZE", "bytes", bytes_text),
)
_DELETED = (
    Column("NAME", "name"),
    Column("ID", "id"),
    Column("STATE", "state"),
)


def alias_of(command: click.Command) -> click.Command:
    """Return ``command`` for a second name, which help does not list."""
    twin = copy.copy(command)
    twin.hidden = True
    return twin


def source_option(function: Callable[P, R]) -> Callable[P, R]:
    """``--from PATH``: what is read here and sent."""
    return click.option(
        "--from",
        "source",
        required=True,
        type=click.Path(exists=True, readable=True, path_type=Path),
        help="Folder, archive (tar, tar.gz, zip) or file to send.",
    )(function)


def no_wait_option(function: Callable[P, R]) -> Callable[P, R]:
    """``--no-wait``: return as soon as the platform has understood."""
    return click.option("--no-wait", is_flag=True, help="Return at once, not when it is done.")(
        function
    )


def timeout_option(function: Callable[P, R]) -> Callable[P, R]:
    """``--timeout SECONDS``: how long to wait at most."""
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Wait at most so long; what was asked for goes on.",
    )(function)


def list_options(function: Callable[P, R]) -> Callable[P, R]:
    """``--limit`` and ``--search``."""
    function = click.option("--search", metavar="TEXT", help="Only names that hold TEXT.")(function)
    return click.option(
        "--limit",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="At most so many.",
    )(function)


def download_options(function: Callable[P, R]) -> Callable[P, R]:
    """``--to FOLDER``."""
    return click.option(
        "--to",
        "target",
        type=click.Path(path_type=Path),
        help="New folder for it; default: its name, here.",
    )(function)


def delete_options(function: Callable[P, R]) -> Callable[P, R]:
    """``--no-wait`` and ``--yes``."""
    function = click.option("--yes", "-y", is_flag=True, help="Do not ask.")(function)
    return no_wait_option(function)


def resource_options(function: Callable[P, R]) -> Callable[P, R]:
    """``--pool``, and ``--cpu``, ``--memory``, ``--gpu``: ceilings in place of the declared ones."""
    options = (
        click.option("--pool", help="Resource pool (`kpl pool list`); default: your first."),
        click.option("--gpu", type=click.IntRange(min=0), help="GPUs."),
        click.option("--memory", type=click.IntRange(min=16), metavar="MB", help="Memory in MB."),
        click.option("--cpu", type=click.FloatRange(min=0, min_open=True), help="Cores."),
    )
    for option in options:
        function = option(function)
    return function


def setting_options(function: Callable[P, R]) -> Callable[P, R]:
    """``--param``, ``--env`` and the ceilings."""
    function = click.option(
        "--env",
        "environment",
        multiple=True,
        type=PAIR,
        help="A further environment variable.",
    )(resource_options(function))
    return click.option(
        "--param",
        "parameters",
        multiple=True,
        type=PARAMETER,
        help="A parameter in place of the one in parameter.yml; V is YAML.",
    )(function)


def resource_override(
    cpu: float | None, memory: int | None, gpu: int | None
) -> ResourceOverride | None:
    """Return the ceilings that were named, or None where none was."""
    named = {"cpu": cpu, "memory": memory, "gpu": gpu}
    given = {key: value for key, value in named.items() if value is not None}
    return ResourceOverride.model_validate(given) if given else None


def given(**values: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any create
    """Return what was named: neither None nor empty."""
    return {key: value for key, value in values.items() if value not in (None, [], {}, "")}


def download(
    session: Session, resource: Versioned[V, D], reference: str, target: Path | None
) -> None:
    """Download a version with a bar, and say where it lies."""
    with transfer(session, f"Downloading {reference}") as on_progress:
        folder = resource.download(reference, target, on_progress)
    files = [path for path in folder.rglob("*") if path.is_file()]
    session.show(
        {
            "name": reference,
            "path": str(folder.absolute()),
            "files": len(files),
            "bytes": sum(path.stat().st_size for path in files),
        },
        _DOWNLOADED,
    )


def delete_thing(
    session: Session, resource: Resource[V, D], ref: str, *, wait: bool, sure: bool
) -> None:
    """Delete, after a question where a person is there to answer it."""
    noun = resource.noun.removesuffix("s")
    if not sure and not session.json and sys.stdin.isatty():
        found = resource.get(ref)
        click.confirm(
            f"Delete the {noun} {found.name!r} (id {found.id}) for good?", abort=True, err=True
        )
    with waiting(session, f"Deleting {ref}"):
        gone = resource.delete(ref, wait=wait)
    state = "deleted" if wait else "deleting"
    session.show({"id": gone.id, "name": gone.name, "state": state}, _DELETED)
