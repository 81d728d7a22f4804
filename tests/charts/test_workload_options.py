"""What the reference says of the chart's own values for options of the engine is what the chart does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import yaml

from tests.charts.conftest import Render
from tests.helm import CHART
from tools.kubernetes_options import OF_CHART

# Said to the platform by variables.
BY_VARIABLES = {"base_image", "pull_policy", "registry", "builder_image"}
# Of a platform inside of the cluster; nobody chooses them.
FIXED = {"gate_listen", "reach"}
WAYS = {
    "gateway": "services.routes=gateway,httpRoute.enabled=true,httpRoute.parentRefs[0].name=edge",
    "ingress": "services.routes=ingress,ingress.enabled=true,ingress.host=lab.example,"
    "services.ingress.annotations.a=b",
}


def given(objects: list[dict[str, Any]]) -> set[str]:
    """Return the options that the chart's file sets."""
    (config,) = [one for one in objects if one["kind"] == "ConfigMap"]
    c = SimpleNamespace(KubernetesOptions=SimpleNamespace())
    exec(config["data"]["kubernetes_engine.py"], {"c": c})
    return set(vars(c.KubernetesOptions))


def test_each_option_that_has_a_value_of_its_own_is_known(render: Render) -> None:
    more = "nodeAgent.enabled=true,services.callers[0].podSelector.matchLabels.a=b"
    found = set().union(*(given(render("--set", f"{way},{more}")) for way in WAYS.values()))
    assert found - FIXED == set(OF_CHART) - BY_VARIABLES


def test_those_values_are_there() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in OF_CHART.values():
        inner = defaults
        for name in path.split("."):
            assert name in inner, path
            inner = inner[name]
