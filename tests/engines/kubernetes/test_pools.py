"""Resource pools on a cluster: where their pods go, what they have, and their limits as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.objects.quotas import kueue_queues, resource_quotas
from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.engines.kubernetes.pools import Pools
from kpl_lab.engines.kubernetes.resources import capacity
from kpl_lab.engines.spec import Kind, Limits
from kpl_lab.errors import EngineError, Invalid, Unavailable
from kpl_lab.formats.pools_yml import PoolsFile
from tests.doubles.kubernetes import Server
from tests.engines.kubernetes.clusters import cluster as cluster
from tests.engines.kubernetes.clusters import naps as naps
from tests.engines.kubernetes.clusters import server as server
from tests.engines.kubernetes.plans import command_of, plan_of
from tests.engines.kubernetes.standards import NEWEST

POOLS = """
version: 1
pools:
  - name: cpu
    title: Without accelerators
    limits: {cpu: 8, memory: 4096}
    kubernetes: {priority_class: kpl-cpu}
  - name: a100
    title: A100
    limits: {gpu: 4}
    kubernetes:
      node_selector: {gpu: a100}
      tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}]
      priority_class: kpl-a100
      queue: a100
  - name: mi300
    title: MI300
    kubernetes:
      gpu_resource: amd.com/gpu
      node_selector: {gpu: mi300}
      tolerations: [{key: gpu, value: amd}]
      runtime_class: rocm
      queue: mi300
"""
DEFAULT = Shape(
    base_image="a", node_selector={"zone": "east"}, tolerations=[{"key": "team"}], queue="all"
)


@pytest.fixture
def file(tmp_path: Path) -> PoolsFile:
    (tmp_path / "pools.yml").write_text(POOLS)
    return PoolsFile(tmp_path)


def test_what_a_pool_leaves_out_is_as_the_options_have_it(file: PoolsFile) -> None:
    pools = Pools(file, DEFAULT)
    assert pools.shape("") == DEFAULT
    assert pools.shape("cpu").queue == "all"
    found = pools.shape("mi300")
    assert (found.gpu_resource, found.runtime_class, found.queue) == (
        "amd.com/gpu",
        "rocm",
        "mi300",
    )
    assert found.node_selector == {"zone": "east", "gpu": "mi300"}
    assert list(found.tolerations) == [{"key": "team"}, {"key": "gpu", "value": "amd"}]


@pytest.mark.parametrize("kind", [Kind.TASK, Kind.SERVICE, Kind.SERVER])
@pytest.mark.parametrize(
    "resource",
    [
        "nvidia.com/gpu",
        "nvidia.com/gpu.shared",
        "nvidia.com/mig-1g.10gb",
        "amd.com/gpu",
        "huawei.com/Ascend910",
    ],
)
def test_what_a_pool_calls_a_gpu_is_what_its_pods_ask_for(
    tmp_path: Path, kind: Kind, resource: str
) -> None:
    one = f"{{name: p, title: P, kubernetes: {{gpu_resource: {resource}}}}}"
    (tmp_path / "pools.yml").write_text(f"version: 1\npools: [{one}]\n")
    shape = Pools(PoolsFile(tmp_path), Shape(base_image="a", gpu_resource="x.y/z")).shape("p")
    found = command_of(plan_of(kind, shape, limits=Limits(cpu=1, memory_mb=64, gpu=3)))["resources"]
    for part in ("limits", "requests"):
        assert set(found[part]) == {"cpu", "memory", resource}
        assert found[part][resource] == "3"


def test_a_pool_that_is_gone_is_named(file: PoolsFile) -> None:
    with pytest.raises(EngineError, match="no resource pool 'b200'"):
        Pools(file, DEFAULT).shape("b200")


def node(name: str, labels: dict[str, str], gpus: dict[str, str], *taints: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "4", "memory": "2Gi", **gpus},
                   "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip


async def test_each_pool_has_the_nodes_that_its_pods_go_to(
    server: Server, cluster: Cluster, file: PoolsFile
) -> None:
    gpu = {"key": "gpu", "effect": "NoSchedule"}
    amd = {"key": "gpu", "value": "amd", "effect": "NoExecute"}
    for one in (
        node("control", {}, {}, {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}),
        node("plain", {}, {}, {"key": "busy", "effect": "PreferNoSchedule"}),
        node("tried", {}, {}, {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}),
        node("n1", {"gpu": "a100"}, {"nvidia.com/gpu": "8"}, gpu),
        node("n2", {"gpu": "mi300"}, {"amd.com/gpu": "2", "nvidia.com/gpu": "1"}, amd),
        node("n3", {"gpu": "mi300"}, {"amd.com/gpu": "2"}, {**amd, "value": "other"}),
    ):  # fmt: skip
        server.store.create(one)
    shape = Shape(base_image="a")
    found = await capacity(cluster, shape, Pools(file, shape).all())
    assert {name: (one.cpu, one.gpu) for name, one in found.pools.items()} == {
        "cpu": (8.0, 0), "a100": (4.0, 8), "mi300": (4.0, 2),
    }  # fmt: skip
    # Taints count for pools alone: clusters may have pods tolerate some by themselves.
    assert (found.cpu, found.gpu, found.memory_mb) == (24.0, 11, 12288)


async def test_the_taint_of_an_accelerator_is_tolerated_by_who_asks_for_it(
    server: Server, cluster: Cluster
) -> None:
    taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
    server.store.create(node("n", {"gpu": "a100"}, {"nvidia.com/gpu": "8"}, taint))
    found = await capacity(cluster, Shape(base_image="a"), {"p": Shape(base_image="a")})
    assert (found.gpu, found.pools["p"].gpu) == (8, 8)


def test_limits_are_kept_by_the_cluster_too_where_pods_of_a_pool_are_known(file: PoolsFile) -> None:
    shapes = Pools(file, Shape(base_image="a")).all()
    cpu, a100 = resource_quotas("i1", "work", file.pools, shapes)
    assert kubernetes_validate.validate(cpu, NEWEST, strict=True) == NEWEST
    assert cpu["spec"]["hard"] == {"requests.cpu": "2500m", "requests.memory": "5120Mi"}
    assert a100["spec"]["hard"] == {"requests.nvidia.com/gpu": "4"}
    (known,) = a100["spec"]["scopeSelector"]["matchExpressions"]
    assert known == {"operator": "In", "scopeName": "PriorityClass", "values": ["kpl-a100"]}
    assert a100["metadata"]["name"] == "kpl-i1-pool-a100"


def test_kueue_gets_a_flavor_and_queues_of_each_pool_that_names_one(file: PoolsFile) -> None:
    shapes = Pools(file, Shape(base_image="a")).all()
    flavor, queue, local = kueue_queues("i1", "work", file.pools, shapes)
    assert flavor["spec"]["nodeLabels"] == {"gpu": "a100"}
    (group,) = queue["spec"]["resourceGroups"]
    assert group["coveredResources"] == ["cpu", "memory", "nvidia.com/gpu"]
    (of_flavor,) = group["flavors"]
    assert of_flavor["name"] == flavor["metadata"]["name"]
    # A queue that does not cover what pods ask for admits none of them.
    assert [one["nominalQuota"] for one in of_flavor["resources"]] == ["1000000", "1000000Gi", "4"]
    assert local["metadata"]["name"] == "a100"
    assert local["metadata"]["namespace"] == "work"
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]


def test_what_all_pools_have_in_common_limits_none_of_them(file: PoolsFile) -> None:
    shared = Shape(base_image="a", priority_class="everybody", queue="everybody")
    shapes = Pools(file, shared).all()
    quotas = resource_quotas("i1", "work", file.pools, shapes)
    assert [one["metadata"]["name"] for one in quotas] == ["kpl-i1-pool-cpu", "kpl-i1-pool-a100"]


def test_pools_that_a_cluster_could_not_tell_apart_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pools.yml").write_text(POOLS.replace("kpl-a100", "kpl-cpu"))
    file = PoolsFile(tmp_path)
    with pytest.raises(Invalid, match="2 pools have 'kpl-cpu'"):
        resource_quotas("i1", "work", file.pools, Pools(file, DEFAULT).all())


def test_a_pool_that_is_gone_keeps_nothing_that_runs_from_being_scaled(file: PoolsFile) -> None:
    with pytest.raises(EngineError):
        Pools(file, DEFAULT).shape("gone")
    (file._path).write_text("version: 2")
    assert Pools(file, DEFAULT).shape("a100").queue == "a100", "the last good file stays"
    with pytest.raises(Unavailable):
        Pools(PoolsFile(file._path.parent), DEFAULT).shape("a100")


async def test_a_quota_of_some_pods_is_not_taken_for_all_that_there_is(
    server: Server, cluster: Cluster
) -> None:
    server.faults.forbidden.add(("list", "nodes"))
    scoped = {"scopeSelector": {"matchExpressions": []}, "hard": {"requests.memory": "1Gi"}}
    for name, spec in (("a", scoped), ("tenant", {"hard": {"requests.memory": "8Gi"}})):
        metadata = {"name": name, "namespace": "kpl-lab"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}
        server.store.create(quota)
    assert (await capacity(cluster, Shape(base_image="a"))).memory_mb == 8192
