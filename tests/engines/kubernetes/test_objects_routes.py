"""The objects of routes, and what a cluster's word on them means; no cluster."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from kpl_lab.engines.kubernetes import route_words
from kpl_lab.engines.kubernetes.objects.routes import (
    Backend,
    RoutePlan,
    RouteShape,
    route_objects,
)
from kpl_lab.engines.routing import Route
from tests.engines.kubernetes.plans import INSTALLATION
from tests.engines.kubernetes.standards import NEWEST, OLDEST, check_schema

PARENT = {"name": "edge", "namespace": "gateways"}
ROUTE = Route(
    name="route-7", path="/svc/default/digits", shares={"service-7-1": 75, "service-8-1": 25},
    request_without=("Cookie", "Authorization"), answer_without=("Set-Cookie",),
    answer_with={"Content-Security-Policy": "sandbox"},
)  # fmt: skip
BACKENDS = tuple(
    Backend(
        workload=name, service=f"kpl-{INSTALLATION}-{name}", port=9000, weight=weight,
        owner={"apiVersion": "apps/v1", "kind": "Deployment", "name": f"d-{name}", "uid": f"u-{name}"},
    )
    for name, weight in ROUTE.shares.items()
)  # fmt: skip
GATEWAY = RouteShape(routes="gateway", route_parents=[PARENT], route_hosts=["lab.example"])
INGRESS = RouteShape(
    routes="ingress", route_hosts=["a.example", "b.example"], ingress_class="nginx",
    ingress_annotations={"rewrite": "{path}(/|$)(.*)"}, ingress_path="{path}(/|$)(.*)",
    ingress_path_type="ImplementationSpecific",
    route_from=[{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}],
)  # fmt: skip


def plan(shape: RouteShape, count: int = 2, **changes: Any) -> RoutePlan:
    route = dataclasses.replace(ROUTE, **changes)
    return RoutePlan(
        installation=INSTALLATION, namespace="lab", route=route, backends=BACKENDS[:count], shape=shape,
    )  # fmt: skip


def test_an_http_route_does_what_the_front_door_does() -> None:
    (one,) = route_objects(plan(GATEWAY))
    check_schema(one)
    assert (one["apiVersion"], one["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    assert one["spec"]["parentRefs"] == [PARENT]
    assert one["spec"]["hostnames"] == ["lab.example"]
    (rule,) = one["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/svc/default/digits"}}]
    path, request, answer = rule["filters"]
    assert path["urlRewrite"]["path"] == {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}
    assert request["requestHeaderModifier"] == {
        "set": [{"name": "X-Forwarded-Prefix", "value": "/svc/default/digits"}],
        "remove": ["Cookie", "Authorization"],
    }
    assert answer["responseHeaderModifier"] == {
        "set": [{"name": "Content-Security-Policy", "value": "sandbox"}],
        "remove": ["Set-Cookie"],
    }
    assert [(b["name"], b["weight"]) for b in rule["backendRefs"]] == [
        (f"kpl-{INSTALLATION}-service-7-1", 75),
        (f"kpl-{INSTALLATION}-service-8-1", 25),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"parentRefs": [{"name": "edge", "port": 0}]},
        {"parentRefs": [{"name": "edge", "weight": 1}]},
        {"hostnames": ["*"]},
        {"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": -1}]}]},
        {"rules": [{"matches": [{"path": {"type": "Prefix", "value": "/"}}]}]},
        {"rule": []},
    ],
)
def test_the_schema_of_routes_finds_what_is_none(broken: dict[str, Any]) -> None:
    (one,) = route_objects(plan(GATEWAY))
    one["spec"].update(broken)
    with pytest.raises(jsonschema.ValidationError):
        check_schema(one)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_an_ingress_leaves_the_rest_to_its_annotations(version: str) -> None:
    policy, one = route_objects(plan(INGRESS, 1))
    for each in (policy, one):
        check_schema(each, version)
    assert one["metadata"]["annotations"]["rewrite"] == "/svc/default/digits(/|$)(.*)"
    assert [rule["host"] for rule in one["spec"]["rules"]] == ["a.example", "b.example"]
    (path,) = one["spec"]["rules"][0]["http"]["paths"]
    assert path["path"] == "/svc/default/digits(/|$)(.*)"
    assert path["backend"]["service"] == {
        "name": f"kpl-{INSTALLATION}-service-7-1",
        "port": {"number": 9000},
    }


def reads(path: dict[str, Any], called: str) -> bool:
    """Say whether a controller that compares by characters takes a call, as Traefik and nginx do."""
    if path["pathType"] == "ImplementationSpecific":
        return re.match(path["path"], called, re.IGNORECASE) is not None
    return (
        called == path["path"] if path["pathType"] == "Exact" else called.startswith(path["path"])
    )


@pytest.mark.parametrize(
    "shape",
    [dataclasses.replace(INGRESS, ingress_path="{path}", ingress_path_type="Prefix"), INGRESS],
    ids=["prefix", "expression"],
)
@pytest.mark.parametrize(("name", "other"), [("iris", "iris2"), ("a.b", "axb"), ("a-b", "a-b-c")])
def test_an_ingress_takes_no_calls_of_other_services(
    shape: RouteShape, name: str, other: str
) -> None:
    found = route_objects(plan(shape, 1, path=f"/svc/default/{name}"))[-1]
    check_schema(found)
    paths = found["spec"]["rules"][0]["http"]["paths"]
    for called, is_taken in (
        (name, True),
        (f"{name}/x", True),
        (other, False),
        (f"{other}/x", False),
    ):
        assert any(reads(one, f"/svc/default/{called}") for one in paths) is is_taken, called


def test_the_gateway_may_call_these_pods_alone() -> None:
    policy, way = route_objects(plan(dataclasses.replace(GATEWAY, route_from=INGRESS.route_from)))
    check_schema(policy)
    check_schema(way)
    assert way["kind"] == "HTTPRoute"
    (expression,) = policy["spec"]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["service-7-1", "service-8-1"]
    assert policy["spec"]["ingress"] == [
        {"from": INGRESS.route_from, "ports": [{"port": 9000, "protocol": "TCP"}]}
    ]


def test_the_gateway_may_call_those_too_that_it_led_to_before() -> None:
    shape = dataclasses.replace(GATEWAY, route_from=INGRESS.route_from)
    before, after = (
        route_objects(dataclasses.replace(plan(shape), former=former))
        for former in ({}, {"service-5-1": 8000, "service-7-1": 9000})
    )
    (expression,) = after[0]["spec"]["podSelector"]["matchExpressions"]
    assert expression["values"] == ["service-7-1", "service-8-1", "service-5-1"]
    assert [one["port"] for one in after[0]["spec"]["ingress"][0]["ports"]] == [8000, 9000]
    assert before[-1] == after[-1]


def test_a_route_is_found_again_and_goes_with_whom_it_leads_to() -> None:
    for one in route_objects(plan(dataclasses.replace(GATEWAY, route_from=INGRESS.route_from))):
        found = one["metadata"]
        assert found["name"] == f"kpl-{INSTALLATION}-route-7"
        assert found["labels"]["kpl-lab.io/kind"] == "route"
        assert found["labels"]["kpl-lab.io/route"] == "route-7"
        assert "kpl-lab.io/workload" not in found["labels"]
        assert [owner["uid"] for owner in found["ownerReferences"]] == [
            "u-service-7-1",
            "u-service-8-1",
        ]


def test_the_same_plan_gives_the_same_objects_and_another_one_another_digest() -> None:
    assert route_objects(plan(GATEWAY)) == route_objects(plan(GATEWAY))
    digests = {
        route_objects(one)[-1]["metadata"]["annotations"]["kpl-lab.io/route-digest"]
        for one in (plan(GATEWAY), plan(GATEWAY, 1), plan(GATEWAY, path="/svc/default/other"))
    }
    assert len(digests) == 3


# What gateways say


def told(*conditions: tuple[str, str, str], generation: int = 2, **parent: str) -> Any:
    found = [
        {"type": kind, "status": status, "reason": reason, "message": f"{reason}!",
         "observedGeneration": generation}
        for kind, status, reason in conditions
    ]  # fmt: skip
    return {"parentRef": {**PARENT, **parent}, "controllerName": "c", "conditions": found}


def seen(*parents: Any, refs: Any = (PARENT,)) -> Any:
    return {
        "metadata": {"namespace": "lab", "generation": 2},
        "spec": {"parentRefs": list(refs)},
        "status": {"parents": list(parents)},
    }


GOOD = (("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs"))


def test_a_route_is_taken_when_its_gateway_has_read_it_as_it_is() -> None:
    found = route_words.verdict(seen(told(*GOOD)))
    assert (found.is_read, found.is_taken, found.message) == (True, True, "")
    for other in (seen(), seen(told(*GOOD, generation=1)), seen(told(*GOOD, name="other"))):
        found = route_words.verdict(other)
        assert (found.is_read, found.is_taken) == (False, False)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("NotAllowedByListeners", "gateways/edge takes no routes of the namespace lab"),
        ("NoMatchingListenerHostname", "No listener of the gateway gateways/edge has one of the"),
        ("NoMatchingParent", "has no listener of the section or port"),
        ("UnsupportedValue", "cannot do what a service's route has to (UnsupportedValue!)"),
        ("Pending", "gateways/edge does not take the service's route: Pending!"),
    ],
)
def test_a_refused_route_is_told_with_its_reason(reason: str, words: str) -> None:
    found = route_words.verdict(seen(told(("Accepted", "False", reason))))
    assert (found.is_read, found.is_taken, found.is_harmful) == (True, False, False)
    assert words in found.message
    assert found.message.endswith("the platform's own front door.")


@pytest.mark.parametrize(
    "condition",
    [
        ("ResolvedRefs", "False", "BackendNotFound"),
        ("PartiallyInvalid", "True", "UnsupportedValue"),
    ],
)
def test_a_route_by_which_calls_fail_is_harmful(condition: tuple[str, str, str]) -> None:
    found = route_words.verdict(seen(told(GOOD[0], condition)))
    assert found.is_harmful
    assert not found.is_taken
    assert condition[2] in found.message


def test_of_several_gateways_one_that_takes_it_is_enough() -> None:
    refs = (PARENT, {"name": "inner"})
    refused = told(("Accepted", "False", "NotAllowedByListeners"), name="inner", namespace="lab")
    found = route_words.verdict(seen(told(*GOOD), refused, refs=refs))
    assert (found.is_read, found.is_taken) == (True, True)
    assert "lab/inner" in found.message
    assert not route_words.verdict(seen(told(*GOOD), refs=refs)).is_read
