"""What a look at the whole table of wishes finds: what is not as it is wanted, and what nobody wants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from kpl_lab.platform.runtime.reconcilers import servers, tasks
from kpl_lab.platform.runtime.world import Key, World, ended
from kpl_lab.platform.storage.repositories.base import Repository
from kpl_lab.platform.storage.store import Store


def wishes(world: World, store: Store) -> list[Key]:
    """Return everything that is not yet as it is wanted.

    Of thousands that run as they should, nothing is read but that: whatever becomes of them, the
    engine tells.
    """
    keys = [Key("routes"), Key("passes"), Key("schedule")]
    keys += [
        Key("tasks", one.id)
        for one in store.tasks.steps()
        if (one.state, one.desired) != ("running", "run")
        or not _runs(world, tasks.workload_name(one))
    ]
    keys += [Key("services", s.id) for s in store.services.every()]
    keys += [
        Key("servers", one.id)
        for one in store.servers.steps()
        if one.state != "running" or not _runs(world, servers.workload_name(one))
    ]
    keys += [Key("mounts", m.id) for m in store.mounts.pending()]
    keys += [Key("builds", b.id) for b in store.builds.active()]
    keys += [Key("images", i.id) for i in store.images.in_state("preparing")]
    datasets = store.dataset_versions.in_state("preparing")
    keys += [Key("dataset_versions", v.id) for v in datasets if v.upload_id is not None]
    models = store.model_versions.in_state("preparing")
    keys += [Key("model_versions", v.id) for v in models if v.upload_id is not None]
    return keys


def _runs(world: World, name: str) -> bool:
    """Say whether the engine has told of a workload, and that it has not ended."""
    seen = world.seen.get(name)
    return seen is not None and bool(seen.replicas) and ended(seen) is None


def strangers(store: Store, workloads: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the names of those workloads that no row knows; each has its table and id."""
    tables: Mapping[str, Repository[Any, Any]] = {
        "tasks": store.tasks,
        "services": store.services,
        "servers": store.servers,
        "builds": store.builds,
    }
    named: dict[str, dict[str, int]] = defaultdict(dict)
    for name, (resource, id) in workloads.items():
        if resource in tables:
            named[resource][name] = int(id) if id.isdigit() else 0
    found = []
    for resource, ids in named.items():
        known = tables[resource].known(ids.values())
        found += [name for name, id in ids.items() if id not in known]
    return found
