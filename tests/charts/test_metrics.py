"""Scrapers find a port, a token and a way to it; the dashboard is the one that the tool writes."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.charts.conftest import Objects, Render
from tests.helm import CHART
from tools import dashboard

ON = "metrics.enabled=true,metrics.serviceMonitor.enabled=true,metrics.dashboard.enabled=true"


def named(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return found


def container(objects: Objects) -> tuple[dict[str, Any], dict[str, Any]]:
    pod: dict[str, Any] = named(objects, "StatefulSet", "lab-kpl-lab")["spec"]["template"]["spec"]
    return pod, pod["containers"][0]


def test_nothing_of_it_is_there_where_it_is_not_asked_for(render: Render) -> None:
    assert not [o for o in render() if "metrics" in json.dumps(o["metadata"])]
    _, found = container(render())
    assert "metrics" not in json.dumps(found)


def test_the_platform_listens_where_the_service_leads_and_knows_the_token(render: Render) -> None:
    objects = render("--set", ON)
    pod, found = container(objects)
    variables = {one["name"]: one.get("value") for one in found["env"]}
    assert variables["KPL_METRICS_LISTEN"] == "0.0.0.0:9464"
    (mount,) = [m for m in found["volumeMounts"] if m["name"] == "metrics-token"]
    assert variables["KPL_METRICS_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    (volume,) = [v for v in pod["volumes"] if v["name"] == "metrics-token"]
    secret = named(objects, "Secret", volume["secret"]["secretName"])
    (item,) = volume["secret"]["items"]
    assert item["path"] == "token"
    assert len(base64.b64decode(secret["data"][item["key"]])) == 48
    service = named(objects, "Service", "lab-kpl-lab-metrics")
    (port,) = service["spec"]["ports"]
    (own,) = [p for p in found["ports"] if p["name"] == port["targetPort"]]
    assert own["containerPort"] == 9464
    # Only the platform's own pod is told: nothing of users shows its variables or its files.
    for other in (*pod["initContainers"], *pod["containers"][1:]):
        assert "metrics" not in json.dumps(other)


def test_the_monitor_finds_the_service_and_the_token_in_its_own_namespace(render: Render) -> None:
    more = "metrics.serviceMonitor.namespace=monitoring,metrics.serviceMonitor.labels.release=prom"
    objects = render("--set", f"{ON},{more}")
    monitor = named(objects, "ServiceMonitor", "lab-kpl-lab-metrics")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["namespace"] == "monitoring"
    assert monitor["metadata"]["labels"]["release"] == "prom"
    spec = monitor["spec"]
    assert set(spec) == {"namespaceSelector", "selector", "endpoints"}
    assert spec["namespaceSelector"] == {"matchNames": ["here"]}
    chosen = [
        o["metadata"]["name"]
        for o in objects
        if o["kind"] == "Service"
        and spec["selector"]["matchLabels"].items() <= o["metadata"]["labels"].items()
    ]
    assert chosen == ["lab-kpl-lab-metrics"]
    (endpoint,) = spec["endpoints"]
    assert set(endpoint) == {"port", "path", "interval", "authorization"}
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == (
        "metrics",
        "/metrics",
        "30s",
    )
    wanted = endpoint["authorization"]
    assert wanted["type"] == "Bearer"
    tokens = {
        o["metadata"]["namespace"]: o["data"][wanted["credentials"]["key"]]
        for o in objects
        if o["kind"] == "Secret" and o["metadata"]["name"] == wanted["credentials"]["name"]
    }
    assert set(tokens) == {"here", "monitoring"}
    assert len(set(tokens.values())) == 1


def test_further_api_processes_are_targets_of_the_same_monitor(render: Render) -> None:
    values = f"{ON},api.replicas=2,database.existingSecret=pg,volume.accessMode=ReadWriteMany"
    front = "networkPolicy.frontDoorFrom[0].podSelector.matchLabels.app=proxy"
    objects = render("--set", f"{values},{front}")
    monitor = named(objects, "ServiceMonitor", "lab-kpl-lab-metrics")
    service = named(objects, "Service", "lab-kpl-lab-api-metrics")
    chosen = monitor["spec"]["selector"]["matchLabels"]
    assert chosen.items() <= service["metadata"]["labels"].items()
    pods = named(objects, "Deployment", "lab-kpl-lab-api")["spec"]["template"]
    assert service["spec"]["selector"].items() <= pods["metadata"]["labels"].items()
    (port,) = service["spec"]["ports"]
    (own,) = pods["spec"]["containers"][0]["ports"]
    assert (port["name"], port["targetPort"]) == ("metrics", own["name"])
    policy = named(objects, "NetworkPolicy", "lab-kpl-lab-api-metrics")["spec"]
    assert policy["podSelector"]["matchLabels"] == service["spec"]["selector"]
    assert policy["ingress"][0]["ports"][0]["port"] == own["containerPort"]


def test_a_secret_that_is_there_is_used_and_none_is_made(render: Render) -> None:
    objects = render("--set", f"{ON},metrics.existingSecret=scrapers,metrics.secretKey=word")
    assert not [o for o in objects if o["kind"] == "Secret"]
    endpoint = named(objects, "ServiceMonitor", "lab-kpl-lab-metrics")["spec"]["endpoints"][0]
    assert endpoint["authorization"]["credentials"] == {"name": "scrapers", "key": "word"}
    pod, _ = container(objects)
    (volume,) = [v for v in pod["volumes"] if v["name"] == "metrics-token"]
    assert volume["secret"]["items"] == [{"key": "word", "path": "token"}]


def test_where_policies_are_on_the_scrapers_namespace_reaches_that_port_alone(
    render: Render,
) -> None:
    more = "metrics.serviceMonitor.namespace=monitoring"
    policy = named(render("--set", f"{ON},{more}"), "NetworkPolicy", "lab-kpl-lab-metrics")
    (rule,) = policy["spec"]["ingress"]
    assert rule["ports"] == [{"port": 9464, "protocol": "TCP"}]
    (peer,) = rule["from"]
    names = peer["namespaceSelector"]["matchLabels"]
    assert names == {"kubernetes.io/metadata.name": "monitoring"}
    off = render("--set", f"{ON},networkPolicy.enabled=false")
    assert not [o for o in off if o["kind"] == "NetworkPolicy"]


def test_the_dashboard_is_found_by_grafana_and_is_the_one_of_the_tool(render: Render) -> None:
    assert (CHART / "files" / "dashboard.json").read_text() == dashboard.text(), (
        "python -m tools.dashboard"
    )
    found = named(render("--set", ON), "ConfigMap", "lab-kpl-lab-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    shown = json.loads(found["data"]["kpl-lab.json"])
    assert shown == json.loads(dashboard.text())
    ids = [panel["id"] for panel in shown["panels"]]
    assert len(ids) == len(set(ids))
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in shown["panels"]]
    assert len(places) == len(set(places))
