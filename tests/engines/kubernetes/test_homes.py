"""Claims for homes: they grow, and never keep a server from starting that has one already."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.making import have_objects, remove_objects
from kpl_lab.engines.kubernetes.plan import Plan
from kpl_lab.errors import KplError
from tests.doubles.kubernetes import Server
from tests.doubles.kubernetes_faults import Fault
from tests.engines.kubernetes.clusters import cluster as cluster
from tests.engines.kubernetes.clusters import naps as naps
from tests.engines.kubernetes.clusters import server as server
from tests.engines.kubernetes.plans import PLANS

CLAIM = "PersistentVolumeClaim"


def plan(home_mb: int, storage_class: str = "") -> Plan:
    found = PLANS["server"]
    shape = replace(found.shape, home_mb=home_mb, storage_class=storage_class, home_volume="claim")
    return replace(found, shape=shape, namespace="kpl-lab")


def size(server: Server, wanted: Plan) -> str:
    home = wanted.workload.home
    assert home is not None
    claim = server.store.get(CLAIM, "kpl-lab", names.home_claim(wanted.installation, home))
    return str(claim["spec"]["resources"]["requests"]["storage"])


async def started_again(cluster: Cluster, wanted: Plan) -> None:
    await remove_objects(cluster, wanted.installation, wanted.workload)
    await have_objects(cluster, wanted)


async def test_a_home_grows_at_the_next_start(server: Server, cluster: Cluster) -> None:
    await have_objects(cluster, plan(1024))
    await started_again(cluster, plan(4096))
    assert size(server, plan(4096)) == "4096Mi"


@pytest.mark.parametrize("changed", [plan(512), plan(1024, "fast")], ids=["smaller", "class"])
async def test_a_home_that_cannot_become_otherwise_serves_as_it_is(
    server: Server, cluster: Cluster, changed: Plan
) -> None:
    await have_objects(cluster, plan(1024))
    await started_again(cluster, changed)
    assert size(server, changed) == "1024Mi"


async def test_a_class_that_cannot_grow_keeps_nobody_from_starting(
    server: Server, cluster: Cluster
) -> None:
    await have_objects(cluster, plan(1024))
    # https://github.com/kubernetes/kubernetes: plugin/pkg/admission/storage/persistentvolume/resize
    said = "the storageclass that provisions the pvc must support resize"
    server.faults.planned.append(Fault("patch", CLAIM, 403, times=1, message=said))
    await started_again(cluster, plan(4096))
    assert size(server, plan(4096)) == "1024Mi"


async def test_a_home_that_is_not_there_and_refused_is_told(
    server: Server, cluster: Cluster
) -> None:
    server.faults.denied[CLAIM] = "no claims today"
    with pytest.raises(KplError, match="no claims today"):
        await have_objects(cluster, plan(1024))
