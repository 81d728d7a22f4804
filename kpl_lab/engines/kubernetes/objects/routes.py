"""The way of calls to a public service: an HTTPRoute or an Ingress, and who may call its pods."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects.meta import Manifest
from kpl_lab.engines.routing import Route

GATEWAY, INGRESS = "gateway", "ingress"
# The object of a way, by what the options call it.
KIND_OF = {GATEWAY: "HTTPRoute", INGRESS: "Ingress"}
LABEL = "route"
_MAX_NAME = 60


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One revision of a service: its Service, and the object that its route belongs to."""

    workload: str
    service: str
    port: int
    weight: int
    owner: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RouteShape:
    """How an administrator wants routes to be; see ``KubernetesOptions`` for the meanings."""

    routes: str
    route_parents: Sequence[Mapping[str, Any]] = ()
    route_hosts: Sequence[str] = ()
    route_from: Sequence[Mapping[str, Any]] = ()
    ingress_class: str = ""
    ingress_annotations: Mapping[str, str] = field(default_factory=dict)
    ingress_path: str = "{path}"
    ingress_path_type: str = "Prefix"


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """What the objects of a route follow from.

    Attributes
    ----------
    former
        Ports by workload of those that calls may still reach by the route as it was.
    """

    installation: str
    namespace: str
    route: Route
    backends: tuple[Backend, ...]
    shape: RouteShape
    former: Mapping[str, int] = field(default_factory=dict)


def route_selector(installation: str) -> str:
    """Return the label selector of everything that belongs to routes."""
    return f"{names.selector(installation)},{names.KIND}={LABEL}"


def route_name(installation: str, route: str) -> str:
    """Return the name of a route's objects."""
    return names.bounded(f"kpl-{installation}-{route}", _MAX_NAME)


def route_objects(plan: RoutePlan) -> list[Manifest]:
    """Return what makes a route, in the order in which it has to be applied; the way comes last."""
    way = _http_route(plan) if plan.shape.routes == GATEWAY else _ingress(plan)
    found = [way] if not plan.shape.route_from else [_callers(plan), way]
    return [_marked(one, plan) for one in found]


def _http_route(plan: RoutePlan) -> Manifest:
    """Return an HTTPRoute: the path off, headers as the front door has them, calls by weight."""
    route = plan.route
    seen = [{"name": "X-Forwarded-Prefix", "value": route.path}]
    added = [{"name": name, "value": value} for name, value in route.answer_with.items()]
    cut = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rule: Manifest = {
        "matches": [{"path": {"type": "PathPrefix", "value": route.path}}],
        "filters": [
            {"type": "URLRewrite", "urlRewrite": cut},
            {
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": seen, "remove": list(route.request_without)},
            },
            {
                "type": "ResponseHeaderModifier",
                "responseHeaderModifier": {"set": added, "remove": list(route.answer_without)},
            },
        ],
        "backendRefs": [
            {"kind": "Service", "name": one.service, "port": one.port, "weight": one.weight}
            for one in plan.backends
        ],
    }
    spec: Manifest = {
        "parentRefs": [dict(one) for one in plan.shape.route_parents],
        "rules": [rule],
    }
    if plan.shape.route_hosts:
        spec["hostnames"] = list(plan.shape.route_hosts)
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": spec}


def _ingress(plan: RoutePlan) -> Manifest:
    """Return an Ingress to the one revision that has all calls; its annotations do the rest."""
    (backend,) = plan.backends
    shape, path = plan.shape, plan.route.path
    target = {"service": {"name": backend.service, "port": {"number": backend.port}}}
    paths = [{"path": one, "pathType": kind, "backend": target} for one, kind in _paths(plan)]
    spec: Manifest = {
        "rules": [{"host": host, "http": {"paths": paths}} for host in shape.route_hosts]
    }
    if shape.ingress_class:
        spec["ingressClassName"] = shape.ingress_class
    annotations = {k: v.replace("{path}", path) for k, v in shape.ingress_annotations.items()}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"annotations": annotations},
        "spec": spec,
    }


def _paths(plan: RoutePlan) -> list[tuple[str, str]]:
    """Return the paths of an Ingress with their types: this service's, and no other's.

    Some controllers read a prefix by characters, so that one without a slash at its end takes the
    calls of each service whose name begins with this one's.
    """
    shape = plan.shape
    if shape.ingress_path_type != "Prefix":
        path = shape.ingress_path.replace("{path}", re.escape(plan.route.path))
        return [(path, shape.ingress_path_type)]
    path = shape.ingress_path.replace("{path}", plan.route.path).rstrip("/")
    return [(path, "Exact"), (f"{path}/", "Prefix")]


def _callers(plan: RoutePlan) -> Manifest:
    """Return what lets the gateway call these pods, at their ports alone.

    Those too that it may still call: a policy reaches pods sooner than a route its proxies.
    """
    called = {one.workload: one.port for one in plan.backends} | dict(plan.former)
    pods = {
        "matchLabels": {names.INSTALLATION: plan.installation},
        "matchExpressions": [
            {
                "key": names.WORKLOAD,
                "operator": "In",
                "values": [names.label_value(one) for one in called],
            }
        ],
    }
    ports = [{"port": port, "protocol": "TCP"} for port in sorted(set(called.values()))]
    callers = [dict(one) for one in plan.shape.route_from]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": callers, "ports": ports}],
        },
    }


def _marked(manifest: Manifest, plan: RoutePlan) -> Manifest:
    """Return an object with its name and labels; it goes when all whom it leads to have gone."""
    annotations = dict(manifest.get("metadata", {}).get("annotations", {}))
    annotations[names.ROUTE_LEADS_TO] = " ".join(one.workload for one in plan.backends)
    whole = {
        **manifest,
        "metadata": {
            "name": route_name(plan.installation, plan.route.name),
            "namespace": plan.namespace,
            "labels": {
                **names.MANAGED_BY,
                names.INSTALLATION: plan.installation,
                names.KIND: LABEL,
                names.ROUTE: names.label_value(plan.route.name),
            },
            "annotations": annotations,
            "ownerReferences": [dict(one.owner) for one in plan.backends],
        },
    }
    text = json.dumps(whole, sort_keys=True)
    annotations[names.ROUTE_DIGEST] = hashlib.sha256(text.encode()).hexdigest()[:32]
    return whole
