"""The one ledger: notebook servers, tasks, services and builds share what there is."""

from __future__ import annotations

from dataclasses import dataclass

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import QuotaExceeded
from kpl_lab.platform.domain.faults import BY_CODE, Explanation, explain_fault
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources

ALIVE_INSTANCES = ("starting", "ready", "unhealthy")
KINDS = {"cpu": "CPU cores", "memory": "MiB of memory", "gpu": "GPUs"}
_ONE = {"cpu": "CPU core", "memory": "MiB of memory", "gpu": "GPU"}


@dataclass(frozen=True)
class Amounts:
    """Cores, MiB and whole GPUs."""

    cpu: float = 0.0
    memory: float = 0.0
    gpu: float = 0.0

    @classmethod
    def of(cls, resources: Resources, count: int = 1) -> Amounts:
        """Return what ``count`` workloads of these ceilings hold."""
        return cls(resources.cpu * count, resources.memory * count, resources.gpu * count)

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(self.cpu + other.cpu, self.memory + other.memory, self.gpu + other.gpu)

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(self.cpu - other.cpu, self.memory - other.memory, self.gpu - other.gpu)

    def lacks(self, wanted: Amounts) -> list[str]:
        """Return the kinds of which ``wanted`` needs more than this."""
        tolerance = 1e-6  # sums of fractions of cores
        return [k for k in KINDS if getattr(wanted, k) > getattr(self, k) + tolerance]


@dataclass(frozen=True)
class Ledger:
    """What may be promised and what is."""

    limit: Amounts
    used: Amounts

    @property
    def free(self) -> Amounts:
        """What is left to promise."""
        return self.limit - self.used

    def with_use(self, more: Amounts) -> Ledger:
        """Return the ledger with a further promise."""
        return Ledger(self.limit, self.used + more)


def limits(capacity: Capacity, options: PlatformOptions) -> Amounts:
    """Return what may be promised: CPU up to a multiple of the cores, the rest as it is."""
    return Amounts(
        capacity.cpu * options.cpu_overcommit, float(capacity.memory_mb), float(capacity.gpu)
    )


def ledger(store: Store, capacity: Capacity, options: PlatformOptions) -> Ledger:
    """Return the present state of all promises; nobody else promises until this transaction ends."""
    store.lock("promises")
    used = Amounts()
    for task in store.tasks.holding():
        used += Amounts.of(task.resources, task.nodes)
    for server in store.servers.active():
        if server.state != "pending":
            used += Amounts.of(server.resources)
    for service in store.services.every():
        used += Amounts.of(service.resources, held_replicas(service))
    for build in store.builds.active():
        if build.state == "running":
            used += Amounts.of(build_resources(capacity, options))
    return Ledger(limits(capacity, options), used)


def held_for_servers(store: Store, free: Amounts) -> list[str]:
    """Return the kinds that a notebook server waits for: what becomes free of them is the server's.

    Somebody sits before it, so nothing else may take of these kinds meanwhile.
    """
    lacking = [free.lacks(Amounts.of(server.resources)) for server in store.servers.waiting()]
    return [kind for kind in KINDS if any(kind in kinds for kinds in lacking)]


def behind_servers(held: list[str], wanted: Amounts) -> str:
    """Return that a server comes before what is wanted, as a sentence's end; empty: none does."""
    kinds = [KINDS[kind].removeprefix("MiB of ") for kind in held if getattr(wanted, kind) > 0]
    return f"waiting behind a notebook server that needs {' and '.join(kinds)}" if kinds else ""


def build_resources(capacity: Capacity, options: PlatformOptions) -> Resources:
    """Return what a build may use, and reserves: never more than there is in all."""
    memory = min(options.build_memory_mb, capacity.memory_mb)
    return Resources(cpu=1, memory=memory, gpu=0, shm=64)


def why_build_waits(
    store: Store, build: BuildRecord, capacity: Capacity, options: PlatformOptions
) -> str | None:
    """Return what an ordered build waits for, as a sentence's end; None when it may begin.

    Builds begin in the order in which they were ordered.
    """
    others = [b for b in store.builds.active() if b.id != build.id]
    running = sum(1 for other in others if other.state == "running")
    ahead = sum(1 for other in others if other.state == "queued" and other.id < build.id)
    behind = f"; {ahead} ahead of it" if ahead else ""
    if running >= options.builds_at_once:
        return f"waiting for one of {running} other builds to end{behind}"
    wanted = Amounts.of(build_resources(capacity, options))
    free = ledger(store, capacity, options).free
    lacking = free.lacks(wanted)
    if lacking:
        return words(lacking, wanted, free) + behind
    after_server = behind_servers(held_for_servers(store, free), wanted)
    if after_server:
        return after_server + behind
    return f"waiting for its turn{behind}" if ahead else None


def held_replicas(service: ServiceRecord) -> int:
    """Return how many replicas of a service hold what was promised to them.

    One that is to end holds it until the engine was seen to have ended it: for the whole grace.
    """
    alive = sum(1 for i in service.instances if i["state"] in ALIVE_INSTANCES)
    if service.state in ("stopped", "failed"):
        return alive
    if service.is_wanted and not service.is_deleted:
        return max(service.replicas, alive)
    is_unseen = service.handle is not None and not service.instances
    return service.replicas if is_unseen else alive


def require_possible(wanted: Resources, limit: Amounts, count: int = 1) -> None:
    """Refuse at once what can never fit.

    Raises
    ------
    QuotaExceeded
        Names the resource, what was asked for and what there is in all.
    """
    amounts = Amounts.of(wanted, count)
    for kind in limit.lacks(amounts):
        asked, there = getattr(amounts, kind), getattr(limit, kind)
        raise QuotaExceeded(
            f"This asks for {_plain(asked)} {KINDS[kind]}; there are {_plain(there)} in all, so it could never "
            "start. Ask for less, or use a larger machine.",
            code="never_fits",
            detail={"resource": kind, "asked": asked, "limit": there},
        )


def explain_impossible(wanted: Amounts, limit: Amounts) -> Explanation | None:
    """Return why something that was admitted once can never start by now; None where it can."""
    lacking = limit.lacks(wanted)
    if not lacking:
        return None
    asked, there = (
        " and ".join(f"{_plain(getattr(amounts, kind))} {KINDS[kind]}" for kind in lacking)
        for amounts in (wanted, limit)
    )
    return explain_fault(BY_CODE["never_fits"], {"asked": asked, "there": there})


def _plain(amount: float) -> str:
    """Return a number without exponent and without zeros that say nothing."""
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def words(lacking: list[str], wanted: Amounts, free: Amounts) -> str:
    """Return what something waits for, as a sentence's end."""
    parts = [
        f"{_plain(asked)} {(_ONE if asked == 1 else KINDS)[kind]} "
        f"({_plain(max(getattr(free, kind), 0))} free)"
        for kind, asked in ((kind, getattr(wanted, kind)) for kind in lacking)
    ]
    return "waiting for " + " and ".join(parts)
