"""The objects of builds: what they ask of a cluster, who sees what, and what their ends mean."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from kpl_lab.engines.kubernetes import build_ending
from kpl_lab.engines.kubernetes.builds import Builder, check_not_building
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.ledger import Entry, Ledger, Status
from kpl_lab.engines.kubernetes.objects import Manifest, objects
from kpl_lab.engines.kubernetes.options import KubernetesOptions
from kpl_lab.engines.kubernetes.plan import Build, Plan
from kpl_lab.engines.kubernetes.registry import docker_config, login_of
from kpl_lab.engines.spec import (
    Cause,
    Dockerfile,
    Kind,
    Limits,
    Push,
    Recipe,
    RegistryLogin,
    ReplicaState,
)
from kpl_lab.errors import EngineError
from tests.engines.kubernetes.plans import FULL_SHAPE, SHAPE, found, plan_of, pod_of, strings
from tests.engines.kubernetes.standards import (
    NEWEST,
    OLDEST,
    beyond_baseline,
    repeated,
    unrestricted,
)

FULL = Build(
    image="builder:1", registry_secret="registry-login", push_login='{"auths": {"r": {}}}',
    seccomp="profiles/builds.json",
)  # fmt: skip
RECIPE = Recipe(
    digest="d1", workspace="w", base="registry.example/base:1", runs=("true",),
    limits=Limits(cpu=1, memory_mb=256),
)  # fmt: skip


def plan(build: Build, shape: Any = SHAPE) -> Plan:
    return dataclasses.replace(plan_of(Kind.BUILD, shape, secrets={"0": "s3cret"}), build=build)


PLANS = {
    "plain": plan(Build(image="builder:1")),
    "full": plan(FULL, FULL_SHAPE),
}
every = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def container(plan: Plan, name: str) -> Manifest:
    pod = pod_of(plan)
    (one,) = [c for c in (*pod["initContainers"], *pod["containers"]) if c["name"] == name]
    return dict(one)


def places(one: Manifest) -> set[str]:
    return {mount["mountPath"] for mount in one["volumeMounts"]}


@every
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_object_is_what_the_schemas_of_kubernetes_allow(plan: Plan, version: str) -> None:
    assert [one["kind"] for one in objects(plan)] == ["Secret", "Job"]
    for one in objects(plan):
        assert kubernetes_validate.validate(one, version, strict=True) == version
        assert list(repeated(one)) == []


@every
def test_a_build_keeps_the_baseline_standard_and_asks_for_no_more_than_it_needs(plan: Plan) -> None:
    pod = pod_of(plan)
    assert beyond_baseline(pod) == []
    opens = {"may gain privileges", "adds capabilities"}
    if plan.build is not None and not plan.build.seccomp:
        opens.add("no seccomp")
    assert set(unrestricted(pod)) == {
        f"{name}: {what}" for name in ("bases", "main") for what in opens
    }
    for name in ("bases", "main"):
        context = container(plan, name)["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"securityContext": {"privileged": True}}, "main: privileged"),
        ({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}, "main: adds SYS_ADMIN"),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, "main: unconfined"),
        ({"securityContext": {"procMount": "Unmasked"}}, "main: unmasked"),
    ],
)
def test_what_breaks_the_baseline_standard_is_seen(value: Manifest, wrong: str) -> None:
    pod = pod_of(PLANS["plain"])
    pod["containers"][0].update(value)
    assert beyond_baseline(pod) == [wrong]


def test_what_runs_a_users_steps_sees_no_login_and_what_sends_no_storage() -> None:
    plan = PLANS["full"]
    assert not [place for place in places(container(plan, "main")) if place.startswith("/logins")]
    assert "/storage" not in places(container(plan, "sender"))
    assert {"/logins/registry", "/logins/push", "/exchange"} <= places(container(plan, "sender"))
    assert "/logins/push" not in places(container(plan, "bases"))
    assert "auths" not in json.dumps(pod_of(plan))
    secret = found(plan, "Secret")["stringData"]
    assert secret["push.json"] == FULL.push_login
    assert secret["secret.0"] == "s3cret"
    assert "s3cret" not in list(strings(found(plan, "Job")))


def test_bases_come_before_the_steps_and_the_sender_stays_beside_them() -> None:
    order = [
        (one["name"], one.get("restartPolicy")) for one in pod_of(PLANS["plain"])["initContainers"]
    ]
    assert order == [("agent", "Always"), ("bases", None), ("sender", "Always")]
    steps = [container(PLANS["plain"], name)["args"][-1] for name in ("bases", "main", "sender")]
    assert steps == ["bases", "build", "send"]


def test_a_build_has_its_recipes_limits_and_the_builders_account() -> None:
    plan = PLANS["full"]
    assert container(plan, "main")["resources"]["limits"] == {"cpu": "1000m", "memory": "256Mi"}
    context = pod_of(plan)["securityContext"]
    assert [context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")] == [1000] * 3
    profile = container(plan, "main")["securityContext"]["seccompProfile"]
    assert profile == {"type": "Localhost", "localhostProfile": "profiles/builds.json"}


# What is refused


def builder(tmp_path: Path, **changes: object) -> Builder:
    values = {"builder_image": "builder:1", "registry": "registry.example/team", **changes}
    options = KubernetesOptions(**values)
    # Nothing is asked of it: there is no login to be looked for.
    return Builder("i1", options, tmp_path, Cluster.__new__(Cluster))


def test_without_a_registry_nothing_is_built(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="KPL_REGISTRY") as refused:
        builder(tmp_path, registry="").check(RECIPE)
    assert refused.value.code == "no_builder"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"base": "two words"}, "no_image"),
        ({"files": {"../x": ""}}, "invalid_name"),
        ({"push": Push(reference="--all")}, "no_image"),
        ({"archive": "/etc/passwd"}, "outside_store"),
        ({"dockerfile": Dockerfile(text="FROM a\n", context="/etc/passwd")}, "outside_store"),
    ],
)
def test_a_recipe_does_not_reach_outside(
    tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(EngineError) as refused:
        builder(tmp_path).check(dataclasses.replace(RECIPE, **changes))
    assert refused.value.code == code


def test_secrets_are_files_by_number_and_no_words_of_the_pod(tmp_path: Path) -> None:
    asked = Dockerfile(text="FROM a\n", secrets={"../id": "s3cret"})
    workload = builder(tmp_path).workload("b", dataclasses.replace(RECIPE, dockerfile=asked))
    assert workload.secrets == {"0": "s3cret"}
    assert workload.kind is Kind.BUILD
    assert [one.key for one in workload.inputs] == ["build"]


def test_the_login_of_a_push_is_for_its_registry_alone(tmp_path: Path) -> None:
    login = RegistryLogin(username="ada", password="p:w")
    push = Push(reference="registry.example:5000/team/x:1", login=login)
    found = builder(tmp_path).build(dataclasses.replace(RECIPE, push=push)).push_login
    assert login_of(found, "registry.example:5000") == "ada:p:w"
    assert login_of(found, "other.example") == ""
    assert "p:w" not in repr(builder(tmp_path).build(dataclasses.replace(RECIPE, push=push)))


@pytest.mark.parametrize(
    ("config", "login"),
    [
        (docker_config("r.example", "u", "p"), "u:p"),
        ('{"auths": {"https://r.example/v1/": {"username": "u", "password": "p"}}}', "u:p"),
        ('{"auths": {}}', ""),
        ("no JSON", ""),
    ],
)
def test_a_login_is_found_however_it_was_written(config: str, login: str) -> None:
    assert login_of(config, "r.example") == login


def entry(tmp_path: Path, *states: bool) -> Entry:
    ledger = Ledger(tmp_path)
    made = ledger.create(builder(tmp_path).workload("build-1", RECIPE), recipe=RECIPE)
    for index, is_final in enumerate(states):
        made.statuses[index] = Status(index=index, state=ReplicaState.RUNNING, is_final=is_final)
    return made


def test_what_is_being_built_is_not_built_twice(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as refused:
        check_not_building([entry(tmp_path, False)], "d1")
    assert refused.value.code == "build_running"
    check_not_building([entry(tmp_path, False)], "d2")
    check_not_building([entry(tmp_path, True)], "d1")


# What ends mean


@pytest.mark.parametrize(
    ("said", "code", "cause", "text"),
    [
        ({"kind": "step", "error": "Error: exit status 7"}, 7, Cause.EXIT, "exit status 7"),
        ({"kind": "step", "error": "exit status 137"}, 137, Cause.KILLED, ""),
        ({"kind": "disk", "error": "no space left on device"}, 1, Cause.DISK_FULL, "no space"),
        ({"kind": "push", "error": "denied", "to": "r/x:1"}, 1, Cause.START_FAILED, "could not be sent to r/x:1"),
        ({"kind": "too_large", "error": "", "bytes": 3 << 30, "limit": 1 << 30}, 1, Cause.START_FAILED, "has 3.0 GiB"),
        ({"kind": "failed", "error": "no archive"}, 1, Cause.START_FAILED, "no archive"),
    ],
)  # fmt: skip
def test_the_last_words_of_a_build_become_a_cause(
    said: dict[str, Any], code: int, cause: Cause, text: str
) -> None:
    doom = build_ending.end_of(json.dumps(said), code)
    assert doom is not None
    assert doom.cause is cause
    assert text in doom.detail.get("error", "")


@pytest.mark.parametrize("said", ["", "[]", "{}", '{"kind": "push", "error": "x"}', '{"kind": "too_large", "error": "", "bytes": []}'])  # fmt: skip
def test_words_that_a_step_has_forged_are_none(said: str) -> None:
    assert build_ending.end_of(said, 1) is None
