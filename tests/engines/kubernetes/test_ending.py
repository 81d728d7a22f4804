"""Why the cluster has ended a pod.

The texts are those of real clusters: of Kubernetes 1.36 with containerd where nothing else is said.
"""

from __future__ import annotations

import pytest

from kpl_lab.engines.kubernetes.telling import tell
from tests.engines.kubernetes.texts import event, pod

End = tuple[str, str, str, str, str]
ENDS: list[End] = [
    (
        "short of memory",
        "Evicted",
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container main was using 5Gi, request is 1Gi, has larger consumption of memory. ",
        "evicted_memory",
        "node-1 ran short of memory",
    ),
    (
        "short of disk",
        "Evicted",
        "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 9Gi. ",
        "evicted_disk",
        "ran short of disk",
    ),
    (
        "wrote too much",
        "Evicted",
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        "disk_limit",
        "limit of 1Gi",
    ),
    (
        "wrote too much in a container",
        "Evicted",
        'Container main exceeded its local ephemeral storage limit "2Gi". ',
        "disk_limit",
        "limit of 2Gi",
    ),
    (
        "wrote too much into a volume",
        "Evicted",
        'Usage of EmptyDir volume "work" exceeds the limit "1Mi". ',
        "disk_limit",
        "limit of 1Mi",
    ),
    (
        "in the way of something critical",
        "Preempting",
        "Preempted in order to admit critical pod",
        "preempted",
        "higher priority",
    ),
    (
        "the node goes",
        "Terminated",
        "Pod was terminated in response to imminent node shutdown.",
        "node_shutdown",
        "node-1 is being shut down",
    ),
    (
        "too long",
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
        "deadline",
        "time limit",
    ),
    (
        "no room after all",
        "OutOfcpu",
        "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
        "node_full",
        "no cpu left",
    ),
    (
        "no GPU after all",
        "UnexpectedAdmissionError",
        "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu, which is unexpected.",
        "node_refused",
        "no healthy devices",
    ),
    (
        "a node with other labels",
        "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        "node_refused",
        "refused it",
    ),
    ("something new", "Moonlight", "too bright", "pod_failed", "Moonlight"),
]


@pytest.mark.parametrize(
    ("reason", "message", "code", "said"), [c[1:] for c in ENDS], ids=[c[0] for c in ENDS]
)
def test_ended_by_the_cluster(reason: str, message: str, code: str, said: str) -> None:
    found = tell(pod(phase="Failed", reason=reason, message=message))
    assert found.code == code
    assert said in found.text


@pytest.mark.parametrize(
    ("reason", "message", "code"),
    [
        (
            "PreemptionByScheduler",
            "default-scheduler: preempting to accommodate a higher priority pod",
            "preempted",
        ),
        ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", "node_lost"),
        ("DeletionByPodGC", "PodGC: node no longer exists", "node_lost"),
        ("EvictionByEvictionAPI", "Eviction API: evicting", "drained"),
        (
            "TerminationByKubelet",
            "Pod was preempted by Kubelet to accommodate a critical pod.",
            "preempted",
        ),
        (
            "TerminationByKubelet",
            "Pod was terminated in response to imminent node shutdown.",
            "node_shutdown",
        ),
        (
            "TerminationByKubelet",
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. ",
            "evicted_memory",
        ),
    ],
)
def test_disruptions_are_told_while_the_pod_still_ends(
    reason: str, message: str, code: str
) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
    assert tell(pod(phase="Running", conditions=[condition])).code == code


def test_a_pod_that_ended_by_itself_is_not_the_clusters_affair() -> None:
    state = {"terminated": {"reason": "Error", "exitCode": 1}}
    for phase in ("Failed", "Succeeded"):
        found = pod(phase=phase, containerStatuses=[{"name": "main", "state": state}])
        assert tell(found, [event("Pulled", "x")]).text == ""
