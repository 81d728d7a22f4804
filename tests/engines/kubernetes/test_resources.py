"""Quantities of the API, and what a cluster has."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.plan import Shape
from kpl_lab.engines.kubernetes.resources import capacity, quantity
from kpl_lab.errors import EngineError
from tests.doubles.kubernetes import Server
from tests.engines.kubernetes.clusters import cluster as cluster
from tests.engines.kubernetes.clusters import naps as naps
from tests.engines.kubernetes.clusters import server as server


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("2", 2), ("500m", 0.5), ("1.5", 1.5), (".5", 0.5), ("+3", 3), ("100n", 1e-7),
        ("5u", 5e-6), ("2Ki", 2048), ("1Mi", 1 << 20), ("3Gi", 3 << 30), ("1Ti", 1 << 40),
        ("1k", 1000), ("1M", 1e6), ("2G", 2e9), ("1e3", 1000), ("1E3", 1000), ("2e-3", 0.002),
        ("1E", 1e18), ("1Ei", 1 << 60), (4, 4), (0.5, 0.5), (" 2Gi ", 2 << 30),
    ],
)  # fmt: skip
def test_a_quantity_is_a_number(text: str | float, number: float) -> None:
    assert quantity(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gi", "1mi", "1ki", "1K", "two", "1e", "1eKi"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no quantity|float"):
        quantity(text)


def node(
    name: str, gpus: dict[str, str] | None = None, *, ready: str = "True", closed: bool = False
) -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
        "spec": {"unschedulable": True} if closed else {},
        "status": {
            "allocatable": {"cpu": "3500m", "memory": "2Gi", **(gpus or {})},
            "capacity": {"cpu": "64", "memory": "512Gi"},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }  # fmt: skip


async def test_a_cluster_has_what_its_nodes_can_give(server: Server, cluster: Cluster) -> None:
    server.store.create(node("a", {"amd.com/gpu": "2"}))
    server.store.create(node("b"))
    server.store.create(node("gone", ready="Unknown"))
    server.store.create(node("closed", {"amd.com/gpu": "8"}, closed=True))
    found = await capacity(cluster, Shape(base_image="a", gpu_resource="amd.com/gpu"))
    assert (found.cpu, found.memory_mb, found.gpu) == (7.0, 4096, 2)
    assert (await capacity(cluster, Shape(base_image="a"))).gpu == 0


async def test_without_nodes_and_quota_the_missing_right_is_named(
    server: Server, cluster: Cluster
) -> None:
    server.faults.forbidden.add(("list", "nodes"))
    with pytest.raises(EngineError, match=r"`rbac.nodes` of the chart\), or make a ResourceQuota"):
        await capacity(cluster, Shape(base_image="a"))
