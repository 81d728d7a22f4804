"""The values of routes of services: what the platform is told, and may do in the cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab.engines.kubernetes.options import KubernetesOptions, load_options
from kpl_lab.settings import load
from tests.charts.conftest import Objects, Render
from tests.charts.test_chart import named, of_kind, rights
from tests.engines.kubernetes.rights import of_running
from tests.helm import CHART, helm

CALLERS = r"services.callers[0].namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=edge"
GATEWAY = [
    "services.routes=gateway",
    CALLERS,
    "httpRoute.enabled=true",
    "httpRoute.hostnames={lab.example}",
    "httpRoute.parentRefs[0].name=edge",
    "httpRoute.parentRefs[1].name=inner,httpRoute.parentRefs[1].namespace=inside",
]
INGRESS = [
    "services.routes=ingress",
    CALLERS,
    "services.ingress.annotations.a=b",
    "ingress.enabled=true,ingress.host=lab.example,ingress.className=nginx",
]
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "edge"}}}


def words(*values: str) -> list[str]:
    return [word for value in values for word in ("--set", value)]


def options_of(objects: Objects, home: Path) -> KubernetesOptions:
    text = named(objects, "ConfigMap", "lab-kpl-lab")["data"]["kubernetes_engine.py"]
    (home / "kubernetes_engine.py").write_text(text)
    settings = load({"KPL_HOME": str(home), "KPL_ENGINE": "kubernetes"})
    return load_options(settings.home, settings.cluster)


def test_routes_by_a_gateway_are_at_the_platforms_own(render: Render, tmp_path: Path) -> None:
    found = options_of(render(*words(*GATEWAY)), tmp_path)
    assert (found.routes, found.route_hosts) == ("gateway", ["lab.example"])
    # Without a namespace it is that of the route: another one for services than for the platform.
    assert found.route_parents == [
        {"name": "edge", "namespace": "here"},
        {"name": "inner", "namespace": "inside"},
    ]
    assert found.route_from == [PEER]


def test_routes_by_an_ingress_are_at_the_platforms_own(render: Render, tmp_path: Path) -> None:
    found = options_of(render(*words(*INGRESS)), tmp_path)
    assert (found.routes, found.route_hosts) == ("ingress", ["lab.example"])
    assert (found.ingress_class, found.ingress_annotations) == ("nginx", {"a": "b"})
    assert (found.ingress_path, found.ingress_path_type) == ("{path}", "Prefix")
    assert found.route_from == [PEER]


def test_without_network_policies_none_closes_pods_to_the_platform(
    render: Render, tmp_path: Path
) -> None:
    objects = render(*words(*GATEWAY, "networkPolicy.enabled=false"))
    assert of_kind(objects, "NetworkPolicy") == []
    assert options_of(objects, tmp_path).route_from == []


def test_without_them_nothing_is_asked_for(render: Render, tmp_path: Path) -> None:
    assert options_of(render(), tmp_path).routes == "frontdoor"


@pytest.mark.parametrize("values", [GATEWAY, INGRESS], ids=["gateway", "ingress"])
def test_the_role_has_what_these_routes_need(render: Render, values: list[str]) -> None:
    way = values[0].partition("=")[2]
    objects = render(*words(*values))
    given = rights(named(objects, "Role", "lab-kpl-lab"))
    everywhere = rights(of_kind(objects, "ClusterRole")[0])
    assert given | everywhere == of_running(way)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["services.routes=other"], "/services/routes"),
        (["services.routes=gateway"], "services.callers is needed"),
        (["services.routes=gateway", CALLERS], "needs httpRoute.enabled"),
        (["services.routes=ingress", CALLERS], "needs ingress.enabled"),
        ([*INGRESS, "services.ingress.annotations=null"], "services.ingress.annotations is needed"),
    ],
)
def test_half_a_way_is_refused(values: list[str], said: str) -> None:
    done = helm("template", "lab", str(CHART), *words(*values), check=False)
    assert done.returncode != 0
    assert said in done.stderr
