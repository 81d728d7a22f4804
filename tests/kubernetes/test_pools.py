"""Resource pools on a real cluster: where their pods go, what they have, and their limits as objects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.quotas import resource_quotas
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.engines.kubernetes.planner import shape_of
from kpl_lab.engines.kubernetes.pools import Pools
from kpl_lab.engines.spec import Cause
from kpl_lab.errors import EngineError
from kpl_lab.formats.pools_yml import PoolsFile
from tests.engines.harness import end_of, start, task
from tests.kubernetes.harness import Kubectl, KubernetesBench

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
POOLS = """
version: 1
pools:
  - {name: linux, title: Any, limits: {memory: 4096, gpu: 1},
     kubernetes: {node_selector: {kubernetes.io/os: linux}, priority_class: CLASS}}
  - {name: nowhere, title: None, kubernetes: {node_selector: {kpl-lab.io/no-such: node}}}
"""


@pytest.fixture
async def pooled(bench: KubernetesBench, kubectl: Kubectl) -> AsyncIterator[KubernetesBench]:
    """A runner with two pools, in the first of which pods have a PriorityClass of their own."""
    name = f"{kubectl.namespace}-pool"
    kind = {
        "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": 7,
    }  # fmt: skip
    apply(kubectl, bench.home, kind)
    (bench.home / "pools.yml").write_text(POOLS.replace("CLASS", name))
    yield bench
    kubectl("delete", "priorityclass", name, check=False)


def apply(kubectl: Kubectl, folder: Path, *objects: object) -> None:
    path = folder / "objects.yml"
    path.write_text(yaml.safe_dump_all(objects))
    kubectl("apply", "-f", str(path))


async def test_pods_go_to_the_nodes_of_their_pool_and_the_cluster_keeps_its_limits(
    pooled: KubernetesBench, kubectl: Kubectl
) -> None:
    there = await pooled.engine.capacity()
    assert there.varies
    assert there.pools["linux"].memory_mb == there.memory_mb > 0
    assert there.pools["nowhere"].cpu == 0
    file = PoolsFile(pooled.home)
    options = load_options(pooled.settings.home, pooled.settings.cluster)
    shapes = Pools(file, shape_of(options)).all()
    quotas = resource_quotas(pooled.settings.instance, kubectl.namespace, file.pools, shapes)
    apply(kubectl, pooled.home, *quotas)
    await start(pooled.engine, replace(task("t", "sleep 3"), pool="linux"))
    (pod,) = pooled.pods("t")
    assert pod["spec"]["priority"] == 7
    quota = json.loads(kubectl("get", "resourcequota", quotas[0]["metadata"]["name"], "-o", "json"))
    assert quota["status"]["hard"]["requests.memory"] == "5Gi"
    assert quota["status"]["used"]["requests.memory"] != "0"
    end = await end_of(pooled.engine, "t")
    assert (end.cause, end.exit_code) == (Cause.EXIT, 0)
    await start(pooled.engine, task("plain", "true"))
    assert "priorityClassName" not in pooled.pods("plain")[0]["spec"]
    assert (await end_of(pooled.engine, "plain")).exit_code == 0
    assert pooled.kubectl.objects("resourcequotas", names.selector(pooled.settings.instance))


async def test_a_pool_that_is_gone_is_named(pooled: KubernetesBench) -> None:
    with pytest.raises(EngineError, match="no resource pool 'other'"):
        await start(pooled.engine, replace(task("t", "true"), pool="other"))
