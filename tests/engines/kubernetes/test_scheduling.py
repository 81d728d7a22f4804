"""The scheduler's messages of Kubernetes 1.29 to 1.36, in words."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.engines.kubernetes.scheduling import is_gpu, unscheduled, verdict

Json = dict[str, Any]
# 1.35 and later; before that it is "preemption: …" alone, and further back another full stop.
NO_HELP = " no new claims to deallocate, preemption: 0/{n} nodes are available: {n} Preemption is not helpful for scheduling."
OLD_NO_HELP = " preemption: 0/{n} nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling.."
Obstacles = list[tuple[str, int, str]]
CASES: list[tuple[str, str, str, Obstacles]] = [
    (
        "cores",
        "0/1 nodes are available: 1 Insufficient cpu." + NO_HELP.format(n=1),
        "insufficient_cpu",
        [("insufficient_cpu", 1, "cpu")],
    ),
    (
        "GPUs and taints",
        "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 Insufficient nvidia.com/gpu."
        + OLD_NO_HELP.format(n=3),
        "insufficient_gpu",
        [
            ("taint", 1, "node-role.kubernetes.io/control-plane"),
            ("insufficient_gpu", 2, "nvidia.com/gpu"),
        ],
    ),
    (
        "parts of GPUs and memory on the same nodes",
        "0/4 nodes are available: 1 Insufficient memory, 2 Insufficient nvidia.com/mig-1g.10gb, 4 Insufficient cpu.",
        "insufficient_gpu",
        [
            ("insufficient_memory", 1, "memory"),
            ("insufficient_gpu", 2, "nvidia.com/mig-1g.10gb"),
            ("insufficient_cpu", 4, "cpu"),
        ],
    ),
    (
        "another resource",
        "0/2 nodes are available: 2 Insufficient rdma/hca.",
        "insufficient_resource",
        [("insufficient_resource", 2, "rdma/hca")],
    ),
    (
        "disk and pods",
        "0/2 nodes are available: 1 Insufficient ephemeral-storage, 1 Too many pods.",
        "insufficient_disk",
        [("insufficient_disk", 1, "ephemeral-storage"), ("too_many_pods", 1, "Too many pods")],
    ),
    (
        "labels",
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        + NO_HELP.format(n=1),
        "node_selector",
        [("node_selector", 1, "node(s) didn't match Pod's node affinity/selector")],
    ),
    (
        "taints without their names, as since 1.35",
        "0/2 nodes are available: 2 node(s) had untolerated taint(s)." + NO_HELP.format(n=2),
        "taint",
        [("taint", 2, "not named")],
    ),
    (
        "a taint with a value",
        "0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: team-a}.",
        "taint",
        [("taint", 1, "dedicated: team-a")],
    ),
    (
        "nodes that are lost, short, or closed",
        "0/4 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/disk-pressure: }, 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) were unschedulable.",
        "node_lost",
        [
            ("node_pressure", 1, "disk-pressure"),
            ("node_lost", 1, "node.kubernetes.io/not-ready"),
            ("node_lost", 1, "node.kubernetes.io/unreachable"),
            ("node_cordoned", 1, "node(s) were unschedulable"),
        ],
    ),
    (
        "a claim without a volume",
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
        "volume_unbound",
        [("volume_unbound", 0, "pod has unbound immediate PersistentVolumeClaims. not found")],
    ),
    (
        "a claim without a volume, as before 1.34",
        "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
        "volume_unbound",
        [("volume_unbound", 0, "pod has unbound immediate PersistentVolumeClaims")],
    ),
    (
        "no such claim",
        '0/1 nodes are available: persistentvolumeclaim "gone" not found. not found',
        "volume_missing",
        [("volume_missing", 0, "gone")],
    ),
    (
        "a volume elsewhere, before and since 1.34",
        "0/2 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity, 1 node(s) had volume node affinity conflict.",
        "volume_elsewhere",
        [
            ("volume_elsewhere", 1, "node(s) didn't match PersistentVolume's node affinity"),
            ("volume_elsewhere", 1, "node(s) had volume node affinity conflict"),
        ],
    ),
    (
        "a volume for one pod",
        "0/1 nodes are available: 1 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.",
        "volume_in_use",
        [
            (
                "volume_in_use",
                1,
                "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
            )
        ],
    ),
    (
        "too many volumes, a port, neighbours",
        "0/4 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't match pod anti-affinity rules, 1 node(s) didn't match pod topology spread constraints, 1 node(s) exceed max volume count.",
        "volume_limit",
        [
            ("port_taken", 1, "node(s) didn't have free ports for the requested pod ports"),
            ("pod_affinity", 1, "node(s) didn't match pod anti-affinity rules"),
            ("pod_spread", 1, "node(s) didn't match pod topology spread constraints"),
            ("volume_limit", 1, "node(s) exceed max volume count"),
        ],
    ),
    (
        "what another scheduler says",
        "0/10 nodes are available: 1 node unregistered, 9 CardInsufficientMemory.",
        "no_node",
        [("no_node", 1, "node unregistered"), ("no_node", 9, "CardInsufficientMemory")],
    ),
]


@pytest.mark.parametrize(
    ("message", "code", "obstacles"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_messages(message: str, code: str, obstacles: Obstacles) -> None:
    found = verdict(message)
    assert found is not None
    assert sorted((one.code, one.nodes, one.what) for one in found.obstacles) == sorted(obstacles)
    said = unscheduled(message, {})
    assert said.code == code
    assert not said.is_progress
    assert said.detail["message"] == message


def pod(**requests: str) -> Json:
    half = {"resources": {"requests": requests}}
    sidecar = {"restartPolicy": "Always", "resources": {"requests": {"memory": "64Mi"}}}
    before = {"resources": {"requests": {"memory": "900Gi"}}}
    return {"spec": {"containers": [half], "initContainers": [sidecar, before]}}


def node(name: str, **allocatable: str) -> Json:
    gpus = allocatable.pop("gpu", None)
    if gpus is not None:
        allocatable["nvidia.com/gpu"] = gpus
    return {"metadata": {"name": name}, "status": {"allocatable": allocatable}}


def test_what_each_node_lacks_is_named() -> None:
    nodes = [node("a", memory="16Gi"), node("b", memory="24581692Ki")]
    message = "0/2 nodes are available: 2 Insufficient memory."
    found = unscheduled(message, pod(memory="32Gi"), nodes)
    assert "too little memory free (2 of 2)" in found.text
    assert found.text.endswith(
        " It asks for 32.1 GiB memory; in all the nodes have b: 23.4 GiB memory; a: 16 GiB memory. "
        "No node has that much in all: ask for less, or choose another pool."
    )
    assert found.detail["lacks"] == [
        {
            "resource": "memory",
            "asked": 32 * 2**30 + 64 * 2**20,
            "nodes": {"a": "16Gi", "b": "24581692Ki"},
        }
    ]


def test_what_is_only_in_use_comes_free() -> None:
    message = "0/2 nodes are available: 2 Insufficient cpu."
    found = unscheduled(message, pod(cpu="2"), [node("a", cpu="4"), node("b", cpu="1500m")])
    assert "starts as soon as something ends" in found.text
    assert "in all the nodes have a: 4 cpu; b: 1.5 cpu." in found.text


def test_of_many_nodes_those_that_come_nearest_are_named() -> None:
    nodes = [
        node("a", cpu="64", gpu="0"),
        node("b", cpu="8", gpu="4"),
        node("c", cpu="32", gpu="8"),
        node("d", cpu="16", gpu="2"),
    ]
    message = "0/4 nodes are available: 2 Insufficient cpu, 3 Insufficient nvidia.com/gpu."
    half = {"resources": {"requests": {"cpu": "32"}, "limits": {"nvidia.com/gpu": 8}}}
    found = unscheduled(message, {"spec": {"containers": [half]}}, nodes)
    assert (
        "It asks for 32 cpu, 8 nvidia.com/gpu; in all the nodes have c: 32 cpu, 8 nvidia.com/gpu; "
        "b: 8 cpu, 4 nvidia.com/gpu; d: 16 cpu, 2 nvidia.com/gpu; …. It starts as soon as"
    ) in found.text


def test_who_may_not_see_nodes_is_told_the_numbers_alone() -> None:
    found = unscheduled("0/2 nodes are available: 2 Insufficient cpu.", pod(cpu="2"), None)
    assert "in all" not in found.text


def test_a_cluster_without_gpus_says_so() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    wants = {"spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": 2}}}]}}
    for gpus in ("0", "1"):
        few = unscheduled(message, wants, [node("a", gpu=gpus)]).text
        assert f"2 nvidia.com/gpu; in all the nodes have a: {gpus} nvidia.com/gpu. No node" in few
    assert "a: 0 nvidia.com/gpu. No node" in unscheduled(message, wants, [node("a")]).text


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("no nodes available to schedule pods", "no_nodes"),
        ("0/0 nodes are available: no nodes.", "no_nodes"),
        (
            'running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded',
            "no_node",
        ),
    ],
)
def test_other_words_of_the_scheduler(message: str, code: str) -> None:
    assert unscheduled(message, {}).code == code


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-1g.10gb", True),
        ("amd.com/gpu", True),
        ("huawei.com/Ascend910", True),
        ("rdma/hca", False),
        ("hugepages-2Mi", False),
    ],
)
def test_accelerators_are_known_by_their_names(resource: str, expected: bool) -> None:
    assert is_gpu(resource) is expected
