"""Least rights: the runner asks for all that its account may do, and (``doubled``) for nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.engines.kubernetes.objects.routes import KIND_OF, route_selector
from kpl_lab.engines.spec import Handle, RegistryLogin, ReplicaState
from kpl_lab.errors import EngineError
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes_store import Json
from tests.engines.harness import end_of, is_state, see, task
from tests.engines.kubernetes.benches import NS, Doubled, doubled, server, until
from tests.engines.kubernetes.rights import of_running
from tests.engines.kubernetes.routing import (
    BY_GATEWAY,
    BY_INGRESS,
    PEER,
    hurry,
    route,
    serving,
    settled,
)

WAYS: dict[str, Json] = {
    "frontdoor": {},
    "gateway": BY_GATEWAY,
    "ingress": {**BY_INGRESS, "route_from": [PEER]},
}
IMAGE = "registry.example/team/image:1"


def left(bench: Doubled, labels: Mapping[str, str], *kinds: str) -> None:
    """Leave objects that the runner made once, and that go with nothing."""
    for kind in kinds:
        metadata = {"name": "left", "namespace": NS, "labels": dict(labels)}
        found = {"apiVersion": KINDS[kind].api, "kind": kind, "metadata": metadata, "spec": {}}
        bench.server.store.create(found)


async def what_the_cluster_has_is_asked(bench: Doubled) -> None:
    # Who may not see nodes is told the quota.
    bench.server.faults.forbidden.add(("list", "nodes"))
    with pytest.raises(EngineError, match="quota"):
        await bench.engine.capacity()
    bench.server.faults.forbidden.clear()


async def a_task_that_waits_runs_and_ends(bench: Doubled) -> None:
    await bench.run(task("t", "work"))
    pod = await bench.pod("t")
    await until(lambda: bench.server.count("list", "Event"))
    handle = Handle(engine="kubernetes", name="t")
    play.place(bench.server.store, pod)
    play.run(bench.server.store, pod)
    await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
    await bench.engine.usage(handle)
    bench.says(pod, "hello\n")
    await until(lambda: bench.server.count("get", "Pod"))
    bench.ends(pod)
    await end_of(bench.engine, "t")
    await bench.engine.delete(handle)


async def replicas_meet(bench: Doubled) -> None:
    await bench.run(task("m", "work", replicas=2))
    await bench.engine.delete(Handle(engine="kubernetes", name="m"))


async def an_image_is_looked_at(bench: Doubled) -> None:
    login = RegistryLogin(username="ann", password="secret")
    looking = asyncio.create_task(bench.engine.inspect_image(IMAGE, login=login))
    (pod,) = await until(lambda: bench.server.store.all("Pod", NS))
    play.place(bench.server.store, pod)
    bench.ends(pod)
    await looking


async def a_service_serves_and_a_server_has_a_home(bench: Doubled) -> None:
    await serving(bench, "s")
    await bench.run(server("u"))
    await bench.running("u")
    labels = names.workload_selector(bench.settings.instance, "u")
    left(bench, labels, "Service", "NetworkPolicy")
    await bench.engine.delete(Handle(engine="kubernetes", name="u"))


async def a_route_leads_to_it(bench: Doubled, routes: str) -> None:
    others = [kind for way, kind in KIND_OF.items() if way != routes]
    labels = dict(one.split("=") for one in route_selector(bench.settings.instance).split(","))
    left(bench, labels, *others)
    if routes == "frontdoor":
        await bench.engine.route([])
    else:
        await settled(bench, route(s=100))
        await bench.engine.route([])
    assert bench.objects(*KIND_OF.values()) == []
    await bench.engine.delete(Handle(engine="kubernetes", name="s"))


@pytest.mark.parametrize("routes", list(WAYS))
async def test_what_the_account_may_do_is_what_the_runner_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, routes: str
) -> None:
    hurry(monkeypatch)
    async with doubled(tmp_path, home_volume="claim", **WAYS[routes]) as bench:
        await what_the_cluster_has_is_asked(bench)
        await an_image_is_looked_at(bench)
        await a_task_that_waits_runs_and_ends(bench)
        await replicas_meet(bench)
        await a_service_serves_and_a_server_has_a_home(bench)
        await a_route_leads_to_it(bench, routes)
        assert of_running(routes) - bench.server.used == set()
