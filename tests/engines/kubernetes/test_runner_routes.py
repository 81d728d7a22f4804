"""Routes of services on the double of an API server: made, changed, refused, withdrawn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab import settings as settings_module
from kpl_lab.engines.kubernetes import routes as module
from kpl_lab.engines.kubernetes.options import load_options
from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.engines.spec import Handle, ReplicaState
from kpl_lab.errors import Invalid
from tests.doubles.kubernetes_store import Json
from tests.engines.harness import is_state, see
from tests.engines.kubernetes.benches import NS, Doubled, doubled, service, until

PARENT = {"name": "edge", "namespace": "gateways"}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
BY_GATEWAY: dict[str, Any] = {"routes": "gateway", "route_parents": [PARENT], "route_from": [PEER]}
BY_INGRESS: dict[str, Any] = {
    "routes": "ingress",
    "route_hosts": ["lab.example"],
    "ingress_annotations": {"a": "b"},
}
OBJECTS = ("HTTPRoute", "Ingress", "NetworkPolicy")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for long."""
    for name in ("_SETTLE_SECONDS", "_BLIND_SECONDS", "_DOUBT_SECONDS"):
        monkeypatch.setattr(module, name, 0.2)
    monkeypatch.setattr(module, "_LIST_SECONDS", 0.0)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 1.0)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path, **BY_GATEWAY) as found:
        yield found


async def serving(bench: Doubled, *workloads: str, has_address: bool = True) -> None:
    """Have services that are ready."""
    for name in workloads:
        await bench.run(service(name))
        await bench.running(name)
        await see(bench.engine, name, is_state(ReplicaState.READY))
        if has_address:
            give_address(bench, name)


def give_address(bench: Doubled, workload: str) -> None:
    """Let the cluster know an address of a service."""
    name = bench.object_name(workload)
    bench.server.store.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-x",
                "namespace": NS,
                "labels": {"kubernetes.io/service-name": name},
            },
            "endpoints": [{"addresses": ["192.0.2.20"], "conditions": {"ready": True}}],
        }
    )


def route(**shares: int) -> Route:
    found = {name.replace("_", "-"): weight for name, weight in shares.items()}
    return Route(name="route-1", path="/svc/default/digits", shares=found)


async def asked(bench: Doubled, *wanted: Route) -> RouteState:
    """Ask for routes; return what has become of the last."""
    return (await bench.engine.route(wanted))[-1]


async def settled(bench: Doubled, wanted: Route) -> RouteState:
    """Ask for a route until nothing changes any more."""
    while True:
        found = await asked(bench, wanted)
        if found.is_settled:
            return found


def there(bench: Doubled, kind: str = "HTTPRoute") -> Any:
    (found,) = bench.server.store.all(kind, NS)
    return found


def answer(bench: Doubled, *bad: tuple[str, str, str]) -> None:
    """Be the gateway's controller: it has read the route, and finds it good but for what is given."""
    found = there(bench)
    conditions = dict.fromkeys(("Accepted", "ResolvedRefs"), ("True", "Good"))
    conditions |= {kind: (status, reason) for kind, status, reason in bad}
    told = [
        {"type": kind, "status": status, "reason": reason, "message": f"{reason} it is",
         "observedGeneration": found["metadata"]["generation"]}
        for kind, (status, reason) in conditions.items()
    ]  # fmt: skip
    parents = [{"parentRef": PARENT, "controllerName": "c", "conditions": told}]
    bench.server.store.set_status("HTTPRoute", NS, found["metadata"]["name"], parents=parents)


def weights(found: Json) -> list[int]:
    return [one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]]


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
    assert weights(there(bench)) == [100]
    answer(bench)
    assert (await asked(bench, route(b=100))).leads_to == ("a", "b")  # its proxies follow
    assert (await settled(bench, route(b=100))).leads_to == ("b",)


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


async def test_a_route_that_is_not_wanted_any_more_goes(bench: Doubled) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


async def test_a_route_goes_with_its_last_workload_though_nobody_asks(bench: Doubled) -> None:
    await serving(bench, "a", "b")
    await asked(bench, route(a=50, b=50))
    await bench.engine.delete(Handle(engine="kubernetes", name="a"))
    assert bench.objects("HTTPRoute") != []
    await bench.engine.delete(Handle(engine="kubernetes", name="b"))
    assert bench.objects(*OBJECTS) == []


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


async def test_a_route_that_cannot_be_removed_is_said_in_the_log_and_removed_later(
    bench: Doubled, caplog: pytest.LogCaptureFixture
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    bench.server.faults.forbidden.add(("delete", "httproutes"))
    for _ in range(2):
        assert await bench.engine.route([]) == []
    said = [one for one in caplog.messages if "routes of services stay as they were" in one]
    assert len(said) == 1
    assert "may not delete httproutes" in said[0]
    bench.server.faults.forbidden.clear()
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


async def test_an_ingress_leads_to_one_revision_alone(tmp_path: Path) -> None:
    async with doubled(tmp_path, **BY_INGRESS) as bench:
        await serving(bench, "a", "b")
        state = await settled(bench, route(a=100))
        assert (state.is_taken, state.leads_to) == (True, ("a",))
        assert there(bench, "Ingress")["metadata"]["annotations"]["a"] == "b"
        state = await settled(bench, route(a=50, b=50))
        assert "An Ingress cannot divide calls" in state.message
        assert (state.leads_to, bench.objects(*OBJECTS)) == ((), [])


def without_ways(bench: Doubled) -> None:
    """Have the options name no way any more."""
    (bench.settings.home.root / "kubernetes_engine.py").write_text(
        "c.KubernetesOptions.connect_host = '127.0.0.1'\n"
    )
    bench.start()


async def test_a_way_that_may_not_be_removed_is_said_and_removed_once_it_may(
    bench: Doubled, caplog: pytest.LogCaptureFixture
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    await bench.crash()
    bench.server.faults.forbidden.add(("list", "httproutes"))
    without_ways(bench)
    for _ in range(3):
        assert await bench.engine.route([]) == []
    said = [one for one in caplog.messages if "may lead calls on" in one]
    assert len(said) == 1
    assert "may not list httproutes" in said[0]
    assert there(bench)
    bench.server.faults.forbidden.clear()
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


@pytest.mark.parametrize("is_forbidden", [False, True])
async def test_a_cluster_without_the_gateway_api_has_nothing_left_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_forbidden: bool
) -> None:
    async with doubled(tmp_path) as bench:
        if is_forbidden:
            bench.server.faults.fail(403, "get", "httproutes", times=9)
        bench.server.unknown.add("HTTPRoute")
        for _ in range(2):
            assert await bench.engine.route([]) == []
        assert bench.server.count("list", "Ingress") == 1
        assert [one for one in caplog.messages if "may lead" in one] == []


async def test_another_way_removes_what_the_former_has_left(tmp_path: Path) -> None:
    async with doubled(tmp_path, **BY_INGRESS, route_from=[PEER]) as bench:
        await serving(bench, "a")
        await asked(bench, route(a=100))
        assert len(bench.objects(*OBJECTS)) == 2
        await bench.crash()
        without_ways(bench)
        assert await bench.engine.route([route(a=100)]) == []
        await until(lambda: bench.objects(*OBJECTS) == [])


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
