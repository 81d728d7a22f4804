"""What an administrator may set, by variables and in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from kpl_lab import __version__
from kpl_lab.cluster_settings import ClusterSettings
from kpl_lab.engines.kubernetes.options import FILE_NAME, KubernetesOptions, load_options
from kpl_lab.errors import Invalid
from kpl_lab.settings import Home
from tools import kubernetes_options


def loaded(tmp_path: Path, text: str = "", **variables: str) -> KubernetesOptions:
    (tmp_path / FILE_NAME).write_text(text)
    return load_options(Home(tmp_path), ClusterSettings.of({"KUBECONFIG": "x", **variables}))


def test_a_registry_is_all_that_builds_need(tmp_path: Path) -> None:
    found = loaded(tmp_path, KPL_REGISTRY="registry.example/team")
    assert found.registry == "registry.example/team"
    assert found.builder_image == f"kpl-lab/builder:{__version__}"
    assert found.pod_security == "baseline"
    assert loaded(tmp_path).pod_security == "restricted"


def test_variables_win_over_defaults_and_the_file_over_both(tmp_path: Path) -> None:
    variables = {
        "KPL_BUILDER_IMAGE": "builder:1",
        "KPL_INSECURE_REGISTRIES": "a:5000, b:5000",
    }
    found = loaded(tmp_path, **variables)
    assert found.builder_image == "builder:1"
    assert found.insecure_registries == ["a:5000", "b:5000"]
    text = 'c.KubernetesOptions.builder_image = "builder:2"\n'
    text += 'c.KubernetesOptions.insecure_registries = ["c:5000"]\n'
    found = loaded(tmp_path, text, **variables)
    assert found.builder_image == "builder:2"
    assert found.insecure_registries == ["c:5000"]


def test_variables_are_handed_on_as_they_came() -> None:
    given = {
        "KUBECONFIG": "/etc/cluster",
        "KPL_REGISTRY": "r",
        "KPL_BUILDER_IMAGE": "b",
        "KPL_INSECURE_REGISTRIES": "a:1 b:2",
    }
    assert ClusterSettings.of(given).variables() == given


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('extra_volumes = [{"name": "home", "emptyDir": {}}]', "cannot be called home"),
        ('extra_mounts = [{"name": "x", "mountPath": "/x"}]', "names x, which extra_volumes"),
    ],
)
def test_volumes_that_cannot_be_are_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        loaded(tmp_path, f"c.KubernetesOptions.{text}\n")


def test_the_page_of_options_is_as_they_are() -> None:
    found = kubernetes_options.COMMITTED.read_text(encoding="utf-8")
    assert found == kubernetes_options.text(), "run `python -m tools.kubernetes_options`"


@pytest.mark.parametrize("name", KubernetesOptions.class_traits(config=True))
def test_each_option_is_on_it_with_a_sentence(name: str) -> None:
    (row,) = [
        line
        for line in kubernetes_options.text().splitlines()
        if f"`{name}`" in line and (line.startswith(f"| `{name}` |") or "no effect" in line)
    ]
    if name not in kubernetes_options.WITHOUT_EFFECT:
        _, _, kind, default, said, _, _ = row.split("|")
        assert kind.strip()
        assert said.strip().endswith((".", "…"))
        assert default.strip() or "empty" in said.lower() or kind.startswith((" list", " mapping"))
