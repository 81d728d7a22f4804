"""What a real scheduler, kubelet, quota and provisioner say reaches whoever waits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.spec import Kind, Observation, Workload
from tests.engines.harness import end_of, limits, see, start, task
from tests.kubernetes.harness import Kubectl, KubernetesBench, kubernetes_bench

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
ABSENT = "registry.invalid/nobody/has-it:1"


def waits(seen: Observation) -> dict[str, Any]:
    """Return what a replica waits for; empty where it says nothing."""
    found: dict[str, Any] = (seen.replicas and seen.replicas[0].detail.get("waits")) or {}
    return found


async def told(bench: KubernetesBench, workload: Workload, code: str) -> str:
    """Start a workload and return the sentence with which it waits for something."""
    await start(bench.engine, workload)

    def is_said(seen: Observation) -> bool:
        return str(waits(seen).get("code", "")).startswith(code)

    seen = await see(bench.engine, workload.name, is_said, 60)
    return str(waits(seen)["text"])


async def test_a_task_that_no_node_can_take_names_the_node_and_what_it_lacks(
    bench: KubernetesBench,
) -> None:
    (node, *_) = bench.kubectl.objects("nodes", "")
    text = await told(bench, task("big", "true", limits=limits(cpu=4000)), "insufficient")
    assert "CPU" in text or "cores" in text
    assert node["metadata"]["name"] in text


async def test_an_image_that_is_nowhere_is_named(bench: KubernetesBench) -> None:
    await start(bench.engine, task("absent", "true", image=ABSENT))
    end = await end_of(bench.engine, "absent")
    assert ABSENT in json.dumps(end.detail)


async def test_a_quota_that_is_used_up_is_quoted(bench: KubernetesBench) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none-left", "namespace": bench.kubectl.namespace},
        "spec": {"hard": {"limits.memory": "100Mi"}},
    }
    await bench.engine.capacity()  # the runner has made the namespace
    bench.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    try:
        text = await told(bench, task("over", "true"), "cluster_quota")
        assert "none-left" in text
        assert "memory" in text
    finally:
        bench.kubectl("delete", "resourcequota", "none-left")
    end = await end_of(bench.engine, "over")
    assert end.exit_code == 0


async def test_a_storage_class_that_there_is_not_is_named(kubectl: Kubectl, tmp_path: Path) -> None:
    async with kubernetes_bench(tmp_path, kubectl, {"storage_class": "none-such"}) as bench:
        server = replace(task("lab", "sleep 600"), kind=Kind.SERVER, home="ann", port=0)
        await start(bench.engine, server)
        end = await end_of(bench.engine, "lab")
        assert end.detail["code"] == "storage_class_missing"
        assert "none-such" in end.detail["error"]
