"""``kpl-lab doctor``: what is wrong with an installation, and what this machine cannot enforce."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from kpl_lab.engines.local import connect_filter, namespace
from kpl_lab.engines.local.accounts import platform_account
from kpl_lab.engines.local.options import load_options
from kpl_lab.engines.registry import create_engine
from kpl_lab.errors import Invalid, KplError
from kpl_lab.formats.pools_yml import FILE, load_pools
from kpl_lab.platform.context import open_files
from kpl_lab.platform.domain import kept_files
from kpl_lab.platform.settings import load_options as load_platform_options
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.cached import CachedFiles
from kpl_lab.platform.storage.database import open_engine
from kpl_lab.settings import LOOPBACK, Settings
from kpl_lab.supervisor import control, launch, ports
from kpl_lab.wording import counted

Level = Literal["ok", "note", "error"]
ANSWER_SECONDS = 10.0
LOW_DISK_BYTES = 2 << 30
_SIGNS = {"ok": "ok   ", "note": "note ", "error": "ERROR"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``note`` is what works but is not enforced or not ideal."""

    name: str
    level: Level
    message: str


def as_dict(finding: Finding) -> dict[str, str]:
    """Return ``finding`` for JSON."""
    return asdict(finding)


def line(finding: Finding) -> str:
    """Return ``finding`` as a line for people."""
    return f"{_SIGNS[finding.level]}  {finding.name:<11} {finding.message}"


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; no check stops another one."""
    checks: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
        _home,
        _accounts,
        _processes,
        _ports,
        _disk,
        _database,
        _storage,
        _engine,
        _docker,
        _kubernetes,
        _limits,
        _replicas,
        _pools,
        _tools,
    )
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check(settings))
        except (KplError, OSError, TimeoutError) as error:
            found.append(Finding(check.__name__.strip("_"), "error", str(error) or repr(error)))
    return found


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home
    if not home.secrets.is_dir():
        yield Finding("home", "note", f"{home.root} was never started; `kpl-lab up` makes it.")
        return
    mode = home.secrets.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(
            "home", "error", f"{home.secrets} is open to others (mode {mode:o}): chmod 700 it."
        )
    else:
        yield Finding("home", "ok", str(home.root))


def _pools(settings: Settings) -> Iterator[Finding]:
    path = settings.home.root / FILE
    try:
        found = load_pools(path)
    except Invalid as error:
        yield Finding("pools", "error", error.message)
        return
    if found:
        yield Finding("pools", "ok", f"{', '.join(one.name for one in found)}, of {path}")


def _accounts(settings: Settings) -> Iterator[Finding]:
    if settings.engine == "kubernetes":
        uid = platform_account(settings).uid
        yield Finding("accounts", "ok", f"the platform runs as uid {uid}, workloads in pods")
        return
    if os.geteuid() != 0:
        yield Finding(
            "accounts",
            "note",
            "Not root: everything runs as you, workloads can read one another's files, memory is "
            "watched rather than limited, and mounts are links.",
        )
        return
    account = platform_account(settings)
    yield Finding("accounts", "ok", f"the platform runs as uid {account.uid}, workloads as others")
    closed = launch.closed_folder(settings.home, account)
    if closed is None:
        yield Finding("folders", "ok", "every folder on the way is open to the accounts")
    elif namespace.can_enter():
        yield Finding("folders", "ok", f"{closed} is closed; a way below it is opened for each")
    else:
        yield Finding(
            "folders",
            "error",
            f"{closed} is closed to other accounts and CAP_SYS_ADMIN is missing: move the checkout, "
            f"or chmod o+x {closed}.",
        )


def _processes(settings: Settings) -> Iterator[Finding]:
    found, supervisor = control.status(settings)
    running = [record.name for record in found if record.state == "running"]
    if not running:
        yield Finding("processes", "note", "Nothing runs; `make up` starts it.")
        return
    for record in found:
        if record.state != "running":
            words = record.message or f"{record.name} does not run; `make up` starts it."
            yield Finding("processes", "error", f"{record.name}: {words}")
    if supervisor.identity is None:
        yield Finding(
            "processes",
            "error",
            "The supervisor has ended; nothing restarts what dies until the next `make up`.",
        )
    elif len(running) == len(found):
        yield Finding("processes", "ok", ", ".join(running))


def _ports(settings: Settings) -> Iterator[Finding]:
    running = any(record.identity for record in control.status(settings)[0])
    if not running:
        ports.require_free(settings, public=True, private=True)
    if settings.listen == LOOPBACK:
        yield Finding("ports", "ok", f"{settings.public_url}; all others on the loopback too")
    else:
        where = f"{settings.listen}:{settings.ports.public}"
        yield Finding("ports", "ok", f"the front door at {where}; all others on the loopback")


def _disk(settings: Settings) -> Iterator[Finding]:
    place = settings.home.root if settings.home.root.exists() else settings.home.root.parent
    free = shutil.disk_usage(place).free
    level: Level = "ok" if free > LOW_DISK_BYTES else "error"
    yield Finding("disk", level, f"{free / (1 << 30):.1f} GiB free where {place} lies")


def _database(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None and not (settings.home.platform / "kpl.sqlite").exists():
        yield Finding("database", "note", "There is none yet; `kpl-lab up` makes it.")
        return
    engine = open_engine(settings.sqlalchemy_url)
    try:
        upgrade.check(engine)
    finally:
        engine.dispose()
    yield Finding("database", "ok", f"revision {upgrade.head()}")


def _storage(settings: Settings) -> Iterator[Finding]:
    if not settings.storage_url:
        return
    control.check_storage(settings)
    if settings.database_url is not None or (settings.home.platform / "kpl.sqlite").exists():
        control.compare_storage(settings)
    files = open_files(settings)
    waiting = kept_files.only_here(files) if isinstance(files, CachedFiles) else 0
    if waiting:
        yield Finding(
            "storage",
            "note",
            f"{counted(waiting, 'version or log', 'versions and logs')} not in {settings.storage_url} "
            "yet; the controller sends what is missing in the background.",
        )
    else:
        yield Finding("storage", "ok", f"{settings.storage_url} holds everything that is finished")


def _engine(settings: Settings) -> Iterator[Finding]:
    if not any(record.identity for record in control.status(settings)[0]):
        return

    factor = load_platform_options(settings.home).cpu_overcommit

    async def ask() -> str:
        engine = create_engine(settings)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                capacity = await engine.capacity()
        finally:
            await engine.close()
        return (
            f"{settings.engine}: {capacity.cpu:g} cores, {capacity.memory_mb / 1024:.1f} GiB, "
            f"{counted(capacity.gpu, 'GPU')}; CPU is shared: up to {factor:g} times the cores are promised"
        )

    yield Finding("engine", "ok", asyncio.run(ask()))


def _docker(settings: Settings) -> Iterator[Finding]:
    if settings.engine != "docker" or not any(r.identity for r in control.status(settings)[0]):
        return
    from kpl_lab.engines.docker.engine import DockerEngine

    async def ask() -> Mapping[str, Any]:
        engine = DockerEngine.from_settings(settings)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await engine.facts()

    facts = asyncio.run(ask())
    yield Finding(
        "docker", "ok", f"Docker {facts['version']}, limits by cgroups {facts['cgroups']}"
    )
    if not facts["live_restore"]:
        yield Finding(
            "docker",
            "note",
            "What runs ends when the Docker daemon is restarted; `live-restore` in its daemon.json "
            "keeps it running.",
        )
    if facts["unguarded"]:
        yield Finding(
            "docker",
            "note",
            f"Containers can reach a cloud's metadata service: {facts['unguarded']}.",
        )
    if not facts["mounts"]:
        yield Finding(
            "docker", "note", "Datasets cannot be mounted into running servers: that needs root."
        )


def _kubernetes(settings: Settings) -> Iterator[Finding]:
    if settings.engine != "kubernetes" or not any(r.identity for r in control.status(settings)[0]):
        return
    from kpl_lab.engines.kubernetes.engine import KubernetesEngine

    async def ask() -> Mapping[str, Any]:
        engine = KubernetesEngine.from_settings(settings)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await engine.facts()

    yield from _of_cluster(asyncio.run(ask()))


def _of_cluster(facts: Mapping[str, Any]) -> Iterator[Finding]:
    yield Finding(
        "kubernetes",
        "ok",
        f"Kubernetes {facts['version']} at {facts['api']}, namespace {facts['namespace']}; pods reach "
        f"us at {facts['gate']}",
    )
    if facts["dead_queues"]:
        yield Finding(
            "queues",
            "error",
            f"Tasks are to wait in the queues {', '.join(facts['dead_queues'])}, but the cluster has no Kueue "
            "that would ever let them start: install Kueue, or take `queue` out of KubernetesOptions "
            "(`workloads.queue` of the chart) and of pools.yml.",
        )
    agents = facts["node_agents"]
    if agents:
        yield Finding("mounts", "ok", f"Agents mount datasets on {', '.join(agents)}")
    elif agents is not None:
        yield Finding(
            "mounts",
            "note",
            "No node agent answers: datasets are copied into the servers that mount them. Look at the "
            "pods of the DaemonSet that the chart makes with nodeAgent.enabled.",
        )


def _limits(settings: Settings) -> Iterator[Finding]:
    if settings.engine != "local":
        return
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        kind = "cgroup v2"
    elif Path("/sys/fs/cgroup/memory").is_dir():
        kind = "cgroup v1"
    else:
        kind = ""
    if kind and os.geteuid() == 0 and _is_writable(kind):
        yield Finding("limits", "ok", f"memory and CPU are limited by {kind}")
    else:
        why = f"{kind} is not writable here" if kind else "this machine has no cgroups"
        yield Finding("limits", "note", f"Memory is watched, not limited, and CPU is not: {why}.")
    if not namespace.can_enter():
        yield Finding(
            "limits",
            "note",
            "Shared memory is not limited and mounts are links (read-only by file mode alone): "
            "mount namespaces are not allowed here.",
        )


def _is_writable(kind: str) -> bool:
    place = "/sys/fs/cgroup/memory" if kind == "cgroup v1" else "/sys/fs/cgroup"
    return os.access(place, os.W_OK) and not _is_read_only(Path(place))


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _replicas(settings: Settings) -> Iterator[Finding]:
    if settings.engine != "local":
        return
    ports = load_options(settings.home).service_ports
    why = connect_filter.obstacle(ports, astuple(settings.ports))
    if why is None:
        yield Finding("replicas", "ok", "workloads cannot call services past the front door")
    else:
        words = "A workload can call replicas of services past the front door:"
        yield Finding("replicas", "note", f"{words} {why}")


def _tools(settings: Settings) -> Iterator[Finding]:
    del settings
    from kpl_lab.supervisor import frontdoor

    yield Finding("front door", "ok", frontdoor.binary())
