"""What is asked of a cluster before the platform starts, and done before it leaves; the cluster is the double."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.engines.kubernetes.transport import Patience
from kpl_lab.errors import EngineError, Unavailable
from kpl_lab.platform.domain.faults import BY_ENGINES_CODE
from kpl_lab.settings import Settings, load
from kpl_lab.supervisor import cluster
from kpl_lab.supervisor.home import prepare
from tests.doubles.kubernetes import Server, api_server
from tests.engines.kubernetes import rights

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
    wanted = rf"may not do what workloads need in the namespace {NS}: get pods/log, watch jobs\.batch\. Ask"
    with pytest.raises(EngineError, match=wanted) as caught:
        await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    assert caught.value.detail["missing"] == [["get", "Pod", "log"], ["watch", "Job", ""]]


async def test_what_only_clearing_away_needs_is_not_asked_for_at_the_start(
    settings: Settings, server: Server
) -> None:
    server.faults.forbidden |= {("deletecollection", "jobs"), ("deletecollection", "secrets")}
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)


async def test_clearing_away_names_all_that_it_may_not(settings: Settings, server: Server) -> None:
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    server.faults.forbidden |= {("deletecollection", "jobs"), ("delete", "services")}
    add(server, "Job", "mine", {names.INSTALLATION: settings.instance})
    said: list[str] = []
    await asyncio.to_thread(cluster.clear_cluster, settings, said.append)
    (text,) = said
    for words in (
        f"in the namespace {NS}: deletecollection jobs.batch, delete services.",
        "`kubectl delete`",
        names.selector(settings.instance),
    ):
        assert words in text


async def test_a_namespace_that_is_being_deleted_is_said(
    settings: Settings, server: Server
) -> None:
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    server.store.merge(("Namespace", "", NS), {"metadata": {"finalizers": ["kubernetes"]}})
    server.store.delete(("Namespace", "", NS))
    server.store.set_status("Namespace", "", NS, phase="Terminating")
    with pytest.raises(EngineError, match=f"namespace {NS} is being deleted; wait") as caught:
        await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    assert caught.value.code == "namespace_terminating"
    assert caught.value.code in BY_ENGINES_CODE


def test_no_cluster_is_said_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "absent"
    monkeypatch.setenv("KUBECONFIG", str(path))
    found = load({"KPL_HOME": str(tmp_path / "h"), "KPL_ENGINE": "kubernetes"})
    prepare(found)
    with pytest.raises(EngineError, match=f"no kubeconfig at {path}; set KUBECONFIG") as caught:
        cluster.ensure_cluster(found, print)
    assert caught.value.code == "no_cluster"


async def test_a_context_that_is_not_there_is_said_with_those_that_are(
    settings: Settings, server: Server
) -> None:
    (settings.home.root / "kubernetes_engine.py").write_text(
        "c.KubernetesOptions.context = 'elsewhere'\n"
    )
    with pytest.raises(EngineError, match="no context elsewhere; it has: double") as caught:
        await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    assert caught.value.code == "cluster_context"
    assert server.calls == []


async def test_a_cluster_that_does_not_answer_is_named(
    settings: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = partial(Cluster.open, patience=Patience(first=0.01, total=0.1))
    monkeypatch.setattr(Cluster, "open", hasty)
    await server.stop()
    with pytest.raises(Unavailable, match=f"{server.url} cannot be reached: nothing answers there"):
        await asyncio.to_thread(cluster.ensure_cluster, settings, print)


def add(server: Server, kind: str, name: str, labels: dict[str, str]) -> None:
    metadata = {"name": name, "namespace": NS, "labels": labels}
    server.store.create(
        {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": metadata, "spec": {}}
    )


async def test_the_platform_ends_before_its_workloads_go_and_others_stay(
    settings: Settings, server: Server
) -> None:
    await asyncio.to_thread(cluster.ensure_cluster, settings, print)
    mine = {names.INSTALLATION: settings.instance}
    kinds = ("Deployment", "Job", "Secret", "Service", "NetworkPolicy", "PersistentVolumeClaim")
    for kind in kinds:
        add(server, kind, "mine", mine)
        add(server, kind, "hers", HERS)
    add(server, "StatefulSet", "lab", {})
    server.store.set_status("StatefulSet", NS, "lab", replicas=1)
    server.used.clear()

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
    # No more and no less than what the roles of leaving have.
    assert server.used == rights.named((*cluster.LEAVING, *cluster.ENDING))


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
