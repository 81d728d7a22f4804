"""``kpl server``: list, start, stop, history."""

from __future__ import annotations

import shlex

import click

from kpl_lab.cli.options import no_wait_option, resource_options
from kpl_lab.cli.output import Column, age_text, state_text, table_text
from kpl_lab.cli.progress import changes, left_alone, waiting
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.errors import Conflict, NotFound
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.servers import ServerView
from kpl_lab.wording import counted


def _resources_text(resources: Resources) -> str:
    gpu = f", {counted(resources.gpu, 'GPU')}" if resources.gpu else ""
    return f"{resources.cpu:g} CPU, {resources.memory} MB{gpu}"


LIST = (
    Column("NAME", "name", lambda name: name or "(default)"),
    Column("USER", "user"),
    Column("STATE", text=state_text),
    Column("IMAGE", "image"),
    Column("LIMITS", "resources", _resources_text),
    Column("DATASETS", "mounts", lambda m: ", ".join(f"{x.dataset}:{x.version}" for x in m) or "-"),
    Column("STARTED", "created_at", age_text),
)
SHOW = (
    *LIST,
    Column("POOL", "pool"),
    Column("ID", "id"),
    Column("URL", "url"),
    Column("WHY", "message"),
)

EVENTS = (
    Column("TIME", "time", lambda time: f"{time:%H:%M:%S}"),
    Column("LEVEL", "level"),
    Column("EVENT", "data", lambda data: str(data.get("event", "-"))),
    Column("WHAT IT MEANS", "message"),
)


def find_server(session: Session, name: str | None) -> ServerView:
    """Return the server that is meant: the named one, the one this runs in, or the only one.

    Raises
    ------
    NotFound
        None runs.
    Conflict
        Several run and none was named.
    """
    servers = session.client.servers
    here = session.client.credentials.server if name is None else name
    if here is not None:
        return servers.find(session.username, here)
    mine = [s for s in servers.list() if s.user == session.username and s.state == "running"]
    if not mine:
        raise NotFound(
            "You have no running notebook server; start it with `kpl server start`.",
            code="no_server",
        )
    if len(mine) > 1:
        names = ", ".join(repr(server.name) for server in mine)
        raise Conflict(
            f"You have {len(mine)} running notebook servers ({names}); name one with --server.",
            code="several_servers",
        )
    return mine[0]


@click.group("server")
def server() -> None:
    """Notebook servers."""


@server.command("list")
@common_options
@pass_session
def list_(session: Session) -> None:
    """List notebook servers and what is mounted into them, newest first."""
    items = session.client.servers.list()
    session.show_list(items, LIST, "No notebook servers; start one with `kpl server start`.")


@server.command("start")
@click.argument("name", default="", required=False)
@click.option("--image", help="Entry of the catalog (`kpl image list`); default: its default.")
@resource_options
@click.option("--shm", type=click.IntRange(min=0), metavar="MB", help="Shared memory in MB.")
@click.option("--mount", "mounts", multiple=True, metavar="NAME[:VERSION]", help="A dataset.")
@click.option(
    "--idle-stop",
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="Stop it when nothing has run in it for so long; 0: never. Default: the administrator's.",
)
@no_wait_option
@common_options
@pass_session
def start(session: Session, /, name: str, no_wait: bool, **options: object) -> None:
    """Start your notebook server, or a further one of NAME."""
    chosen = {key: value for key, value in options.items() if value not in (None, ())}
    words = "Starting the notebook server"
    tell = changes(session, words)
    command = shlex.join(["kpl", "server", "stop", *([name] if name else [])])
    left = f"Interrupted. The server starts all the same, when there is room; `{command}` ends it."
    with left_alone(left), waiting(session, words) as say:

        def on_message(percent: int, message: str) -> None:
            say(f"{percent} % {message}")
            tell(message)

        started = session.client.servers.start(
            session.username,
            name,
            options=chosen,
            wait=not no_wait,
            on_message=on_message,
        )
    session.show(started, SHOW)


@server.command("stop")
@click.argument("name", default="", required=False)
@no_wait_option
@common_options
@pass_session
def stop(session: Session, name: str, no_wait: bool) -> None:
    """Stop your notebook server; its files stay."""
    left = "Interrupted. The server stops all the same; `kpl server list` shows when it has."
    with left_alone(left), waiting(session, "Stopping the notebook server"):
        stopped = session.client.servers.stop(session.username, name, wait=not no_wait)
    session.show(stopped, SHOW)


@server.command("history")
@click.argument("name", default="", required=False)
@click.option("--limit", type=click.IntRange(1, 100), default=20, help="So many starts at most.")
@common_options
@pass_session
def history(session: Session, name: str, limit: int) -> None:
    """Show what happened to your notebook server at its starts, newest first."""
    starts = session.client.servers.history(session.username, name, limit=limit)
    if session.json or not starts:
        session.show_list(starts, (), "It was never started; `kpl server start` does.")
        return
    for number, start in enumerate(starts):
        title = f"{start.created_at:%Y-%m-%d %H:%M} UTC, {start.image}: {state_text(start)}"
        click.echo(f"\n{title}" if number else title)
        click.echo(table_text(start.events, EVENTS))
