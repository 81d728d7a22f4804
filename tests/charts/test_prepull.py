"""The pod that has nodes pull images: what it pulls, where, and that it keeps the restricted standard."""

from __future__ import annotations

from typing import Any

from tests.charts.conftest import Render
from tests.engines.kubernetes.standards import unrestricted

ON = ["--set", "prePull.enabled=true"]


def daemon_set(objects: list[dict[str, Any]]) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == "DaemonSet"]
    return found


def test_it_is_off_unless_somebody_asks_for_it(render: Render) -> None:
    assert [one for one in render() if one["kind"] == "DaemonSet"] == []


def test_what_agents_run_in_is_pulled_always_and_others_are_named(render: Render) -> None:
    images = ["--set", "prePull.images={registry.example/a:1,registry.example/b:2}"]
    found = daemon_set(render(*ON, *images))
    pod = found["spec"]["template"]["spec"]
    assert [one["image"] for one in pod["initContainers"]] == [
        "registry.example/a:1",
        "registry.example/b:2",
    ]
    (kept,) = pod["containers"]
    assert kept["image"].startswith("kpl-lab/base:")
    assert found["metadata"]["namespace"] != ""
    assert unrestricted(pod) == []


def test_no_workload_is_taken_for_it_and_it_for_none(render: Render) -> None:
    found = daemon_set(render(*ON))
    labels = found["spec"]["template"]["metadata"]["labels"]
    assert not any(key.startswith("kpl-lab.io/") for key in labels)
    assert found["spec"]["selector"]["matchLabels"].items() <= labels.items()
