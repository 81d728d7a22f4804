"""That clusters take the objects of workloads: schemas, the restricted standard, names."""

from __future__ import annotations

import json
import re
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects import Manifest, objects
from kpl_lab.engines.kubernetes.objects.pod import pod_template
from kpl_lab.engines.kubernetes.plan import Plan, Shape
from kpl_lab.engines.spec import Kind, Limits
from tests.engines.kubernetes.plans import (
    FULL_SHAPE,
    INSTALLATION,
    PLANS,
    SHAPE,
    command_of,
    environment_of,
    every_plan,
    found,
    plain_slugs,
    plan_of,
    pod_of,
    slugs,
    texts,
)
from tests.engines.kubernetes.standards import (
    DNS_NAME,
    LABEL,
    NEWEST,
    OLDEST,
    repeated,
    unrestricted,
)

# What a cluster takes


@every_plan
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_what_the_schemas_of_kubernetes_allow(plan: Plan, version: str) -> None:
    for one in objects(plan):
        assert kubernetes_validate.validate(one, version, strict=True) == version


def test_the_schemas_refuse_what_is_not_in_them() -> None:
    broken = found(PLANS["server"], "Pod")
    broken["spec"]["containers"][0]["imagePolicy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


@every_plan
def test_pods_keep_the_restricted_standard(plan: Plan) -> None:
    assert unrestricted(pod_of(plan)) == []


@pytest.mark.parametrize(
    ("place", "value", "wrong"),
    [
        ("pod", {"hostPID": True}, "hostPID"),
        ("pod", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "volume v: hostPath"),
        ("pod", {"securityContext": {"runAsNonRoot": True}}, "main: no seccomp"),
        ("main", {"securityContext": {}}, "main: may gain privileges"),
        ("main", {"securityContext": {"runAsUser": 0}}, "main: is root"),
        ("main", {"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "main: adds capabilities"),
        ("main", {"ports": [{"containerPort": 1, "hostPort": 1}]}, "main: host port"),
    ],
)  # fmt: skip
def test_what_breaks_the_restricted_standard_is_seen(
    place: str, value: Manifest, wrong: str
) -> None:
    pod = pod_of(PLANS["task"])
    (pod if place == "pod" else pod["containers"][0]).update(value)
    assert wrong in unrestricted(pod)


@every_plan
def test_no_list_has_two_items_that_apply_could_not_tell_apart(plan: Plan) -> None:
    for one in objects(plan):
        assert list(repeated(one)) == []
        assert "status" not in one
        assert "managedFields" not in one["metadata"]


def test_a_variable_of_the_workload_stands_once_and_wins_over_the_default() -> None:
    plan = plan_of(Kind.TASK, environment={"LANG": "de", "KPL_REPLICA": "x"}, replicas=2)
    environment = environment_of(plan)
    assert list(repeated(objects(plan))) == []
    assert environment["LANG"] == ("secret", "env.0")
    assert environment["KPL_REPLICA"][0] == "pod"
    assert found(plan, "Secret")["stringData"]["env.0"] == "de"
    assert "env.1" not in found(plan, "Secret")["stringData"]
    assert list(repeated({"env": [{"name": "A"}, {"name": "A"}]})) == ["env: ('A',)"]


@every_plan
def test_names_and_labels_are_what_kubernetes_allows_and_find_everything(plan: Plan) -> None:
    for one in objects(plan):
        meta = one["metadata"]
        assert DNS_NAME.fullmatch(meta["name"])
        assert meta["namespace"] == "lab"
        assert meta["labels"][names.INSTALLATION] == INSTALLATION
        for value in meta["labels"].values():
            assert LABEL.fullmatch(value), value
    workload = objects(plan)[-1]
    chosen = names.workload_selector(INSTALLATION, plan.workload.name).items()
    assert chosen <= workload["metadata"]["labels"].items()
    assert chosen <= pod_template(plan)["metadata"]["labels"].items()
    assert workload["metadata"]["labels"][names.KIND] == plan.workload.kind.value


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("task", ["Secret", "Job"]),
        ("distributed task", ["Secret", "Service", "NetworkPolicy", "Job"]),
        ("service", ["Secret", "Service", "Deployment"]),
        ("server", ["PersistentVolumeClaim", "Secret", "Pod"]),
        ("server that forgets", ["Secret", "Pod"]),
        ("server in a shared claim", ["Secret", "Pod"]),
        ("build", ["Secret", "Job"]),
    ],
)
def test_objects_come_in_the_order_in_which_they_need_each_other(
    name: str, kinds: list[str]
) -> None:
    assert [one["kind"] for one in objects(PLANS[name])] == kinds


@every_plan
def test_the_same_plan_gives_the_same_objects_and_keeps_none(plan: Plan) -> None:
    first = objects(plan)
    before = json.dumps(first)
    first[-1]["spec"].clear()
    assert json.dumps(objects(plan)) == before


@given(
    st.sampled_from(list(Kind)),
    st.sampled_from([SHAPE, FULL_SHAPE]),
    st.fixed_dictionaries(
        {
            "replicas": st.integers(1, 4),
            "home": st.none() | texts.filter(lambda text: text not in ("", ".", "..")),
            "environment": st.dictionaries(st.from_regex(r"[A-Z_]{1,12}", fullmatch=True), texts),
            "labels": st.dictionaries(st.sampled_from(["owner", "id", "kind"]), texts),
            "limits": st.builds(
                Limits,
                cpu=st.floats(0.01, 64),
                memory_mb=st.integers(1, 10**6),
                gpu=st.integers(0, 8),
                shm_mb=st.integers(0, 10**5),
            ),
        }
    ),
)
def test_whatever_is_asked_for_is_confined_labelled_and_can_be_applied(
    kind: Kind, shape: Shape, changes: dict[str, Any]
) -> None:
    plan = plan_of(kind, shape, **changes)
    assert unrestricted(pod_of(plan)) == []
    cpu = command_of(plan)["resources"]
    assert int(cpu["requests"]["cpu"][:-1]) <= int(cpu["limits"]["cpu"][:-1])
    for one in objects(plan):
        assert list(repeated(one)) == []
        assert all(LABEL.fullmatch(value) for value in one["metadata"]["labels"].values())
        assert DNS_NAME.fullmatch(one["metadata"]["name"])


@given(st.sets(slugs, min_size=2, max_size=2))
def test_names_are_bounded_and_two_workloads_never_share_one(two: set[str]) -> None:
    one, other = (names.object_name(INSTALLATION, each) for each in two)
    assert one != other
    for name in (one, other):
        assert len(name) <= 45
        assert re.fullmatch(r"[a-z0-9-]+", name)
    assert names.object_name(INSTALLATION, min(two)) == names.object_name(INSTALLATION, min(two))


@given(plain_slugs, plain_slugs)
def test_no_name_is_taken_for_one_that_was_cut(long: str, other: str) -> None:
    workload = f"{long}-{'x' * 40}"
    cut = names.object_name(INSTALLATION, workload).removeprefix(f"kpl-{INSTALLATION}-")
    assert "--" in cut
    assert names.object_name(INSTALLATION, other) != names.object_name(INSTALLATION, workload)


@given(st.one_of(texts, slugs).filter(bool))
def test_nobody_can_choose_a_name_that_leads_to_the_home_of_another(home: str) -> None:
    claim = names.home_claim(INSTALLATION, home)
    assert len(claim) <= 63
    assert DNS_NAME.fullmatch(claim)
    as_a_name = claim.removeprefix(f"kpl-{INSTALLATION}-home-")
    assert as_a_name == home or names.home_claim(INSTALLATION, as_a_name) != claim


@given(texts)
def test_any_text_becomes_a_label(text: str) -> None:
    value = names.label_value(text)
    assert LABEL.fullmatch(value)
    if LABEL.fullmatch(text):
        assert value == text
