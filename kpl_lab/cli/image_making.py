"""``kpl image build|load|save``: images that are made here rather than found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypedDict, TypeVar, cast

import click

from kpl_lab.cli.build import SHOW as SHOW_BUILD
from kpl_lab.cli.image import SHOW, facts_of, facts_options
from kpl_lab.cli.logs import show_build_log
from kpl_lab.cli.options import FOLDER, given, no_wait_option
from kpl_lab.cli.progress import transfer, waiting
from kpl_lab.cli.session import Interrupted, Session, common_options, pass_session
from kpl_lab.cli.values import NEW_NAME, PAIR, TAGGED, Parsed, merged
from kpl_lab.client.build_material import Material, file_of, material_of
from kpl_lab.client.environment import unsaved_here
from kpl_lab.client.uploads import source_of
from kpl_lab.errors import Invalid
from kpl_lab.schemas.builds import BuildCreate, BuildView, PushTarget

P = ParamSpec("P")
R = TypeVar("R")


def _parse_secret(text: str) -> tuple[str, str]:
    """Read ``id=NAME,src=FILE`` or ``id=NAME,env=VARIABLE``, as ``docker build`` takes it."""
    parts = dict(one.partition("=")[::2] for one in text.split(","))
    name = parts.get("id", "")
    source, variable = parts.get("src") or parts.get("source"), parts.get("env")
    if not name or set(parts) - {"id", "src", "source", "env", "type"}:
        raise Invalid("Write a secret as id=NAME,src=FILE or id=NAME,env=VARIABLE.")
    if source:
        try:
            return name, Path(source).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"The secret {name} cannot be read from {source}: {error}.") from error
    value = os.environ.get(variable or name)
    if value is None:
        raise Invalid(
            f"The secret {name} is in no file, and there is no variable {variable or name}."
        )
    return name, value


SECRET = Parsed("id=NAME,src=FILE", _parse_secret)


class BuildOptions(TypedDict):
    """The options of ``kpl image build`` that say what is built."""

    file: Path | None
    arguments: tuple[tuple[str, str], ...]
    secrets: tuple[tuple[str, str], ...]
    target: str | None
    no_cache: bool
    base: str | None


def _made_options(function: Callable[P, R]) -> Callable[P, R]:
    """What all that make images share."""
    push = click.option("--push", metavar="HOST/NAME:TAG", help="Send it to a registry too.")
    return push(facts_options(no_wait_option(common_options(function))))


def _made_facts(values: dict[str, Any], push: str | None) -> dict[str, Any]:
    """Return what the shared options say of an image, and where it is sent."""
    facts = facts_of(values)
    credentials = facts.pop("credentials", None)
    if credentials and not push:
        raise click.UsageError("--username is for --push.")
    return facts | ({"push": PushTarget(reference=push, credentials=credentials)} if push else {})


def _file_of(folder: Path, file: Path | None) -> Path:
    """Return the file to build from: the named one, here or in the folder, or one of the usual."""
    if file is None:
        return file_of(folder)
    found = file if file.is_file() else folder / file
    if not found.is_file():
        raise Invalid(f"There is no file {file}; check -f.", code="no_file")
    return found


def _fields(path: Path, options: BuildOptions) -> dict[str, Any]:
    """Return what the options say of a file, or refuse those that it has no use for."""
    is_lines = path.suffix in (".yml", ".yaml", ".txt")
    if is_lines and any(options[key] for key in ("arguments", "secrets", "target", "no_cache")):
        raise click.UsageError(
            "--build-arg, --secret, --target and --no-cache are for Dockerfiles."
        )
    if options["base"] and path.suffix != ".txt":
        raise click.UsageError("--from is for requirements; other files name what they stand on.")
    if is_lines:
        return given(base=options["base"])
    more = {
        "arguments": merged(options["arguments"], "--build-arg"),
        "secrets": merged(options["secrets"], "--secret"),
        "target": options["target"],
        "use_cache": not options["no_cache"],
    }
    return {"dockerfile": more}


def _make(session: Session, material: Material, words: str) -> BuildView:
    """Send what is to be sent, and order the image."""
    with transfer(session, words) as on_progress:
        return material.send(session.client, on_progress)


def _follow(session: Session, made: BuildView, *, no_wait: bool) -> None:
    """Show the log until the image can be used; Ctrl-C stops the build."""
    builds = session.client.builds
    if no_wait:
        session.show(made, SHOW_BUILD)
        return
    session.say(f"Build {made.id} of {made.name}; Ctrl-C stops it.")
    try:
        show_build_log(session, builds.follow_log(made.id))
        ended = builds.wait(made)
    except KeyboardInterrupt:
        builds.stop(made.id)
        raise Interrupted(f"build {made.id} is being stopped.") from None
    with waiting(session, f"Looking at {made.name}"):
        found = session.client.images.wait_ready(ended.image_id or made.name)
    session.show(found, SHOW)


@click.command("build")
@click.argument("folder", metavar="[DIR]", type=FOLDER, default=".")
@click.option(
    "-t",
    "--tag",
    "name",
    type=TAGGED,
    required=True,
    help="Name in the catalog; NAME:TAG becomes NAME-TAG, and NAME:latest NAME.",
)
@click.option(
    "-f",
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Dockerfile, environment.yml or requirements.txt; default: the first of them in DIR.",
)
@click.option("--build-arg", "arguments", multiple=True, type=PAIR, help="Value of an ARG.")
@click.option(
    "--secret", "secrets", multiple=True, type=SECRET, help="For RUN --mount=type=secret."
)
@click.option("--target", metavar="STAGE", help="Stop at this stage.")
@click.option("--no-cache", is_flag=True, help="Run every step anew.")
@click.option("--from", "base", metavar="IMAGE", help="What requirements stand on.")
@_made_options
@pass_session
def build(
    session: Session,
    /,
    folder: Path,
    name: str,
    push: str | None,
    no_wait: bool,
    **values: Any,  # noqa: ANN401 - the shared options
) -> None:
    """Build an image in the platform and put it into the catalog.

    DIR is sent without what .dockerignore names. --username and --password-stdin are for --push.
    """
    options = cast(BuildOptions, {key: values.pop(key) for key in BuildOptions.__annotations__})
    facts = _made_facts(values, push)
    path = _file_of(folder, options["file"])
    fields = {"name": name, **_fields(path, options), **facts}
    material = material_of(path, fields, context=folder)
    made = _make(session, material, f"Sending {folder.resolve().name}")
    _follow(session, made, no_wait=no_wait)


@click.command("load")
@click.argument("name", type=NEW_NAME)
@click.argument(
    "archive", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@_made_options
@pass_session
def load(
    session: Session,
    /,
    name: str,
    archive: Path,
    push: str | None,
    no_wait: bool,
    **values: Any,  # noqa: ANN401 - the shared options
) -> None:
    """Put an image into the catalog that `docker save` has written to FILE.

    --username and --password-stdin are for --push.
    """
    facts = _made_facts(values, push)
    material = Material(BuildCreate(name=name, archive=0, **facts), source_of(archive))
    _follow(session, _make(session, material, f"Sending {archive.name}"), no_wait=no_wait)


@click.command("save")
@click.argument("name", type=NEW_NAME)
@_made_options
@pass_session
def save(session: Session, /, name: str, push: str | None, no_wait: bool, **values: Any) -> None:  # noqa: ANN401 - the shared options
    """Make an image of this notebook server: its image and what was installed since its start.

    Run it in a terminal of the server. Files of the home are not part of it; they are there anyway.
    --username and --password-stdin are for --push.
    """
    facts = _made_facts(values, push)
    found = unsaved_here(session.client)
    added = found.requirements
    session.say(f"{len(added)} packages beyond {found.image}: {', '.join(added)}")
    body = BuildCreate(
        name=name, server=found.server, requirements="\n".join(added) + "\n", **facts
    )
    _follow(session, session.client.builds.create(body), no_wait=no_wait)
