"""What somebody who waits for a pod is told.

The texts are those of real clusters: of Kubernetes 1.36 with containerd where nothing else is said.
"""

from __future__ import annotations

import pytest

from kpl_lab.engines.kubernetes.telling import tell, tell_claim, tell_owner
from tests.engines.kubernetes.texts import IMAGE, Json, event, pod, waits

# --- on its way -----------------------------------------------------------------------------------

SETTING_UP = waits("ContainerCreating")
Step = tuple[str, list[Json], str, bool, str]
STEPS: list[Step] = [
    ("nothing yet", [], "scheduled", True, "node node-1"),
    (
        "a place",
        [event("Scheduled", "Successfully assigned lab/p to node-1")],
        "scheduled",
        True,
        "node node-1",
    ),
    (
        "pulling, in the second of its placing",
        [event("Scheduled", "x"), event("Pulling", f'Pulling image "{IMAGE}"')],
        "pulling",
        True,
        f"pulling the image {IMAGE}",
    ),
    (
        "pulled",
        [
            event(
                "Pulled",
                f'Successfully pulled image "{IMAGE}" in 2.5s (2.5s including waiting). Image size: 1 bytes.',
                3,
            ),
            event("Pulling", f'Pulling image "{IMAGE}"', 1),
        ],
        "starting",
        True,
        "being started",
    ),
    (
        "a secret that comes late",
        [
            event(
                "FailedMount",
                'MountVolume.SetUp failed for volume "secrets" : secret "train" not found',
            )
        ],
        "volume_missing",
        False,
        "the secret train",
    ),
    (
        "a secret that has come",
        [
            event(
                "FailedMount",
                'MountVolume.SetUp failed for volume "secrets" : secret "train" not found',
                1,
            ),
            event("Pulled", "x", 5),
        ],
        "starting",
        True,
        "",
    ),
    (
        "a volume that hangs",
        [
            event(
                "FailedMount",
                "Unable to attach or mount volumes: unmounted volumes=[home], unattached volumes=[], failed to process volumes=[]: context deadline exceeded",
            )
        ],
        "volume_not_mounted",
        False,
        "the volume home",
    ),
    (
        "a volume in use elsewhere",
        [
            event(
                "FailedAttachVolume",
                'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other',
            )
        ],
        "volume_in_use",
        False,
        "pvc-1 is still in use",
    ),
    (
        "no network",
        [
            event(
                "FailedCreatePodSandBox",
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "ab": plugin type="calico" failed (add): no IP addresses available',
            )
        ],
        "network_not_ready",
        False,
        "no IP addresses",
    ),
    (
        "no such runtime",
        [
            event(
                "FailedCreatePodSandBox",
                'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "gvisor" is configured',
            )
        ],
        "runtime_missing",
        False,
        "gvisor",
    ),
    (
        "a node gone silent",
        [event("NodeNotReady", "Node is not ready")],
        "node_not_ready",
        False,
        "node-1",
    ),
]


@pytest.mark.parametrize(
    ("events", "code", "is_progress", "said"), [c[1:] for c in STEPS], ids=[c[0] for c in STEPS]
)
def test_on_its_way(events: list[Json], code: str, is_progress: bool, said: str) -> None:
    found = tell(SETTING_UP, events)
    assert (found.code, found.is_progress) == (code, is_progress)
    assert said in found.text
    assert found.detail["node"] == "node-1"


def test_a_pod_that_runs_has_nothing_to_say_but_that_its_node_is_silent() -> None:
    running = pod(phase="Running", containerStatuses=[{"name": "main", "state": {"running": {}}}])
    assert tell(running, [event("Started", "Container started")]).text == ""
    lost = [event("NodeNotReady", "Node is not ready", 9), event("Started", "x", 1)]
    assert tell(running, lost).code == "node_not_ready"


def test_what_a_queue_holds_back_waits_in_it() -> None:
    gated = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "SchedulingGated",
        "message": "Scheduling is blocked due to non-empty scheduling gates",
    }
    found = tell(pod(node="", conditions=[gated]))
    assert (found.code, found.is_progress) == ("queued", True)
    assert tell(pod(node="")).code == "scheduling"


# --- owners and claims ----------------------------------------------------------------------------

REFUSED = 'pods "j-ckdsh" is forbidden: exceeded quota: q, requested: requests.cpu=3, used: requests.cpu=128, limited: requests.cpu=1'


def test_a_job_whose_pods_are_refused_says_why() -> None:
    job: Json = {"kind": "Job", "metadata": {"name": "j", "namespace": "lab"}, "spec": {}}
    assert tell_owner(job).text == ""
    found = tell_owner(job, [event("FailedCreate", f"Error creating: {REFUSED}")])
    assert found.code == "cluster_quota"
    assert "namespace lab" in found.text
    later = [event("SuccessfulCreate", "Created pod: j-x", 9), event("FailedCreate", REFUSED, 1)]
    assert tell_owner(job, later).text == ""


def test_a_deployment_whose_pods_are_refused_says_why() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    deployment = {
        "metadata": {"name": "d", "namespace": "lab"},
        "status": {"conditions": [{**condition, "message": REFUSED}]},
    }
    assert tell_owner(deployment).detail["quota"] == "q"


def test_a_job_that_is_held_back_waits_in_a_queue() -> None:
    job = {"metadata": {"name": "j"}, "spec": {"suspend": True}}
    assert tell_owner(job).code == "queued"


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([], ""),
        (
            [
                event(
                    "FailedBinding",
                    "no persistent volumes available for this claim and no storage class is set",
                )
            ],
            "no_storage_class",
        ),
        (
            [event("ProvisioningFailed", 'storageclass.storage.k8s.io "none-such" not found')],
            "storage_class_missing",
        ),
        (
            [
                event(
                    "ProvisioningFailed",
                    'failed to provision volume with StorageClass "fast": quota',
                )
            ],
            "volume_not_made",
        ),
        (
            [event("ExternalProvisioning", "Waiting for a volume to be created")],
            "volume_making",
        ),
        (
            [
                event(
                    "WaitForFirstConsumer",
                    "waiting for first consumer to be created before binding",
                )
            ],
            "",
        ),
    ],
)
def test_claims(events: list[Json], code: str) -> None:
    claim: Json = {"metadata": {"name": "home"}, "status": {"phase": "Pending"}}
    assert tell_claim(claim, events).code == code
    bound = {**claim, "status": {"phase": "Bound"}}
    assert tell_claim(bound, events).code == ""


def test_each_sentence_says_where_a_start_stands() -> None:
    gated = pod(conditions=[{"type": "PodScheduled", "reason": "SchedulingGated"}])
    gated["spec"].pop("nodeName", None)
    away = waits("ImagePullBackOff", "dial tcp: connection refused")
    crashes = pod(
        containerStatuses=[
            {
                "name": "main",
                "restartCount": 1,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            }
        ]
    )
    found = [
        tell(gated),
        tell(SETTING_UP),
        tell(SETTING_UP, [event("FailedMount", "not yet")]),
        tell(SETTING_UP, [event("Pulling", f'Pulling image "{IMAGE}"')]),
        tell(away),
        tell(SETTING_UP, [event("Pulled", "x")]),
        tell(crashes),
    ]
    assert [said.step for said in found] == [
        *("queued", "scheduled", "scheduled", "image", "image", "starting", "starting"),
    ]
