"""What the containers of a pod see, and who may write it."""

from __future__ import annotations

import dataclasses
import json

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.objects import Manifest, objects
from kpl_lab.engines.kubernetes.plan import MOUNTS_VOLUME, TAKES_MOUNTS
from kpl_lab.engines.spec import Kind, Limits
from tests.engines.kubernetes.plans import (
    AGENT,
    FULL_SHAPE,
    PLANS,
    agent_of,
    command_of,
    environment_of,
    found,
    mounts_of,
    plan_of,
    pod_of,
    volume_of,
)

# What they see


def test_a_command_reads_its_inputs_and_sees_nothing_of_its_agent() -> None:
    plan = PLANS["task"]
    assert mounts_of(plan, command_of(plan)) == {
        "/kpl": "write",
        "/kpl/inputs": "read",
        "/kpl/secrets": "read",
        "/tmp": "write",
        "/dev/shm": "write",
    }
    assert mounts_of(plan, agent_of(plan)) == {
        "/kpl": "write",
        "/kpl/inputs": "write",
        "/beside": "write",
        "/beside/config": "read",
        "/tmp": "write",
    }
    (one,) = [each for each in command_of(plan)["volumeMounts"] if each["name"] == "tmp"]
    (other,) = [each for each in agent_of(plan)["volumeMounts"] if each["name"] == "tmp"]
    assert one["subPath"] != other["subPath"]


def test_a_server_has_its_home_and_live_mounts_that_it_only_reads() -> None:
    plan = PLANS["server"]
    command, agent = mounts_of(plan, command_of(plan)), mounts_of(plan, agent_of(plan))
    assert (command["/home/carol"], command["/home/carol/datasets"]) == ("write", "read")
    assert (agent["/home/carol"], agent["/home/carol/datasets"]) == ("write", "write")
    assert command_of(plan)["workingDir"] == "/home/carol"
    assert environment_of(plan)["HOME"] == "/home/carol"


def test_a_server_sees_what_the_agent_of_its_node_mounts_where_there_are_such_agents() -> None:
    plan = PLANS["server on nodes with agents"]
    (command,) = [one for one in command_of(plan)["volumeMounts"] if one["name"] == MOUNTS_VOLUME]
    assert (command["mountPropagation"], command["readOnly"]) == ("HostToContainer", True)
    (agent,) = [one for one in agent_of(plan)["volumeMounts"] if one["name"] == MOUNTS_VOLUME]
    assert "mountPropagation" not in agent
    (pod,) = [one for one in objects(plan) if one["kind"] == "Pod"]
    assert pod["metadata"]["annotations"][TAKES_MOUNTS] == "true"
    for name in set(PLANS) - {"server on nodes with agents"}:
        assert TAKES_MOUNTS not in json.dumps(objects(PLANS[name]))
        assert "mountPropagation" not in json.dumps(objects(PLANS[name]))


@pytest.mark.parametrize(("has_node_agents", "size"), [(True, {}), (False, {"sizeLimit": "700Mi"})])
def test_what_a_node_shows_in_a_server_does_not_count_as_its_scratch_space(
    has_node_agents: bool, size: dict[str, str]
) -> None:
    plan = PLANS["server on nodes with agents"]
    shape = dataclasses.replace(plan.shape, scratch_mb=700, has_node_agents=has_node_agents)
    plan = dataclasses.replace(plan, shape=shape)
    assert volume_of(plan, MOUNTS_VOLUME) == {"emptyDir": size}
    assert volume_of(plan, "inside") == {"emptyDir": {"sizeLimit": "700Mi"}}


def test_secrets_are_files_for_the_group_and_the_agents_part_is_its_own() -> None:
    plan = plan_of(Kind.TASK, secrets={"token": "a", "other": "b"})
    command, agent = volume_of(plan, "secrets")["secret"], volume_of(plan, "config")["secret"]
    assert command["items"] == [
        {"key": "secret.0", "path": "token"},
        {"key": "secret.1", "path": "other"},
    ]
    assert agent["items"] == [{"key": "agent.json", "path": "agent.json"}]
    assert (command["defaultMode"], agent["defaultMode"]) == (0o440, 0o440)
    data = found(plan, "Secret")
    assert data["metadata"]["name"] == command["secretName"] == agent["secretName"]
    assert json.loads(data["stringData"]["agent.json"]) == AGENT
    assert data["immutable"] is True


def test_without_secrets_the_folder_is_empty_and_not_the_whole_secret() -> None:
    assert volume_of(PLANS["bare task"], "secrets") == {"emptyDir": {}}


def test_shared_memory_and_scratch_space_are_as_large_as_was_asked_for() -> None:
    assert volume_of(PLANS["task"], "shm") == {"emptyDir": {"medium": "Memory", "sizeLimit": "8Mi"}}
    assert volume_of(PLANS["task"], "inside") == {"emptyDir": {}}
    for name in ("inside", "inputs", "tmp", "beside"):
        assert volume_of(PLANS["queued task"], name) == {"emptyDir": {"sizeLimit": "700Mi"}}
    none = plan_of(Kind.TASK, limits=Limits(cpu=1, memory_mb=1, shm_mb=0))
    assert "/dev/shm" not in mounts_of(none, command_of(none))


@pytest.mark.parametrize(
    ("name", "volume", "sub_path"),
    [
        ("server", {"persistentVolumeClaim": {"claimName": "kpl-0a1b2c3d-home-carol"}}, None),
        ("server in a shared claim", {"persistentVolumeClaim": {"claimName": "homes"}}, "Cärol:1"),
        ("server that forgets", {"emptyDir": {}}, None),
    ],
)
def test_a_home_is_a_claim_a_folder_of_one_or_nothing_that_stays(
    name: str, volume: Manifest, sub_path: str | None
) -> None:
    plan = PLANS[name]
    assert volume_of(plan, "home") == volume
    for container in (command_of(plan), agent_of(plan)):
        (mount,) = [one for one in container["volumeMounts"] if one["name"] == "home"]
        assert mount.get("subPath") == sub_path
        assert ":" not in mount["mountPath"]


def test_the_claim_of_a_home_outlives_its_server_and_asks_for_a_class_only_where_one_is_set() -> (
    None
):
    claim = found(PLANS["server"], "PersistentVolumeClaim")
    assert claim["metadata"]["name"] == "kpl-0a1b2c3d-home-carol"
    assert claim["metadata"]["labels"][names.HOME] == "carol"
    assert names.WORKLOAD not in claim["metadata"]["labels"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10240Mi"}},
    }
    full = found(PLANS["full server"], "PersistentVolumeClaim")
    assert full["spec"]["storageClassName"] == "fast"
    assert full["spec"]["resources"]["requests"]["storage"] == "512Mi"
    assert full["spec"]["accessModes"] == ["ReadWriteMany"]


@pytest.mark.parametrize("name", ["queued task", "checked service", "full server"])
def test_commands_see_the_volumes_of_their_administrator_and_agents_do_not(name: str) -> None:
    plan = PLANS[name]
    assert volume_of(plan, "shared") == {"persistentVolumeClaim": {"claimName": "team"}}
    mount = {"name": "shared", "mountPath": "/shared", "readOnly": True}
    assert mount in command_of(plan)["volumeMounts"]
    assert "shared" not in {one["name"] for one in agent_of(plan)["volumeMounts"]}


def test_builds_see_no_volume_of_others() -> None:
    plan = plan_of(Kind.BUILD, FULL_SHAPE)
    assert "shared" not in {one["name"] for one in pod_of(plan)["volumes"]}
