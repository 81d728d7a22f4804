"""The ``kpl`` command: the panels' nouns and verbs for a terminal.

Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 not reachable, 4 not found, 5 not allowed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import get_completion_class

from kpl_lab import __version__
from kpl_lab.cli import image_making
from kpl_lab.cli.algorithm import algorithm
from kpl_lab.cli.build import build
from kpl_lab.cli.dataset import dataset
from kpl_lab.cli.image import image
from kpl_lab.cli.login import login
from kpl_lab.cli.model import model
from kpl_lab.cli.output import Column
from kpl_lab.cli.pool import pool
from kpl_lab.cli.server import server
from kpl_lab.cli.service import service
from kpl_lab.cli.session import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    Session,
    common_options,
    pass_session,
    report,
)
from kpl_lab.cli.task import task
from kpl_lab.errors import KplError

VERSIONS = (
    Column("KPL", "kpl"),
    Column("PLATFORM", "version"),
    Column("API", "api_version"),
    Column("ENGINE", "engine"),
)


@click.group(
    epilog="Exit codes: 0 ok, 1 refused or failed, 2 usage, 3 not reachable, 4 not found, "
    "5 not allowed.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kpl")
@common_options
def cli() -> None:
    """KPL Lab from a terminal."""


@cli.command("version")
@common_options
@pass_session
def version(session: Session) -> None:
    """Show the versions of this command and of the platform."""
    platform = session.client.version()
    session.show({"kpl": __version__, **platform.model_dump(mode="json")}, VERSIONS)


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes the shell complete kpl: eval "$(kpl completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(cli, {}, "kpl", "_KPL_COMPLETE").source())


for made in (image_making.build, image_making.load, image_making.save):
    image.add_command(made)
for noun in (dataset, task, algorithm, model, service, server, image, build, pool, login):
    cli.add_command(noun)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; nothing but the result is on stdout."""
    session = Session()
    try:
        # Without standalone mode, `Exit` comes back as its code.
        code = cli.main(arguments, prog_name="kpl", standalone_mode=False, obj=session)
    except KplError as error:
        return report(session, error)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        # Click makes the same of Ctrl-C and of a question that was not answered.
        if isinstance(error.__cause__, KeyboardInterrupt):
            return _interrupted()
        click.echo("kpl: nothing was done.", err=True)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # Whoever read has seen enough; Python must not complain about it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    finally:
        session.close()
    return code if isinstance(code, int) else 0


def _interrupted() -> int:
    click.echo("kpl: interrupted; what the platform was asked for before goes on.", err=True)
    return EXIT_INTERRUPTED


def main() -> None:
    """Entry point of the command."""
    sys.exit(run())
