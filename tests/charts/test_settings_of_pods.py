"""Which pods a setting counts for is what its description says."""

from __future__ import annotations

import pytest

from tests.charts.conftest import Objects, Render

SEVERAL = "api.replicas=2,database.existingSecret=postgres,volume.accessMode=ReadWriteMany"
PLATFORM, API, MIGRATE, LEAVE = "lab-kpl-lab", "lab-kpl-lab-api", "lab-kpl-lab-migrate", "lab-kpl-lab-leave"  # fmt: skip


def with_sign(objects: Objects) -> set[str]:
    """Return the names of what has pods with the sign in their template."""
    return {
        one["metadata"]["name"]
        for one in objects
        if "template" in one.get("spec", {}) and "the-sign" in str(one["spec"]["template"])
    }


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ("podLabels.a=the-sign", {PLATFORM, API, MIGRATE}),
        ("podAnnotations.a=the-sign", {PLATFORM, API}),
        ("nodeSelector.a=the-sign", {PLATFORM, API, MIGRATE, LEAVE}),
        ("tolerations[0].key=the-sign", {PLATFORM, API, MIGRATE, LEAVE}),
        ("priorityClassName=the-sign", {PLATFORM, API}),
        ("affinity.nodeAffinity.a=the-sign", {PLATFORM}),
        ("topologySpreadConstraints[0].topologyKey=the-sign", {PLATFORM}),
        ("api.spread[0]=the-sign", {API}),
        ("extraVariables.A=the-sign", {PLATFORM, API, MIGRATE}),
    ],
)
def test_a_setting_counts_for_the_pods_that_it_names(
    change: str, of: set[str], render: Render
) -> None:
    assert with_sign(render("--set", f"{SEVERAL},{change}")) == of


@pytest.mark.parametrize("most", [0, 1])
def test_the_platform_and_api_processes_have_a_budget_each(most: int, render: Render) -> None:
    objects = render("--set", f"{SEVERAL},podDisruptionBudget.maxUnavailable={most}")
    budgets = [one for one in objects if one["kind"] == "PodDisruptionBudget"]
    assert {one["metadata"]["name"] for one in budgets} == {PLATFORM, API}
    assert {one["spec"]["maxUnavailable"] for one in budgets} == {most}
