"""What is asked of a cluster before the platform starts, and done before it leaves; the cluster is the double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.errors import EngineError
from kpl_lab.settings import Settings, load
from kpl_lab.supervisor import cluster
from kpl_lab.supervisor.home import prepare
from tests.doubles.kubernetes import Server, api_server

NS = "kpl-lab"
HERS = {names.INSTALLATION: "ffffffff"}


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with api_server() as found:
        yield found


@pytest.fixture
def settings(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    config = str(server.kubeconfig(tmp_path / "config"))
    monkeypatch.setenv("KUBECONFIG", config)
    variables = {"KPL_HOME": str(tmp_path / "h"), "KPL_ENGINE": "kubernetes", "KUBECONFIG": config}
    found = load(variables)
    prepare(found)
    return found


async def test_a_cluster_that_lets_us_is_named(settings: Settings) -> None:
    said: list[str] = []
    await asyncio.to_thread(cluster.ensure_cluster, settings, said.append)
    assert f"namespace {NS}; pods run kpl-lab/base:" in said[0]


async def test_every_right_that_is_missing_is_named(settings: Settings, server: Server) -> None:
    server.faults.forbidden |= {("watch", "jobs"), ("get", "pods/log")}
    with pytest.raises(
        EngineError, match=r"may not do .* get pods/log, watch jobs\.batch\. Ask"
    ) as caught:
        await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    assert caught.value.detail["missing"] == [["get", "Pod", "log"], ["watch", "Job", ""]]


def add(server: Server, kind: str, name: str, labels: dict[str, str]) -> None:
    api = {"StatefulSet": "apps/v1", "Job": "batch/v1", "Deployment": "apps/v1"}.get(kind, "v1")
    metadata = {"name": name, "namespace": NS, "labels": labels}
    server.store.create({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": {}})


async def test_the_platform_ends_before_its_workloads_go_and_others_stay(
    settings: Settings, server: Server
) -> None:
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    mine = {names.INSTALLATION: settings.instance}
    kinds = ("Deployment", "Job", "Secret", "Service", "PersistentVolumeClaim")
    for kind in kinds:
        add(server, kind, "mine", mine)
        add(server, kind, "hers", HERS)
    add(server, "StatefulSet", "lab", {})
    server.store.set_status("StatefulSet", NS, "lab", replicas=1)

    async def controller() -> None:
        while server.store.get("StatefulSet", NS, "lab")["spec"].get("replicas") != 0:
            await server.store.changed.wait()
            await asyncio.sleep(0)
        # It takes its time: nothing is removed before.
        assert {one["metadata"]["name"] for one in server.store.all("Job", NS)} == {"mine", "hers"}
        server.store.set_status("StatefulSet", NS, "lab", replicas=0)

    said: list[str] = []
    leaving = asyncio.to_thread(cluster.leave_cluster, settings, NS, "lab", said.append)
    await asyncio.gather(leaving, controller())
    assert said == [f"ending the platform, {NS}/lab", f"removing the workloads in {NS}"]
    left = {kind: [one["metadata"]["name"] for one in server.store.all(kind, NS)] for kind in kinds}
    assert left.pop("PersistentVolumeClaim") == ["hers", "mine"]
    assert set(map(tuple, left.values())) == {("hers",)}


async def test_a_platform_that_is_gone_already_is_no_obstacle(
    settings: Settings, server: Server
) -> None:
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    add(server, "Job", "mine", {names.INSTALLATION: settings.instance})
    await asyncio.to_thread(cluster.leave_cluster, settings, NS, "lab", print)
    assert server.store.all("Job", NS) == []


async def test_a_pod_that_stays_is_told_with_the_next_step(
    settings: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_END_SECONDS", 0.2)
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    add(server, "StatefulSet", "lab", {})
    server.store.set_status("StatefulSet", NS, "lab", replicas=1)
    add(server, "Job", "mine", {names.INSTALLATION: settings.instance})
    with pytest.raises(EngineError, match="The pod of lab has not ended within"):
        await asyncio.to_thread(cluster.leave_cluster, settings, NS, "lab", print)
    assert len(server.store.all("Job", NS)) == 1
