"""What the guide gives by hand where the chart makes no Role is enough, and no more than that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.supervisor.cluster import ENDING, LEAVING
from tests.charts.conftest import Objects, Render
from tests.fetched import ROOT

GUIDE = ROOT / "docs" / "howto" / "install-kubernetes.md"
ROLE = re.compile(r"create role (\S+) --verb=(\S+) --resource=(\S+)(?: --resource-name=(\S+))?")
Right = tuple[str, str, str]


def rights(objects: Objects) -> set[Right]:
    return {
        (verb, group, resource)
        for one in objects
        for rule in one.get("rules", ())
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def told(needed: tuple[Right, ...]) -> set[Right]:
    return {(verb, KINDS[kind].group, KINDS[kind].plural) for verb, kind, _ in needed}


def by_hand() -> Iterator[tuple[str, str, Right]]:
    for role, verbs, resources, only in ROLE.findall(GUIDE.read_text()):
        for verb in verbs.split(","):
            for resource in resources.split(","):
                plural, _, group = resource.partition(".")
                yield role, only, (verb, group, plural)


def test_the_hook_may_do_what_it_does_with_the_rights_of_both(render: Render) -> None:
    platform = render("--show-only", "templates/rbac.yaml")
    ending = {right for _, only, right in by_hand() if only == "lab-kpl-lab"}
    assert ending == told(ENDING)
    clearing = {right for _, only, right in by_hand() if not only}
    assert clearing <= told(LEAVING) <= clearing | rights(platform)


def test_each_of_these_roles_is_bound_to_the_platforms_account(render: Render) -> None:
    text = GUIDE.read_text()
    (account,) = [one for one in render() if one["kind"] == "ServiceAccount" and "annotations" not in one["metadata"]]  # fmt: skip
    assert f"--serviceaccount=kpl-lab:{account['metadata']['name']}\n" in text
    endings = re.search(r"for role in ([a-z ]+); do", text)
    assert endings is not None
    assert {role for role, _, _ in by_hand()} == {
        f"lab-kpl-lab-{one}" for one in endings[1].split()
    }


def test_without_roles_of_the_chart_the_hook_has_the_platforms_account(render: Render) -> None:
    objects = render("--set", "rbac.create=false")
    assert rights(objects) == set()
    accounts = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]["serviceAccountName"]
        for one in objects
        if one["kind"] in ("StatefulSet", "Job")
    }
    assert accounts == {"lab-kpl-lab": "lab-kpl-lab", "lab-kpl-lab-leave": "lab-kpl-lab"}
