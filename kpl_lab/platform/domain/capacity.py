"""The books as they stand: notebook servers, tasks, services and builds share what there is."""

from __future__ import annotations

from kpl_lab.engines.spec import Capacity
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain.ledgers import ENDLESS, KINDS, Amounts, Blocked, Books, Ledger
from kpl_lab.platform.settings import PlatformOptions
from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.records.work import ServiceRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources

ALIVE_INSTANCES = ("starting", "ready", "unhealthy")


def limits(context: Context, capacity: Capacity) -> Books:
    """Return what may be promised where nothing is: CPU up to a multiple of the cores."""
    overcommit = context.options.cpu_overcommit
    pools, shares = {}, {}
    for pool in context.pools.pools:
        own = _amounts(capacity.pools.get(pool.name, capacity), overcommit)
        most = Amounts.most(pool.limits)
        place = f" in the pool {pool.name}"
        pools[pool.name] = Ledger(own.within(most), allowed=most, place=place)
        share = Amounts.most(pool.per_user)
        if share != ENDLESS:
            shares[pool.name] = share
    whole = Ledger(_amounts(capacity, overcommit))
    return Books(whole, pools, {}, shares, varies=capacity.varies, grows=capacity.grows)


def _amounts(capacity: Capacity, overcommit: float) -> Amounts:
    return Amounts(capacity.cpu * overcommit, float(capacity.memory_mb), float(capacity.gpu))


def books(store: Store, context: Context, capacity: Capacity) -> Books:
    """Return the present state of all promises; nobody else promises until this transaction ends."""
    store.lock("promises")
    return standing(store, context, capacity)


def standing(store: Store, context: Context, capacity: Capacity) -> Books:
    """Return the present state of all promises, for who only tells of it and waits for nobody."""
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
    return limits(context, capacity).with_all(used)


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
    after_server = behind_servers(held_for_servers(store, found).of("", build.owner, wanted))
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
