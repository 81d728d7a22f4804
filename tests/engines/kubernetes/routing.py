"""Services with routes on the double of an API server, and the gateway's controller."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.engines.kubernetes import routes as module
from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.engines.spec import ReplicaState
from tests.doubles.kubernetes_store import Json
from tests.engines.harness import is_state, see
from tests.engines.kubernetes.benches import NS, Doubled, service

PARENT = {"name": "edge", "namespace": "gateways"}
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}
BY_GATEWAY: dict[str, Any] = {"routes": "gateway", "route_parents": [PARENT], "route_from": [PEER]}
BY_INGRESS: dict[str, Any] = {
    "routes": "ingress",
    "route_hosts": ["lab.example"],
    "ingress_annotations": {"a": "b"},
}
OBJECTS = ("HTTPRoute", "Ingress", "NetworkPolicy")


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for long."""
    for name in ("_SETTLE_SECONDS", "_BLIND_SECONDS", "_DOUBT_SECONDS"):
        monkeypatch.setattr(module, name, 0.2)
    monkeypatch.setattr(module, "_LIST_SECONDS", 0.0)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 1.0)


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


def let_in(bench: Doubled) -> set[str]:
    """Return the workloads whose pods the gateway may call."""
    (found,) = there(bench, "NetworkPolicy")["spec"]["podSelector"]["matchExpressions"]
    return set(found["values"])


def weights(found: Json) -> list[int]:
    return [one["weight"] for one in found["spec"]["rules"][0]["backendRefs"]]
