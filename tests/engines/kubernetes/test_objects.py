"""The objects of workloads on Kubernetes: what they ask of a cluster."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import kubernetes_validate
import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects import objects, parts
from kpl_lab.engines.kubernetes.objects.pod import SAFE_TO_EVICT, pod_template
from kpl_lab.engines.kubernetes.objects.workloads import QUEUE_LABEL
from kpl_lab.engines.kubernetes.plan import Plan, Shape
from kpl_lab.engines.spec import Input, Kind, Limits, RegistryLogin
from kpl_lab.errors import EngineError
from tests.engines.kubernetes.plans import (
    FULL_SHAPE,
    INSTALLATION,
    PLANS,
    SHAPE,
    agent_of,
    command_of,
    every_plan,
    found,
    plan_of,
    pod_of,
)
from tests.engines.kubernetes.standards import NEWEST

# The pod


@every_plan
def test_a_pod_has_no_account_of_the_cluster_and_one_of_its_own(plan: Plan) -> None:
    pod = pod_of(plan)
    user = plan.shape.user_id
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["shareProcessNamespace"] is True
    context = pod["securityContext"]
    assert [context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")] == [user] * 3


@pytest.mark.parametrize(
    ("name", "policy", "is_kept"),
    [
        ("task", "Never", True),
        ("server", "Never", True),
        ("build", "Never", False),
        ("service", "Always", False),
    ],
)
def test_only_services_are_started_again_and_what_cannot_be_moved_says_so(
    name: str, policy: str, is_kept: bool
) -> None:
    plan = PLANS[name]
    assert pod_of(plan)["restartPolicy"] == policy
    noted = pod_template(plan)["metadata"].get("annotations", {})
    assert noted.get(SAFE_TO_EVICT) == ("false" if is_kept else None)


@pytest.mark.parametrize(
    ("kind", "changes", "seconds"),
    [
        (Kind.TASK, {}, 3650),
        (Kind.TASK, {"outputs": (), "relay": None, "grace_seconds": 2.5}, 13),
        (Kind.TASK, {"outputs": (), "grace_seconds": 2.5}, 43),
        (Kind.TASK, {"relay": None, "grace_seconds": 0.5}, 3611),
        (Kind.SERVICE, {}, 20),
        (Kind.SERVER, {"grace_seconds": 0.0}, 10),
    ],
)
def test_a_pod_has_time_to_end_and_to_send_what_it_made(
    kind: Kind, changes: dict[str, Any], seconds: int
) -> None:
    assert pod_of(plan_of(kind, **changes))["terminationGracePeriodSeconds"] == seconds


def test_a_pod_goes_where_its_administrator_wants() -> None:
    pod = pod_of(PLANS["queued task"])
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "blue"}
    assert pod["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("gvisor", "low")
    assert {command_of(PLANS["queued task"])["imagePullPolicy"]} == {"Never"}
    assert pod["securityContext"]["supplementalGroups"] == [3000]
    metadata = found(PLANS["queued task"], "Job")["spec"]["template"]["metadata"]
    assert (metadata["labels"]["team"], metadata["annotations"]["cost"]) == ("blue", "12")
    assert metadata["labels"][names.INSTALLATION] == INSTALLATION
    plain = pod_of(PLANS["task"])
    assert plain["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert not {"tolerations", "runtimeClassName", "priorityClassName"} & plain.keys()


@pytest.mark.parametrize(
    ("image", "policy", "found"),
    [
        (f"registry.example/team/{INSTALLATION}:abc", "Never", "IfNotPresent"),
        (f"registry.example/team/{INSTALLATION}:abc", "Always", "Always"),
        ("registry.example/team/another:abc", "Never", "Never"),
        (f"registry.example/team/{INSTALLATION}-more:abc", "Never", "Never"),
    ],
)
def test_what_was_built_here_is_pulled_also_where_nothing_else_is(
    image: str, policy: str, found: str
) -> None:
    shape = dataclasses.replace(SHAPE, pull_policy=policy, registry="registry.example/team/")
    plan = plan_of(Kind.TASK, shape, image=image)
    assert command_of(plan)["imagePullPolicy"] == found
    assert agent_of(plan)["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("limits", "shape", "cpu", "others"),
    [
        (Limits(cpu=1.5, memory_mb=100), SHAPE, ("1500m", "375m"), {"memory": "100Mi"}),
        (Limits(cpu=0.001, memory_mb=1), SHAPE, ("1m", "1m"), {"memory": "1Mi"}),
        (
            Limits(cpu=4, memory_mb=100, gpu=2),
            SHAPE,
            ("4000m", "1000m"),
            {"memory": "100Mi", "nvidia.com/gpu": "2"},
        ),
        (
            Limits(cpu=3, memory_mb=9, gpu=1),
            FULL_SHAPE,
            ("3000m", "1500m"),
            {"memory": "9Mi", "amd.com/gpu": "1"},
        ),
    ],
)
def test_a_command_reserves_its_memory_and_gpus_whole_and_its_cores_in_part(
    limits: Limits, shape: Shape, cpu: tuple[str, str], others: dict[str, str]
) -> None:
    resources = command_of(plan_of(Kind.TASK, shape, limits=limits))["resources"]
    assert resources["limits"] == {"cpu": cpu[0], **others}
    assert resources["requests"] == {"cpu": cpu[1], **others}


@every_plan
def test_a_command_starts_when_its_agent_is_ready_or_where_nothing_is_prepared_with_it(
    plan: Plan,
) -> None:
    agent = agent_of(plan)
    assert agent["image"] == plan.shape.base_image
    words = ["--config", "/beside/config/agent.json", "--send-seconds"]
    assert agent["command"][-6:-4] == ["-m", "kpl_lab.engines.kubernetes.agent"]
    assert agent["command"][-4:] == [*words, str(plan.shape.send_seconds)]
    if plan.starts_together:
        # In this order: the kubelet pulls the image of the first before it starts the second.
        assert [one["name"] for one in pod_of(plan)["containers"]] == ["agent", "main"]
        assert agent["command"][:2] == ["/bin/sh", "-c"], "a shell starts it again"
        assert {"name": "KPL_TOGETHER", "value": "1"} in agent["env"]
        assert not {"restartPolicy", "startupProbe", "lifecycle"} & set(agent)
    else:
        assert [one["name"] for one in pod_of(plan)["initContainers"]] == ["agent"]
        assert agent["restartPolicy"] == "Always"
        probe = agent["startupProbe"]
        assert probe["exec"]["command"] == ["test", "-e", "/beside/ready"]
        assert probe["periodSeconds"] * probe["failureThreshold"] >= 3600
    assert agent["resources"]["limits"]["memory"] == "256Mi"
    assert agent["securityContext"]["readOnlyRootFilesystem"] is True
    assert {"KPL_POD", "PYTHONDONTWRITEBYTECODE"} == {one["name"] for one in agent["env"]} - {
        "KPL_TOGETHER"
    }


def test_what_somebody_waits_for_on_a_page_starts_with_its_agent() -> None:
    together = {name for name, plan in PLANS.items() if plan.starts_together}
    assert together == {
        "server",
        "full server",
        "server in a shared claim",
        "server that forgets",
        "server on nodes with agents",
    }
    prepared = plan_of(Kind.SERVER, inputs=(Input(key="a", source="x"),))
    assert not prepared.starts_together


# What runs them


def test_a_task_is_never_repeated_but_for_a_disruption() -> None:
    spec = found(PLANS["task"], "Job")["spec"]
    assert spec["backoffLimit"] == 0
    assert (spec["completions"], spec["parallelism"]) == (1, 1)
    disrupted = {"onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    # And none by exit codes, which would count what a suspension ends.
    assert spec["podFailurePolicy"]["rules"] == [{"action": "Ignore", **disrupted}]
    several = found(PLANS["distributed task"], "Job")["spec"]["podFailurePolicy"]["rules"]
    assert several == [{"action": "FailJob", **disrupted}], "all or nothing"
    # Kubernetes takes a policy for failures with these two alone.
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["ttlSecondsAfterFinished"] == 86400


def test_replicas_of_a_task_are_numbered_and_find_each_other_by_name() -> None:
    plan = PLANS["distributed task"]
    job, service = found(plan, "Job"), found(plan, "Service")
    assert job["spec"]["completionMode"] == "Indexed"
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    policy = found(plan, "NetworkPolicy")["spec"]
    mine = {"matchLabels": service["spec"]["selector"]}
    assert policy == {
        "podSelector": mine, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": mine}]}],
    }  # fmt: skip
    alone = found(PLANS["task"], "Job")["spec"]
    assert alone["completionMode"] == "NonIndexed"
    assert "subdomain" not in alone["template"]["spec"]


def test_a_host_name_of_a_replica_fits_also_where_the_names_are_long() -> None:
    job = found(plan_of(Kind.TASK, name="t" * 64, replicas=100_000), "Job")
    assert len(f"{job['metadata']['name']}-99999-abcde") <= 63


def test_tasks_wait_in_the_queue_that_is_set_and_nothing_else_does() -> None:
    queued = found(PLANS["queued task"], "Job")
    assert queued["metadata"]["labels"][QUEUE_LABEL] == "team"
    assert queued["spec"]["suspend"] is True
    build = found(plan_of(Kind.BUILD, FULL_SHAPE), "Job")
    for other in (found(PLANS["task"], "Job"), build):
        assert QUEUE_LABEL not in other["metadata"]["labels"]
        assert "suspend" not in other["spec"]


def test_a_service_always_has_its_replicas_and_one_address() -> None:
    plan = PLANS["service"]
    deployment, service = found(plan, "Deployment"), found(plan, "Service")
    spec = deployment["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["revisionHistoryLimit"] == 0
    chosen = spec["selector"]["matchLabels"]
    assert chosen == service["spec"]["selector"]
    assert chosen.items() <= spec["template"]["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["targetPort"] == 9000
    (spread,) = spec["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["whenUnsatisfiable"], spread["labelSelector"]) == (
        "ScheduleAnyway",
        {"matchLabels": chosen},
    )


def test_a_service_without_a_port_has_no_address() -> None:
    with pytest.raises(EngineError) as refused:
        parts.service(dataclasses.replace(PLANS["service"], port=None))
    assert refused.value.code == "no_port"


def test_an_owner_is_named_as_the_cluster_has_answered_it() -> None:
    job = found(PLANS["task"], "Job")
    job["metadata"]["uid"] = "u-1"
    assert parts.owner_reference(job) == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": "u-1",
    }
    secret = found(PLANS["task"], "Secret")
    secret["metadata"]["ownerReferences"] = [parts.owner_reference(job)]
    kubernetes_validate.validate(secret, NEWEST, strict=True)


def test_an_image_that_asks_for_a_login_is_pulled_with_one_that_goes_with_the_workload() -> None:
    login = RegistryLogin(username="ann", password="open sesame")
    image = "registry.example:5000/team/x:1"
    plan = plan_of(Kind.TASK, image=image, login=login)
    *before, job = objects(plan)
    (pull,) = [one for one in before if one.get("type") == "kubernetes.io/dockerconfigjson"]
    known = json.loads(pull["stringData"][".dockerconfigjson"])["auths"]
    assert list(known) == ["registry.example:5000"]
    names_given = job["spec"]["template"]["spec"]["imagePullSecrets"]
    assert {"name": pull["metadata"]["name"]} in names_given
    assert "open sesame" not in json.dumps(job)
