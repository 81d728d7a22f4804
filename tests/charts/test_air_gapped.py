"""With the values for a cluster without an internet nothing is named that is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpl_lab.formats.catalog_yml import catalog_of, find_catalog
from kpl_lab.platform.domain.catalog_file import place_of
from kpl_lab.settings import load
from tests.charts.conftest import Objects, Render
from tests.helm import CHART

AIR_GAPPED = ["-f", str(CHART / "values-air-gapped.yaml")]
HERE = "registry.example/"
# Everything that has pods or images of its own.
ALL = (
    "nodeAgent.enabled=true,prePull.enabled=true,database.existingSecret=postgres,api.replicas=2,"
    "volume.accessMode=ReadWriteMany,workloads.registry=registry.example/built"
)
MORE = {"as it is": [], "with everything": ["--set", ALL]}
PODS = {"as it is": 2, "with everything": 6}


@pytest.fixture(params=MORE)
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def objects(way: str, render: Render) -> Objects:
    return render(*AIR_GAPPED, *MORE[way])


def pods(objects: Objects) -> Iterator[dict[str, Any]]:
    for one in objects:
        template = one.get("spec", {}).get("template")
        if template is not None:
            yield template["spec"]


def containers(objects: Objects) -> Iterator[dict[str, Any]]:
    for pod in pods(objects):
        yield from (*pod["containers"], *pod.get("initContainers", ()))


def test_every_image_is_of_the_registry(objects: Objects, way: str) -> None:
    assert len(list(pods(objects))) == PODS[way]
    assert {
        one["image"] for one in containers(objects) if not one["image"].startswith(HERE)
    } == set()


def test_nodes_have_a_login_for_each(objects: Objects) -> None:
    for pod in pods(objects):
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


def test_what_the_platform_is_told_of_images_is_of_the_registry(objects: Objects, way: str) -> None:
    told = [
        one["value"]
        for container in containers(objects)
        for one in container.get("env", ())
        if one["name"] in ("KPL_IMAGE", "KPL_BUILDER_IMAGE", "KPL_REGISTRY")
    ]
    assert len(told) >= (2 if way == "as it is" else 9)
    assert [one for one in told if not one.startswith(HERE)] == []


def test_the_catalog_is_one_that_is_taken_and_names_the_registry_alone(
    objects: Objects, tmp_path: Path
) -> None:
    (config,) = [one for one in objects if one["kind"] == "ConfigMap"]
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    (told,) = [one["env"] for one in containers(objects) if one["name"] == "platform"]
    variables = {one["name"]: one["value"] for one in told if "value" in one}
    settings = load({**variables, "KPL_HOME": str(tmp_path)})
    entries = catalog_of(find_catalog(tmp_path), settings.engine).entries
    assert [one for one in entries if one.is_default]
    for entry in entries:
        assert (place_of(settings, entry) or "").startswith(HERE), entry.name


def test_workloads_reach_what_is_named_and_no_network_beside_it(objects: Objects) -> None:
    (policy,) = [one for one in objects if one["metadata"]["name"] == "lab-kpl-lab-workloads"]
    blocks = [
        to["ipBlock"]["cidr"]
        for rule in policy["spec"]["egress"]
        for to in rule["to"]
        if "ipBlock" in to
    ]
    values = yaml.safe_load((CHART / "values-air-gapped.yaml").read_text())
    ((own,),) = [rule["to"] for rule in values["networkPolicy"]["extraEgress"]]
    assert blocks == [own["ipBlock"]["cidr"]]
