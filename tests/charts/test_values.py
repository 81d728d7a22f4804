"""What the chart can be told: all of it is described and tried, and what is wrong is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.charts.test_chart import ALL
from tests.helm import CHART, helm
from tools import helm_values


def test_all_options_are_all_options() -> None:
    def paths(values: dict[str, Any], schema: dict[str, Any], at: str = "") -> Iterator[str]:
        for name, value in values.items():
            inner = schema["properties"][name]
            if "properties" in inner:
                yield from paths(value, inner, f"{at}{name}.")
            else:
                yield f"{at}{name}={json.dumps(value)}"

    schema = json.loads((CHART / "values.schema.json").read_text())
    default, every = (
        set(paths(yaml.safe_load(path.read_text()), schema))
        for path in (CHART / "values.yaml", ALL)
    )
    assert default & every == set()
    assert {one.split("=")[0] for one in default} == {one.split("=")[0] for one in every}


def test_the_schema_says_a_sentence_of_each_value() -> None:
    def described(schema: dict[str, Any]) -> Iterator[str]:
        for one in schema.get("properties", {}).values():
            yield one["description"]
            yield from described(one)

    schema = json.loads((CHART / "values.schema.json").read_text())
    for text in described(schema):
        assert text.endswith("."), text


def test_the_page_of_values_is_what_the_chart_says() -> None:
    assert helm_values.PAGE.read_text() == helm_values.page(), "python -m tools.helm_values"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("imagePullPolicy=Never", "imagePullPolicy"),
        ("admin.password=short", "/admin/password"),
        ("service.type=NodePorts", "/service/type"),
        ("networkPolicy.egress=some", "/networkPolicy/egress"),
        ("ingress.enabled=true", "ingress.host is needed"),
        ("httpRoute.enabled=true", "httpRoute.parentRefs is needed"),
        ("volume.type=hostPath", "volume.hostPath is needed"),
        ("account=0", "/account"),
        ("api.replicas=2", "api.replicas needs a PostgreSQL"),
        ("api.replicas=2,database.existingSecret=x", "Set volume.accessMode to ReadWriteMany"),
        ("api.replicas=-1", "/api/replicas"),
    ],
)
def test_wrong_values_are_refused_by_name(change: str, said: str) -> None:
    done = helm("template", "lab", str(CHART), "--set", change, check=False)
    assert done.returncode != 0
    assert said in done.stderr
