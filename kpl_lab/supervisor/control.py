"""Up, down and status of a whole installation."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from kpl_lab.errors import Conflict
from kpl_lab.formats import pools_yml
from kpl_lab.formats.catalog_yml import catalog_of, find_catalog
from kpl_lab.platform.settings import load_options
from kpl_lab.platform.storage import claims
from kpl_lab.platform.storage.bucket import Bucket
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.remote import Remote
from kpl_lab.platform.storage.upgrade import upgrade
from kpl_lab.settings import Settings
from kpl_lab.supervisor import frontdoor, launch, ports, records
from kpl_lab.supervisor.ending import end_processes, end_supervisor, rest_supervisor
from kpl_lab.supervisor.home import own_tree, prepare
from kpl_lab.supervisor.plan import (
    FRONTDOOR,
    HUB,
    PLATFORM,
    RUNNER,
    Plan,
    environment_of,
    plans,
    supervisor_digest,
)
from kpl_lab.supervisor.readiness import wait_kept, wait_ready
from kpl_lab.supervisor.records import Record
from kpl_lab.supervisor.workloads import end_with_reasons, sweep, unmount_all

Say = Callable[[str], None]
READY_SECONDS = 90.0
# Somebody waits for the answer.
_STORAGE_ATTEMPTS = 3
DOCKER, KUBERNETES = "docker", "kubernetes"
_RETRY = signal.SIGHUP


@contextmanager
def exclusively(settings: Settings, say: Say) -> Iterator[None]:
    """Hold the installation's lock: one ``up`` or ``down`` at a time, the next one waits."""
    settings.home.run.mkdir(parents=True, exist_ok=True)
    with (settings.home.run / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another `kpl-lab up` or `down` is at work here; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_up(settings: Settings, say: Say) -> None:
    """Start what is missing, adopt what runs, replace what was started in another way.

    Raises
    ------
    KplError
        The engine cannot be had, the image catalog is wrong, a port is taken, a folder is closed,
        the bucket cannot be used, the database is of another version, or a process does not come up.
    """
    wanted = _make_ready(settings, say)
    _supervise(settings, wanted, say)
    wait_ready(settings, seconds=READY_SECONDS, say=say)


def become_supervisor(settings: Settings, say: Say) -> NoReturn:
    """Do what :func:`bring_up` does before it starts anything, then be the supervisor.

    At SIGTERM the platform's processes end with it; workloads of a cluster run on, and the next
    start adopts them. For containers: whoever waits for the end of this process waits for them.

    Raises
    ------
    Conflict
        A supervisor runs here already.
    KplError
        As :func:`bring_up`.
    """
    running = records.read(settings.home, records.SUPERVISOR)
    if running.identity is not None:
        raise Conflict(
            f"{settings.home.root} runs already (supervisor, pid {running.pid}); end it with "
            "`kpl-lab down`, or set KPL_HOME to another folder.",
            code="runs_already",
        )
    _make_ready(settings, say)
    say(f"starting; the processes write to {settings.home.logs}")
    command = (sys.executable, "-P", "-m", "kpl_lab.supervisor", "--attached")
    os.execve(command[0], command, {**os.environ, **environment_of(settings, os.environ)})  # noqa: S606 (no shell is what we want)


def _make_ready(settings: Settings, say: Say) -> list[Plan]:
    """Refuse what cannot work, and make what processes need; return them."""
    if not settings.home.secrets.exists():
        # Refused before anything is made: a home without processes would only puzzle.
        ports.require_free(settings, public=True, private=True)
    account = prepare(settings)
    catalog_of(
        find_catalog(settings.home.root, load_options(settings.home).image_catalog), settings.engine
    )
    pools_yml.load_pools(settings.home.root / pools_yml.FILE)
    wanted = plans(settings, account, os.environ)
    for plan in wanted:
        launch.needs_namespace(settings.home, plan.account)
    found = {plan.name: records.read(settings.home, plan.name) for plan in wanted}
    _require_ports(settings, wanted, found)
    if settings.storage_url:
        check_storage(settings)
        say(f"files are kept in {settings.storage_url}")
    if settings.engine == DOCKER:
        _ensure_base_image(settings, say)
    elif settings.engine == KUBERNETES:
        _ensure_cluster(settings, say)
    backup = upgrade_database(settings)
    if backup:
        say(f"database upgraded; the former one is kept as {backup}")
    if settings.storage_url:
        claim_storage(settings)
        own_tree(settings.home.platform, account)
    return wanted


def check_storage(settings: Settings) -> None:
    """Look whether the platform's processes can use the bucket.

    Raises
    ------
    KplError
        They cannot; says what to do.
    """
    with _home_of_processes(settings):
        _storage(settings).bucket.check()


def claim_storage(settings: Settings) -> None:
    """Note whose the bucket is.

    Raises
    ------
    Conflict
        It is another installation's, or another database's; says what to do.
    """
    _with_database(settings, claims.claim)


def compare_storage(settings: Settings) -> None:
    """Refuse what :func:`claim_storage` refuses, and change nothing."""
    _with_database(settings, claims.check)


def _with_database(settings: Settings, do: Callable[[Database, Remote, str], None]) -> None:
    database = Database(settings.sqlalchemy_url)
    try:
        with _home_of_processes(settings):
            do(database, _storage(settings), settings.instance)
    finally:
        database.close()


def _storage(settings: Settings) -> Remote:
    return Remote(Bucket(settings.storage_url, attempts=_STORAGE_ATTEMPTS))


@contextmanager
def _home_of_processes(settings: Settings) -> Iterator[None]:
    """Find the credentials that the platform's processes will find, and not those of who starts them."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = environment_of(settings, os.environ)["HOME"]
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def _ensure_base_image(settings: Settings, say: Say) -> None:
    # Not at the top: the client of Docker is an extra that other engines do without.
    from kpl_lab.engines.docker.options import load_options as load_docker_options
    from kpl_lab.supervisor.base_image import ensure_base_image

    ensure_base_image(settings, load_docker_options(settings.home), say)


def _ensure_cluster(settings: Settings, say: Say) -> None:
    # Not at the top: the client of Kubernetes is an extra that other engines do without.
    from kpl_lab.supervisor.cluster import ensure_cluster

    ensure_cluster(settings, say)


def _clear_cluster(settings: Settings, say: Say) -> None:
    from kpl_lab.supervisor.cluster import clear_cluster

    clear_cluster(settings, say)


def _require_ports(settings: Settings, wanted: list[Plan], found: dict[str, Record]) -> None:
    def is_ours(name: str) -> bool:
        return found[name].identity is not None

    door = next(plan for plan in wanted if plan.name == FRONTDOOR)
    moves = found[FRONTDOOR].plan != door.digest
    holds_it = is_ours(FRONTDOOR) and not moves
    # A front door that is about to be replaced may hold the very port that is asked for.
    if not holds_it and not _held_by(found[FRONTDOOR], settings.ports.public):
        ports.require_free(settings, public=True, private=False)
    # A supervisor holds the platform's port also while the platform is being started again.
    has_supervisor = records.read(settings.home, records.SUPERVISOR).identity is not None
    if not has_supervisor and not any(is_ours(name) for name in (HUB, PLATFORM, FRONTDOOR)):
        ports.require_free(settings, public=False, private=True)


def _held_by(record: Record, port: int) -> bool:
    return record.identity is not None and f"pid {record.pid})" in ports.holder(port)


def _supervise(settings: Settings, wanted: list[Plan], say: Say) -> None:
    """Leave a supervisor that keeps ``wanted``; the one that is there is kept if it does."""
    home = settings.home
    present = records.read(home, records.SUPERVISOR)
    if present.identity is not None and present.plan == supervisor_digest(wanted):
        say("supervisor runs already")
        present.identity.kill(_RETRY)
        return
    end_supervisor(home)
    log = home.logs / "supervisor.log"
    launch.keep_log_small(log)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "kpl_lab.supervisor"],
            cwd=home.root,
            env={**os.environ, **environment_of(settings, os.environ)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_kept(home, process)
    launch.disown(process)
    say(f"supervisor started, pid {process.pid}")


def bring_down(settings: Settings, say: Say) -> None:
    """End everything: workloads with their reasons, processes, mounts; repeatable.

    Queued tasks stay queued; running ones end ``stopped``, reason ``platform_down``; services come
    back at the next ``up``; servers stop, their homes stay.
    """
    account = prepare(settings)
    wanted = plans(settings, account, os.environ)
    end_with_reasons(settings, say)
    rest_supervisor(settings.home)

    def tell(name: str) -> None:
        say(f"ending {name}")

    # The runner goes last but for the front door: what ends the workloads needs it.
    stays = [plan for plan in wanted if plan.name in (RUNNER, FRONTDOOR)]
    end_processes(settings.home, [plan for plan in wanted if plan not in stays], tell)
    sweep(settings, say)
    if settings.engine == KUBERNETES:
        _clear_cluster(settings, say)
    end_processes(settings.home, stays, tell)
    end_supervisor(settings.home)
    unmount_all(settings)


def upgrade_database(settings: Settings) -> str | None:
    """Bring the database to this version's revision; return the path of the backup, if any."""
    account = prepare(settings)
    backup = upgrade(settings.sqlalchemy_url)
    # Made by us, used by the platform's account.
    own_tree(settings.home.platform, account)
    return backup


def prepare_only(settings: Settings) -> None:
    """Make everything that a hub started by hand needs.

    Raises
    ------
    Conflict
        ``kpl-lab up`` runs this installation already.
    """
    running = [r for r in status(settings)[0] if r.identity is not None]
    if running:
        raise Conflict(
            f"{settings.home.root} runs already ({', '.join(r.name for r in running)}); end it with "
            "`make down`, or set KPL_HOME to another folder.",
            code="runs_already",
        )
    frontdoor.write_config(settings, prepare(settings))
    ports.require_free(settings, public=True, private=True)
    upgrade_database(settings)


def status(settings: Settings) -> tuple[list[Record], Record]:
    """Return what is known of the processes, and of the supervisor itself."""
    names = ["frontdoor", "hub", "platform", "controller", "runner"]
    found = [records.read(settings.home, name) for name in names]
    return found, records.read(settings.home, records.SUPERVISOR)
