"""``kpl-lab pools``: the administrator's file of resource pools, and the same for a cluster."""

from __future__ import annotations

import yaml

from kpl_lab.engines.kubernetes.objects.quotas import kueue_queues, resource_quotas
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.engines.kubernetes.planner import shape_of
from kpl_lab.engines.kubernetes.pools import Pools
from kpl_lab.errors import Invalid
from kpl_lab.formats.pools_yml import FILE, PoolsFile, load_pools
from kpl_lab.schemas.pools import Pool
from kpl_lab.settings import Settings

MIRRORS = {"resource-quota": resource_quotas, "kueue": kueue_queues}


def told(settings: Settings) -> str:
    """Return the pools of the file, a line each.

    Raises
    ------
    Invalid
        The file is wrong; says where.
    """
    pools = load_pools(settings.home.root / FILE)
    if not pools:
        return f"There is no {settings.home.root / FILE}: everything shares all that there is."
    return "\n".join(f"{one.name:<20} {_for(one):<24} {one.title}" for one in pools)


def _for(pool: Pool) -> str:
    return ", ".join([*pool.users, *(f"@{one}" for one in pool.groups)]) or "everybody"


def mirrored(settings: Settings, way: str) -> str:
    """Return the pools' limits as objects of the cluster, as YAML for ``kubectl apply -f -``.

    Raises
    ------
    Invalid
        The file is wrong, or no pool has limits and what such an object is known by.
    """
    options = load_options(settings.home, settings.cluster)
    file = PoolsFile(settings.home.root)
    shapes = Pools(file, shape_of(options)).all()
    found = MIRRORS[way](settings.instance, options.namespace, file.pools, shapes)
    if not found:
        key = "priority_class" if way == "resource-quota" else "queue"
        raise Invalid(
            f"No pool in {FILE} has both `limits` and `kubernetes.{key}`, by which a cluster would "
            "know what belongs to it.",
            code="nothing_to_mirror",
        )
    return yaml.safe_dump_all(found, sort_keys=False)
