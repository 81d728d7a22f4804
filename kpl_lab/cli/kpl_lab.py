"""The ``kpl-lab`` command: up, down, status, doctor, database; for whoever runs the platform.

Exit codes: 0 ok, 1 refused or failed, 2 usage.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

import click

from kpl_lab import __version__
from kpl_lab import settings as installation
from kpl_lab.errors import KplError


def _teller() -> Callable[[str], None]:
    """Return what tells a person on stderr what happens, with the seconds since the start."""
    began = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"  {time.monotonic() - began:5.1f} s  {text}", err=True)

    return say


@click.group(
    epilog="Exit codes: 0 ok, 1 refused or failed, 2 usage.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kpl-lab")
def cli() -> None:
    """Run KPL Lab on this machine.

    KPL_HOME says where everything is kept (default ./.kpl), KPL_PORT where users come in
    (default 8000), KPL_ENGINE what runs the work (default local), KPL_USERS who may sign in
    beside admin (names separated by commas).
    """


@cli.command("up")
@click.option(
    "--foreground",
    is_flag=True,
    help="Stay until SIGTERM, then end the platform's processes but no workloads: for containers.",
)
def up(foreground: bool) -> None:
    """Start everything in the background and wait until it answers. Repeating it repairs."""
    from kpl_lab.supervisor import control
    from kpl_lab.supervisor.credentials import keep_credentials

    settings, say = installation.load(), _teller()
    if foreground:
        control.become_supervisor(settings, say)
    with control.exclusively(settings, say):
        control.bring_up(settings, say)
        found = keep_credentials(settings)
    click.echo(f"KPL Lab runs at  {found.url}")
    click.echo(f"       user      {found.username}")
    click.echo(f"       password  {found.password}")
    if settings.users:
        shared = settings.home.read_secret(installation.Secret.USERS_PASSWORD)
        click.echo(f"       {', '.join(settings.users)} sign in with {shared}")
    click.echo(
        f"`kpl` finds its token in {settings.home.credentials}; `make down` ends everything."
    )


@cli.command("down")
def down() -> None:
    """End everything: tasks with their reason, servers, services, processes."""
    from kpl_lab.supervisor import control

    settings, say = installation.load(), _teller()
    if not settings.home.run.exists():
        click.echo(f"Nothing was ever started in {settings.home.root}.", err=True)
        return
    with control.exclusively(settings, say):
        control.bring_down(settings, say)
    click.echo("KPL Lab is down.", err=True)


@cli.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def status(as_json: bool) -> None:
    """List the platform's own processes. Exits with 1 unless all of them run."""
    from kpl_lab.supervisor import control

    found, supervisor = control.status(installation.load())
    if as_json:
        items = [{"name": r.name, "pid": r.pid, "state": r.state} for r in found]
        keeper = {"pid": supervisor.pid, "state": supervisor.state}
        click.echo(json.dumps({"items": items, "supervisor": keeper}, indent=1))
    else:
        for record in (*found, supervisor):
            pid = "-" if record.pid is None else str(record.pid)
            click.echo(f"{record.name:<11} {pid:>8}  {record.state:<11} {record.message}".rstrip())
    if any(record.state != "running" for record in found):
        sys.exit(1)


@cli.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def doctor(as_json: bool) -> None:
    """Look for what is wrong, and say what is not enforced on this machine."""
    from kpl_lab.cli import doctor as checks

    findings = checks.examine(installation.load())
    if as_json:
        click.echo(json.dumps({"items": [checks.as_dict(f) for f in findings]}, indent=1))
    else:
        for finding in findings:
            click.echo(checks.line(finding))
    if any(finding.level == "error" for finding in findings):
        sys.exit(1)


@cli.command("pools")
@click.option(
    "--as",
    "way",
    type=click.Choice(["kueue", "resource-quota"]),
    help="Print their limits as objects of a cluster, for `kubectl apply -f -`.",
)
def pools(way: str | None) -> None:
    """Check the file of resource pools, pools.yml in KPL_HOME, and list them."""
    from kpl_lab.cli import pools as known

    settings = installation.load()
    click.echo(known.told(settings) if way is None else known.mirrored(settings, way).rstrip())


@cli.command("prepare", hidden=True)
def prepare() -> None:
    """Make folders, secrets and database for a hub that is started by hand."""
    from kpl_lab.supervisor import control

    control.prepare_only(installation.load())


@cli.group("db")
def database() -> None:
    """The platform's database."""


@database.command("upgrade")
def upgrade() -> None:
    """Bring the database to the revision of this version; SQLite is backed up first."""
    from kpl_lab.supervisor import control

    backup = control.upgrade_database(installation.load())
    click.echo(f"The former one is kept as {backup}." if backup else "The database is up to date.")


@cli.command("leave-cluster", hidden=True)
@click.argument("namespace")
@click.argument("stateful_set")
def leave_cluster(namespace: str, stateful_set: str) -> None:
    """End the platform's pod and remove its workloads; what `helm uninstall` calls first."""
    from kpl_lab.supervisor import cluster
    from kpl_lab.supervisor.home import prepare as make_home

    settings = installation.load()
    make_home(settings)
    cluster.leave_cluster(settings, namespace, stateful_set, _teller())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``kpl-lab``; failures put a sentence on stderr."""
    try:
        cli.main(arguments, prog_name="kpl-lab", standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except KplError as error:
        click.echo(f"kpl-lab: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
