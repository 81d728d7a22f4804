"""The books: notebook servers, tasks, services and builds share what there is.

Whatever runs is promised from up to three ledgers: of everything, of its resource pool, and of its
owner's quota in that pool.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kpl_lab.engines.spec import Capacity
from kpl_lab.errors import QuotaExceeded
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain.faults import BY_CODE, Explanation, explain_fault
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.pools import Quota

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

    @classmethod
    def most(cls, quota: Quota) -> Amounts:
        """Return a quota as amounts; endless where it has no limit."""
        kinds = (quota.cpu, quota.memory, quota.gpu)
        return cls(*(math.inf if most is None else float(most) for most in kinds))

    def within(self, most: Amounts) -> Amounts:
        """Return the lesser of each kind."""
        return Amounts(*(min(getattr(self, kind), getattr(most, kind)) for kind in KINDS))

    def lacks(self, wanted: Amounts) -> list[str]:
        """Return the kinds of which ``wanted`` needs more than this."""
        tolerance = 1e-6  # sums of fractions of cores
        return [k for k in KINDS if getattr(wanted, k) > getattr(self, k) + tolerance]


@dataclass(frozen=True)
class Ledger:
    """What may be promised and what is; of everything, of a pool, or of one user's quota in it.

    Attributes
    ----------
    place
        Where, as a sentence goes on after an amount; empty: in all.
    is_own
        Whether it is one user's: who waits for it keeps nobody else waiting.
    """

    limit: Amounts
    used: Amounts = Amounts()
    place: str = ""
    is_own: bool = False

    @property
    def free(self) -> Amounts:
        """What is left to promise."""
        return self.limit - self.used

    def with_use(self, more: Amounts) -> Ledger:
        """Return the ledger with a further promise."""
        return replace(self, used=self.used + more)


@dataclass(frozen=True)
class Shortage:
    """Of which kinds there is not enough, and in which ledger.

    Attributes
    ----------
    held
        Pool and kind of which others may take nothing meanwhile; the pool is empty for all of them.
    """

    kinds: list[str]
    ledger: Ledger
    wanted: Amounts
    held: frozenset[tuple[str, str]] = frozenset()

    @property
    def text(self) -> str:
        """What is waited for, as a sentence's end."""
        return words(self.kinds, self.wanted, self.ledger)


@dataclass(frozen=True)
class Books:
    """All ledgers: of everything, of each pool, and of each user's quota in it."""

    whole: Ledger
    pools: Mapping[str, Ledger]
    quotas: Mapping[tuple[str, str], Ledger]
    shares: Mapping[str, Amounts]

    def ledgers(self, pool: str, owner: str) -> list[Ledger]:
        """Return what something of a user in a pool is promised from, the narrowest first.

        A pool that is gone has nothing.
        """
        if not pool:
            return [self.whole]
        found = [self.pools.get(pool) or _gone(pool), self.whole]
        if pool in self.shares:
            found.insert(0, self._quota(pool, owner))
        return found

    def _quota(self, pool: str, owner: str) -> Ledger:
        place = f" of your quota in the pool {pool}"
        known = self.quotas.get((pool, owner))
        return known or Ledger(self.shares[pool], place=place, is_own=True)

    def quota(self, pool: str, owner: str) -> Ledger | None:
        """Return a user's quota in a pool; None: it has none."""
        return self._quota(pool, owner) if pool in self.shares else None

    def shortage(self, pool: str, owner: str, wanted: Amounts) -> Shortage | None:
        """Return what is lacking for something; None: there is room."""
        lacking = [(one, one.free.lacks(wanted)) for one in self.ledgers(pool, owner)]
        lacking = [(ledger, kinds) for ledger, kinds in lacking if kinds]
        if not lacking:
            return None
        first, kinds = lacking[0]
        # A user's own quota keeps nobody else waiting; everything else keeps all that come later.
        held = {(pool if one.place else "", kind) for one, found in lacking for kind in found}
        return Shortage(kinds, first, wanted, frozenset() if first.is_own else frozenset(held))

    def never(self, pool: str, owner: str, wanted: Amounts) -> Shortage | None:
        """Return what there is too little of even when nothing else runs; None: it fits."""
        for ledger in self.ledgers(pool, owner):
            kinds = ledger.limit.lacks(wanted)
            if kinds:
                return Shortage(kinds, ledger, wanted)
        return None

    def with_use(self, pool: str, owner: str, more: Amounts) -> Books:
        """Return the books with a further promise."""
        pools, quotas = dict(self.pools), dict(self.quotas)
        if pool in pools:
            pools[pool] = pools[pool].with_use(more)
        if pool in self.shares:
            quotas[pool, owner] = self._quota(pool, owner).with_use(more)
        return replace(self, whole=self.whole.with_use(more), pools=pools, quotas=quotas)


def _gone(pool: str) -> Ledger:
    return Ledger(Amounts(), place=f" in the pool {pool}")


class Blocked:
    """What others wait for: later ones of the same pool may not take of these kinds.

    What is lacking in all is lacking in every pool.
    """

    def __init__(self) -> None:
        self._kinds: set[tuple[str, str]] = set()

    def add(self, shortage: Shortage) -> None:
        """Take up what somebody waits for."""
        self._kinds |= shortage.held

    def of(self, pool: str, wanted: Amounts) -> list[str]:
        """Return the kinds of which something in a pool wants a part and may not take it."""
        return [
            kind
            for kind in KINDS
            if getattr(wanted, kind) > 0 and not self._kinds.isdisjoint({(pool, kind), ("", kind)})
        ]


def limits(context: Context, capacity: Capacity) -> Books:
    """Return what may be promised where nothing is: CPU up to a multiple of the cores."""
    overcommit = context.options.cpu_overcommit
    there = _amounts(capacity, overcommit)
    pools, shares = {}, {}
    for pool in context.pools.pools:
        own = _amounts(capacity.pools.get(pool.name, capacity), overcommit)
        least = own.within(Amounts.most(pool.limits))
        pools[pool.name] = Ledger(least, place=f" in the pool {pool.name}")
        share = Amounts.most(pool.per_user)
        if share != Amounts.most(Quota()):
            shares[pool.name] = share
    return Books(Ledger(there), pools, {}, shares)


def _amounts(capacity: Capacity, overcommit: float) -> Amounts:
    return Amounts(capacity.cpu * overcommit, float(capacity.memory_mb), float(capacity.gpu))


def books(store: Store, context: Context, capacity: Capacity) -> Books:
    """Return the present state of all promises; nobody else promises until this transaction ends."""
    store.lock("promises")
    used: dict[tuple[str, str], Amounts] = {}

    def add(pool: str, owner: str, amounts: Amounts) -> None:
        used[pool, owner] = used.get((pool, owner), Amounts()) + amounts

    for held in (*store.tasks.held(), *store.servers.held()):
        add(held.pool, held.owner, Amounts(held.cpu, float(held.memory), float(held.gpu)))
    for service in store.services.every():
        amounts = Amounts.of(service.resources, held_replicas(service))
        add(service.pool, service.owner, amounts)
    for build in store.builds.active():
        if build.state == "running":
            add("", build.owner, Amounts.of(build_resources(capacity, context.options)))
    return _with_all(limits(context, capacity), used)


def _with_all(empty: Books, used: Mapping[tuple[str, str], Amounts]) -> Books:
    """Return the books with all promises, each ledger copied but once."""
    whole, pools, quotas = Amounts(), {name: Amounts() for name in empty.pools}, {}
    for (pool, owner), amounts in used.items():
        whole += amounts
        if pool in pools:
            pools[pool] += amounts
        quota = empty.quota(pool, owner)
        if quota is not None:
            quotas[pool, owner] = quota.with_use(amounts)
    return replace(
        empty,
        whole=empty.whole.with_use(whole),
        pools={name: ledger.with_use(pools[name]) for name, ledger in empty.pools.items()},
        quotas=quotas,
    )


def held_for_servers(store: Store, found: Books) -> Blocked:
    """Return what notebook servers wait for: what becomes free of these kinds is theirs.

    Somebody sits before them, so nothing else may take of these kinds meanwhile.
    """
    blocked = Blocked()
    for server in store.servers.waiting():
        lacking = found.shortage(server.pool, server.user, Amounts.of(server.resources))
        if lacking is not None:
            blocked.add(lacking)
    return blocked


def behind_servers(held: list[str]) -> str:
    """Return that a server comes first which needs these kinds, as a sentence's end; empty: none."""
    kinds = [KINDS[kind].removeprefix("MiB of ") for kind in held]
    return f"waiting behind a notebook server that needs {' and '.join(kinds)}" if kinds else ""


def build_resources(capacity: Capacity, options: PlatformOptions) -> Resources:
    """Return what a build may use, and reserves: never more than there is in all."""
    memory = min(options.build_memory_mb, capacity.memory_mb)
    return Resources(cpu=1, memory=memory, gpu=0, shm=64)


def why_build_waits(
    store: Store, context: Context, build: BuildRecord, capacity: Capacity
) -> str | None:
    """Return what an ordered build waits for, as a sentence's end; None when it may begin.

    Builds begin in the order in which they were ordered. They belong to no pool.
    """
    others = [b for b in store.builds.active() if b.id != build.id]
    running = sum(1 for other in others if other.state == "running")
    ahead = sum(1 for other in others if other.state == "queued" and other.id < build.id)
    behind = f"; {ahead} ahead of it" if ahead else ""
    if running >= context.options.builds_at_once:
        return f"waiting for one of {running} other builds to end{behind}"
    wanted = Amounts.of(build_resources(capacity, context.options))
    found = books(store, context, capacity)
    lacking = found.shortage("", build.owner, wanted)
    if lacking is not None:
        return lacking.text + behind
    after_server = behind_servers(held_for_servers(store, found).of("", wanted))
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


def require_possible(found: Books, pool: str, owner: str, wanted: Amounts) -> None:
    """Refuse at once what can never fit.

    Raises
    ------
    QuotaExceeded
        Names the resource, what was asked for and what there is in all, in the pool or in the quota.
    """
    never = found.never(pool, owner, wanted)
    if never is None:
        return
    kind = never.kinds[0]
    asked, there = getattr(wanted, kind), getattr(never.ledger.limit, kind)
    what, most = f"{_plain(asked)} {KINDS[kind]}", _plain(there)
    detail = {"resource": kind, "asked": asked, "limit": there, "pool": pool}
    if never.ledger.is_own:
        raise QuotaExceeded(
            f"This asks for {what}; your quota in the pool {pool} is {most}, so it could never "
            "start. Ask for less, or have an administrator raise the quota.",
            code="never_fits",
            detail=detail,
        )
    if never.ledger.place:
        raise QuotaExceeded(
            f"This asks for {what}; the pool {pool} has {most}, so it could never start. "
            "Ask for less, or choose another pool.",
            code="never_fits",
            detail=detail,
        )
    raise QuotaExceeded(
        f"This asks for {what}; there are {most} in all, so it could never start. "
        "Ask for less, or use a larger machine.",
        code="never_fits",
        detail=detail,
    )


def explain_impossible(never: Shortage, pool: str) -> Explanation:
    """Return why something that was admitted once to a pool, or none, can never start by now."""
    asked, there = (
        " and ".join(f"{_plain(getattr(amounts, kind))} {KINDS[kind]}" for kind in never.kinds)
        for amounts in (never.wanted, never.ledger.limit)
    )
    code = "pool_never_fits" if never.ledger.place else "never_fits"
    if never.ledger.limit == Amounts():
        code = "pool_gone"
    return explain_fault(BY_CODE[code], {"asked": asked, "there": there, "pool": pool})


def _plain(amount: float) -> str:
    """Return a number without exponent and without zeros that say nothing."""
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def words(lacking: list[str], wanted: Amounts, ledger: Ledger) -> str:
    """Return what something waits for, as a sentence's end."""
    parts = [
        f"{_plain(asked)} {(_ONE if asked == 1 else KINDS)[kind]} "
        f"({_plain(max(getattr(ledger.free, kind), 0))} free)"
        for kind, asked in ((kind, getattr(wanted, kind)) for kind in lacking)
    ]
    return "waiting for " + " and ".join(parts) + ledger.place
