"""What is kept of objects is all that is read of them, and little else."""

from __future__ import annotations

import json
from typing import Any

from kpl_lab.engines.kubernetes.keeping import of_owner, of_pod
from kpl_lab.engines.kubernetes.scheduling import unscheduled
from kpl_lab.engines.kubernetes.telling import tell

Json = dict[str, Any]


def pod() -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "uid": "u", "labels": {"a": "b"}, "managedFields": [{"x": "y"}]},
        "spec": {
            "nodeName": "n",
            "restartPolicy": "Never",
            "volumes": [{"name": "v"}],
            "containers": [
                {
                    "name": "main",
                    "image": "x:1",
                    "env": [{"name": "A", "value": "b"}],
                    "resources": {"requests": {"cpu": "2"}},
                }
            ],
        },
        "status": {
            "containerStatuses": [
                {"name": "main", "state": {"waiting": {"reason": "ErrImageNeverPull"}}}
            ]
        },
    }


def test_a_pod_loses_what_nobody_reads() -> None:
    kept = of_pod(pod())
    assert kept["metadata"] == {"name": "p", "uid": "u", "labels": {"a": "b"}}
    assert kept["status"] == pod()["status"]
    for word in ("volumes", "env", "managedFields"):
        assert word not in json.dumps(kept)


def test_words_are_the_same_of_what_is_kept() -> None:
    assert tell(of_pod(pod())) == tell(pod())
    nodes = [{"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "1"}}}]
    message = "0/1 nodes are available: 1 Insufficient cpu."
    assert unscheduled(message, of_pod(pod()), nodes) == unscheduled(message, pod(), nodes)


def test_an_owner_loses_its_template() -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {"completions": 2, "template": {"spec": {}}},
    }
    assert of_owner(job)["spec"] == {"completions": 2}
    assert of_owner(job)["status"] == {}


def test_texts_that_are_the_same_are_in_memory_once() -> None:
    one, other = (of_pod(json.loads(json.dumps(pod()))) for _ in range(2))
    assert one["spec"]["containers"][0]["image"] is other["spec"]["containers"][0]["image"]
