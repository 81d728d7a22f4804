"""Routes of services on the double of an API server: made, changed, refused, withdrawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab import settings as settings_module
from kpl_lab.engines.kubernetes import routes as module
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.engines.routing import Route
from kpl_lab.errors import Invalid
from tests.engines.kubernetes.benches import NS, Doubled, doubled
from tests.engines.kubernetes.routing import (
    BY_GATEWAY,
    BY_INGRESS,
    OBJECTS,
    PARENT,
    PEER,
    answer,
    asked,
    give_address,
    hurry,
    let_in,
    route,
    serving,
    settled,
    there,
    weights,
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path, **BY_GATEWAY) as found:
        yield found


async def test_a_route_is_made_once_there_is_an_address_and_taken_when_it_was_read(
    bench: Doubled,
) -> None:
    await serving(bench, "a", has_address=False)
    state = await asked(bench, route(a=100))
    assert (state.is_taken, state.is_settled, bench.objects(*OBJECTS)) == (False, False, [])
    give_address(bench, "a")
    state = await asked(bench, route(a=100))
    assert (state.is_taken, state.is_settled, state.leads_to) == (False, False, ("a",))
    found = there(bench)
    assert found["spec"]["parentRefs"] == [PARENT]
    owner = bench.server.store.get("Deployment", NS, bench.object_name("a"))["metadata"]["uid"]
    assert [one["uid"] for one in found["metadata"]["ownerReferences"]] == [owner]
    assert there(bench, "NetworkPolicy")["spec"]["ingress"][0]["from"] == [PEER]
    answer(bench)
    state = await settled(bench, route(a=100))
    assert (state.is_taken, state.message) == (True, "")
    before = bench.server.count("patch", "HTTPRoute")
    await bench.restart()
    assert (await settled(bench, route(a=100))).is_taken
    assert bench.server.count("patch", "HTTPRoute") == before


async def test_the_former_revision_is_led_to_until_the_gateway_has_gone_over(
    bench: Doubled,
) -> None:
    await serving(bench, "a", "b")
    await asked(bench, route(a=75, b=25))
    assert weights(there(bench)) == [75, 25]
    answer(bench)
    assert (await settled(bench, route(a=75, b=25))).leads_to == ("a", "b")
    for _ in range(3):
        state = await asked(bench, route(b=100))
        assert (state.leads_to, state.is_settled) == (("a", "b"), False)
        assert let_in(bench) == {"a", "b"}  # the gateway has not read it yet
    assert weights(there(bench)) == [100]
    answer(bench)
    assert (await asked(bench, route(b=100))).leads_to == ("a", "b")  # its proxies follow
    assert (await settled(bench, route(b=100))).leads_to == ("b",)
    assert let_in(bench) == {"b"}


async def test_a_route_that_breaks_calls_each_time_is_tried_less_and_less_often(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN_SECONDS", 0.5)
    await serving(bench, "a")
    waits = []
    for _ in range(3):
        async with asyncio.timeout(10):
            while not bench.objects("HTTPRoute"):
                await asked(bench, route(a=100))
        answer(bench, ("ResolvedRefs", "False", "BackendNotFound"))
        while bench.objects("HTTPRoute"):
            await asked(bench, route(a=100))
        since = time.monotonic()
        async with asyncio.timeout(10):
            while not bench.objects("HTTPRoute"):
                await asked(bench, route(a=100))
        waits.append(time.monotonic() - since)
    assert waits[1] > 0.7
    assert waits[2] > 1.6


async def test_a_gateway_that_never_answers_is_waited_for_no_longer(bench: Doubled) -> None:
    await serving(bench, "a", "b")
    bench.server.faults.forbidden.add(("get", "gateways"))
    state = await settled(bench, route(a=100))
    assert not state.is_taken
    assert "there is no gateway gateways/edge, or its controller does not run" in state.message
    bench.server.faults.forbidden.clear()
    state = await settled(bench, route(b=100))
    assert state.leads_to == ("b",)
    assert "There is no gateway gateways/edge in the cluster" in state.message


async def test_of_several_gateways_the_one_that_says_nothing_is_named(tmp_path: Path) -> None:
    options = {**BY_GATEWAY, "route_parents": [PARENT, {"name": "inner", "namespace": NS}]}
    async with doubled(tmp_path, **options) as bench:
        await serving(bench, "a")
        await asked(bench, route(a=100))
        answer(bench)
        state = await settled(bench, route(a=100))
        assert state.is_taken
        assert state.message.startswith(f"There is no gateway {NS}/inner in the cluster")


async def test_a_refused_route_is_told_and_one_that_breaks_calls_is_withdrawn(
    bench: Doubled,
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    answer(bench, ("Accepted", "False", "NotAllowedByListeners"))
    state = await settled(bench, route(a=100))
    assert not state.is_taken
    assert f"takes no routes of the namespace {NS}" in state.message
    answer(bench, ("ResolvedRefs", "False", "BackendNotFound"))
    state = await settled(bench, route(a=100))
    assert "BackendNotFound it is" in state.message
    assert bench.objects(*OBJECTS) == []
    assert (await asked(bench, route(a=100))).message == state.message
    assert bench.objects(*OBJECTS) == []


async def test_what_was_not_read_yet_is_not_taken_for_nothing(bench: Doubled) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    await bench.restart()
    await bench.engine.capacity()
    bench.server.faults.fail(503, "list", "HTTPRoute", times=1000)
    state = await asked(bench, route(a=100))
    assert (state.leads_to, state.is_known, state.is_settled) == ((), False, False)
    bench.server.faults.planned.clear()
    state = await asked(bench, route(a=100))
    assert (state.leads_to, state.is_known) == (("a",), True)
    bench.server.faults.fail(503, "list", "HTTPRoute", times=1000)
    state = await asked(bench, route(a=100))
    assert (state.leads_to, state.is_known) == (("a",), True)


async def test_a_cluster_without_the_gateway_api_says_so(bench: Doubled) -> None:
    bench.server.unknown.add("HTTPRoute")
    await serving(bench, "a")
    state = await asked(bench, route(a=100))
    assert "The cluster has no Gateway API" in state.message
    assert (state.is_taken, state.is_settled) == (False, True)
    assert bench.objects(*OBJECTS) == []


async def test_a_missing_right_is_named(bench: Doubled) -> None:
    bench.server.faults.forbidden.add(("patch", "httproutes"))
    await serving(bench, "a")
    state = await asked(bench, route(a=100))
    assert "may not patch httproutes in the namespace kpl-lab" in state.message
    assert 'apiGroups: ["gateway.networking.k8s.io"]' in state.message


async def test_a_path_that_others_may_read_otherwise_stays_with_the_front_door(
    bench: Doubled,
) -> None:
    await serving(bench, "a")
    odd = Route(name="route-1", path="/svc/default/数字", shares={"a": 100})
    state = await asked(bench, odd)
    assert "holds other letters" in state.message
    assert bench.objects(*OBJECTS) == []


async def test_what_is_changed_by_others_or_known_to_nobody_is_put_right(bench: Doubled) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    found = there(bench)
    bench.server.store.delete(("HTTPRoute", NS, found["metadata"]["name"]))
    await asked(bench, route(a=100))
    stranger = {**there(bench), "metadata": {**found["metadata"], "name": "stranger"}}
    for key in ("uid", "resourceVersion"):
        stranger["metadata"].pop(key, None)
    bench.server.store.create(stranger)
    await asked(bench, route(a=100))
    assert there(bench)["metadata"]["name"] == found["metadata"]["name"]


async def test_an_ingress_leads_to_one_revision_alone(tmp_path: Path) -> None:
    async with doubled(tmp_path, **BY_INGRESS) as bench:
        await serving(bench, "a", "b")
        state = await settled(bench, route(a=100))
        assert (state.is_taken, state.leads_to) == (True, ("a",))
        assert there(bench, "Ingress")["metadata"]["annotations"]["a"] == "b"
        state = await settled(bench, route(a=50, b=50))
        assert "An Ingress cannot divide calls" in state.message
        assert (state.leads_to, bench.objects(*OBJECTS)) == ((), [])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("routes = 'gateway'", "needs route_parents"),
        ("routes = 'ingress'", "needs route_hosts and ingress_annotations"),
    ],
)
def test_a_way_that_is_not_whole_is_refused(tmp_path: Path, line: str, words: str) -> None:
    found = settings_module.load({"KPL_HOME": str(tmp_path), "KPL_ENGINE": "kubernetes"})
    (tmp_path / "kubernetes_engine.py").write_text(f"c.KubernetesOptions.{line}\n")
    with pytest.raises(Invalid, match=words):
        load_options(found.home, found.cluster)
