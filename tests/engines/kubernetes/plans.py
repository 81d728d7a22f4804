"""Workloads of all kinds as plans of Kubernetes, and what their objects say."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import strategies as st

from kpl_lab.engines.kubernetes.objects import Manifest, objects
from kpl_lab.engines.kubernetes.plan import Plan, Shape
from kpl_lab.engines.spec import Input, Kind, Limits, RelayTarget, Workload

INSTALLATION = "0a1b2c3d"
AGENT = {
    "token": "gate-token",
    "timing": {"health": 4.5, "health_timeout": 2.5, "health_failures": 3, "relay_wait": 30.0},
}
RELAY = RelayTarget(
    url="http://127.0.0.1:1/r", token="relay-token", metric_token="metric-token", task_id=1
)
WORKLOADS = {
    Kind.TASK: Workload(
        name="task-1-1", kind=Kind.TASK,
        labels={"instance": INSTALLATION, "owner": "älice@example.com", "resource": "tasks", "id": "1"},
        image="registry.example/team/image:1",
        command=("/bin/sh", "-c", "echo $$ $(HOME) {{work}}"), identity="task:1",
        limits=Limits(cpu=1.5, memory_mb=100, shm_mb=8), code="/store/code",
        environment={"DATA": "{{inputs}}/data", "RELAY": "{{relay}}", "OWN": "{{inputs}} $(HOME)"},
        secrets={"token": "task-token"}, inputs=(Input(key="data", source="/store/d/1"),),
        outputs=("model",), relay=RELAY, time_limit_seconds=60, templates=("DATA", "RELAY"),
    ),
    Kind.SERVICE: Workload(
        name="service-2", kind=Kind.SERVICE, labels={"owner": "bob"}, image="image:2",
        command=("/bin/sh", "-c", "serve"), identity="service:2",
        limits=Limits(cpu=0.5, memory_mb=64), code="/store/code", replicas=2, port=9000,
        environment={"PORT": "{{port}}"}, templates=("PORT",), secrets={"token": "service-token"},
    ),
    Kind.SERVER: Workload(
        name="server-3", kind=Kind.SERVER, labels={"owner": "carol"}, image="image:3",
        command=("python", "-m", "lab", "--ip={{host}}", "--port={{port}}", "{{home}}/$(X)"),
        identity="user:carol", limits=Limits(cpu=2, memory_mb=512), home="carol", skeleton="/store/s",
        environment={"JUPYTERHUB_API_TOKEN": "server-token", "ROOT": "{{home}}"}, port=0,
    ),
    Kind.BUILD: Workload(
        name="build-4", kind=Kind.BUILD, labels={"owner": "dave"}, image="builder:4", command=(),
        identity="build:4", limits=Limits(cpu=1, memory_mb=256),
    ),
}  # fmt: skip
SHAPE = Shape(base_image="kpl-lab/base:1")
FULL_SHAPE = Shape(
    base_image="kpl-lab/base:1", pull_policy="Never", pull_secrets=("a", "b", "a"), user_id=2000,
    storage_class="fast", home_mb=512, scratch_mb=700, gpu_resource="amd.com/gpu",
    node_selector={"pool": "blue"}, tolerations=({"key": "gpu", "operator": "Exists"},),
    runtime_class="gvisor", priority_class="low", queue="team", cpu_request_share=50,
    home_access_mode="ReadWriteMany", pod_labels={"team": "blue", "kpl-lab.io/installation": "not ours"},
    pod_annotations={"cost": "12"}, supplemental_groups=(3000,),
    extra_volumes=({"name": "shared", "persistentVolumeClaim": {"claimName": "team"}},),
    extra_mounts=({"name": "shared", "mountPath": "/shared", "readOnly": True},),
)  # fmt: skip


def plan_of(kind: Kind, shape: Shape = SHAPE, **changes: Any) -> Plan:
    workload = dataclasses.replace(WORKLOADS[kind], **changes)
    port = {Kind.SERVICE: 9000, Kind.SERVER: 8888}.get(kind)
    return Plan(
        installation=INSTALLATION, namespace="lab", workload=workload, shape=shape, port=port,
        agent=AGENT,
    )  # fmt: skip


PLANS = {
    "task": plan_of(Kind.TASK),
    "distributed task": plan_of(Kind.TASK, replicas=3),
    "task with GPUs": plan_of(Kind.TASK, limits=Limits(cpu=8, memory_mb=1024, gpu=2)),
    "queued task": plan_of(Kind.TASK, FULL_SHAPE, replicas=2),
    "bare task": plan_of(Kind.TASK, secrets={}, relay=None, outputs=(), environment={}),
    "service": plan_of(Kind.SERVICE),
    "checked service": plan_of(Kind.SERVICE, FULL_SHAPE, health="/health?deep=1"),
    "server": plan_of(Kind.SERVER),
    "full server": plan_of(Kind.SERVER, FULL_SHAPE),
    "server in a shared claim": plan_of(
        Kind.SERVER, dataclasses.replace(SHAPE, home_volume="homes"), home="Cärol:1"
    ),
    "server that forgets": plan_of(Kind.SERVER, dataclasses.replace(SHAPE, home_volume="none")),
    "server without a home": plan_of(Kind.SERVER, home=None),
    "server on nodes with agents": plan_of(
        Kind.SERVER, dataclasses.replace(SHAPE, has_node_agents=True)
    ),
    "build": plan_of(Kind.BUILD),
    "long name": plan_of(Kind.TASK, name="t" * 64, replicas=2),
}
every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def found(plan: Plan, kind: str) -> Manifest:
    """Return the one object of a kind."""
    (one,) = [each for each in objects(plan) if each["kind"] == kind]
    return one


def pod_of(plan: Plan) -> Manifest:
    """Return the specification of a plan's pods, as it stands in its workload's object."""
    spec: Manifest = objects(plan)[-1]["spec"]
    return spec["template"]["spec"] if "template" in spec else spec


def command_of(plan: Plan) -> Manifest:
    return _container(plan, "main")


def agent_of(plan: Plan) -> Manifest:
    return _container(plan, "agent")


def _container(plan: Plan, name: str) -> Manifest:
    pod = pod_of(plan)
    everything = [*pod.get("initContainers", ()), *pod["containers"]]
    (found,) = [one for one in everything if one["name"] == name]
    return dict(found)


def environment_of(plan: Plan) -> dict[str, Any]:
    """Return what the command's variables are: values, keys of the Secret, or paths in the pod."""
    values: dict[str, Any] = {}
    for one in command_of(plan)["env"]:
        source = one.get("valueFrom", {})
        if "secretKeyRef" in source:
            values[one["name"]] = ("secret", source["secretKeyRef"]["key"])
        elif "fieldRef" in source:
            values[one["name"]] = ("pod", source["fieldRef"]["fieldPath"])
        else:
            values[one["name"]] = one["value"]
    return values


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Return what a kubelet makes of a word: `$(NAME)` where it is known, and one `$` of two."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return re.sub(r"\$(?:\$|\(([^)]*)\))", replacement, text)


def strings(value: Any) -> Iterator[str]:
    """Yield every text in a value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from strings(key)
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


def volume_of(plan: Plan, name: str) -> Manifest:
    (one,) = [each for each in pod_of(plan)["volumes"] if each["name"] == name]
    return {key: value for key, value in one.items() if key != "name"}


def mounts_of(plan: Plan, container: Manifest) -> dict[str, str]:
    """Return what a container may do at each place."""
    kinds = {one["name"] for one in pod_of(plan)["volumes"]}
    assert {one["name"] for one in container["volumeMounts"]} <= kinds
    return {
        one["mountPath"]: "read" if one.get("readOnly") else "write"
        for one in container["volumeMounts"]
    }


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
dollars = st.text(alphabet="$(){}AB ", max_size=20)
slugs = st.from_regex(r"[a-z0-9][a-z0-9-]{0,63}", fullmatch=True)
plain_slugs = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,6}", fullmatch=True)
