"""What controllers and kubelets do, played on the store of the double: pods of Jobs and Deployments.

:func:`step` does what controllers would do next; :func:`playing` keeps doing it. What happens inside of
pods is up to the test: :func:`place`, :func:`run`, :func:`end`, :func:`disrupt`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from tests.doubles.kubernetes_store import Change, Json, Key, Store, now

NODE = "node-1"
INDEX = "batch.kubernetes.io/job-completion-index"
_HASH = "pod-template-hash"
_COST = "controller.kubernetes.io/pod-deletion-cost"
_OVER = ("Succeeded", "Failed")

# --- controllers ----------------------------------------------------------------------------------


def step(store: Store) -> None:
    """Do what controllers would do now, until nothing is left to do."""
    before = -1
    while before != store.version:
        before = store.version
        for job in store.all("Job"):
            play_job(store, job)
        for deployment in store.all("Deployment"):
            play_deployment(store, deployment)


@contextlib.asynccontextmanager
async def playing(store: Store, *, kubelet: bool = True) -> AsyncIterator[None]:
    """Run the controllers for the time of a block; a kubelet lets go of pods that are deleted."""

    async def play() -> None:
        seen = -1
        while True:
            changed = store.changed
            if seen < store.oldest:
                seen = store.version
                step(store)
            else:
                changes = list(store.since(seen))
                seen = store.version
                _follow(store, changes)
            if kubelet:
                let_go(store)
            if changed is store.changed:
                await changed.wait()

    task = asyncio.ensure_future(play())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _follow(store: Store, changes: Iterable[Change]) -> None:
    """Do what controllers would do after some changes: look at what has changed, and at its owners."""
    keys: dict[Key, None] = {}
    for change in changes:
        keys[change.key] = None
        metadata = (change.new or change.old or {})["metadata"]
        for owner in metadata.get("ownerReferences") or ():
            keys[owner["kind"], change.key[1], owner["name"]] = None
    for key in keys:
        found = store.objects.get(key)
        if found is not None and key[0] in _PLAYED:
            _PLAYED[key[0]](store, found)


def pods_of(store: Store, owner: Json) -> list[Json]:
    """Return the pods that an object owns, the oldest first."""
    owned = [one for one in store.owned(owner) if one["kind"] == "Pod"]
    return sorted(owned, key=lambda pod: int(pod["metadata"]["resourceVersion"]))


def play_job(store: Store, job: Json) -> None:
    """Make the pods that a Job lacks, or say that it is over."""
    spec, told = job["spec"], _conditions(job)
    if told.keys() & {"Failed", "Complete"} or "deletionTimestamp" in job["metadata"]:
        return
    if bool(spec.get("suspend")) != (told.get("Suspended") == "True"):
        _suspend(store, job, is_so=bool(spec.get("suspend")))
    pods = pods_of(store, job)
    failed = [
        action
        for pod in pods
        if pod["status"]["phase"] == "Failed"
        and (action := _action(job, pod)) != "Ignore"
        # What a suspension ends does not count, and yet a rule holds for it while it is there.
        and (action == "FailJob" or not _is_suspended(told, pod))
    ]
    wanted = int(spec.get("completions") or spec.get("parallelism") or 1)
    done = {_index(pod) for pod in pods if pod["status"]["phase"] == "Succeeded"}
    if "FailJob" in failed:
        _finish(store, job, "Failed", "PodFailurePolicy")
    elif len(failed) > int(spec.get("backoffLimit", 6)):
        _finish(store, job, "Failed", "BackoffLimitExceeded")
    elif spec.get("suspend"):
        return
    elif len(done) >= wanted:
        _finish(store, job, "Complete", "CompletionsReached")
    else:
        living = {_index(pod) for pod in pods if pod["status"]["phase"] not in _OVER}
        for index in range(wanted):
            if str(index) not in living | done:
                _make(store, job, str(index))


def _conditions(job: Json) -> dict[str, str]:
    found = (job.get("status") or {}).get("conditions") or ()
    return {one["type"]: one["status"] for one in found}


def _is_suspended(told: Mapping[str, str], pod: Json) -> bool:
    return "Suspended" in told and "deletionTimestamp" in pod["metadata"]


def _suspend(store: Store, job: Json, *, is_so: bool) -> None:
    """Note that a Job was suspended, and end its pods, or that it was resumed."""
    metadata = job["metadata"]
    condition = {"type": "Suspended", "status": str(is_so), "lastTransitionTime": now()}
    store.set_status("Job", metadata["namespace"], metadata["name"], conditions=[condition])
    if is_so:
        _end_pods(store, job)


def _end_pods(store: Store, job: Json) -> None:
    for pod in pods_of(store, job):
        if pod["status"]["phase"] not in _OVER and "deletionTimestamp" not in pod["metadata"]:
            store.delete(("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"]))


def _action(job: Json, pod: Json) -> str:
    """Return what the failure of a pod does to its Job: the first rule that fits holds.

    https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
    """
    rules = (job["spec"].get("podFailurePolicy") or {}).get("rules") or ()
    fits = (rule["action"] for rule in rules if _has_condition(rule, pod) or _has_code(rule, pod))
    return next(fits, "Count")


def _has_condition(rule: Json, pod: Json) -> bool:
    found = {(one["type"], one["status"]) for one in pod["status"].get("conditions", ())}
    wanted = rule.get("onPodConditions") or ()
    return any((one["type"], one.get("status", "True")) in found for one in wanted)


def _has_code(rule: Json, pod: Json) -> bool:
    wanted = rule.get("onExitCodes")
    if not wanted:
        return False
    status = pod["status"]
    codes = {
        one["state"]["terminated"]["exitCode"]
        for one in (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
        if "terminated" in one["state"] and wanted.get("containerName") in (None, one["name"])
    } - {0}  # success is never what a rule is about
    values = set(wanted["values"])
    return bool(codes & values if wanted["operator"] == "In" else codes - values)


def _finish(store: Store, job: Json, kind: str, reason: str) -> None:
    condition = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": now()}
    metadata = job["metadata"]
    store.set_status("Job", metadata["namespace"], metadata["name"], conditions=[condition])
    _end_pods(store, job)


def play_deployment(store: Store, deployment: Json) -> None:
    """Make the pods that a Deployment lacks, and remove those that are too many or of before."""
    metadata, spec = deployment["metadata"], deployment["spec"]
    template = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:8]
    living = [
        pod
        for pod in pods_of(store, deployment)
        if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in _OVER
    ]
    present = [pod for pod in living if pod["metadata"]["labels"].get(_HASH) == template]
    # Those that cost more to delete stay.
    present.sort(key=lambda pod: -int((pod["metadata"].get("annotations") or {}).get(_COST, 0)))
    replicas = int(spec.get("replicas", 1))
    for pod in [pod for pod in living if pod not in present[:replicas]]:
        store.delete(("Pod", metadata["namespace"], pod["metadata"]["name"]))
    for _ in range(replicas - len(present)):
        _make(store, deployment, template)
    ready = sum(_is_ready(pod) for pod in present[:replicas])
    numbers = {"replicas": replicas, "readyReplicas": ready}
    store.set_status("Deployment", metadata["namespace"], metadata["name"], **numbers)


_PLAYED = {"Job": play_job, "Deployment": play_deployment}


def _make(store: Store, owner: Json, part: str) -> None:
    """Make a pod from the template of its owner; ``part``: its index in a Job, else the template's."""
    metadata, kind = owner["metadata"], owner["kind"]
    template = owner["spec"]["template"]
    given = template.get("metadata") or {}
    labels, annotations = dict(given.get("labels") or {}), dict(given.get("annotations") or {})
    if kind == "Job":
        labels |= {"batch.kubernetes.io/job-name": metadata["name"], INDEX: part}
        annotations[INDEX] = part
    else:
        labels[_HASH] = part
    reference = {"apiVersion": owner["apiVersion"], "kind": kind, "name": metadata["name"]}
    store.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{metadata['name']}-{part}-{uuid.uuid4().hex[:5]}",
                "namespace": metadata["namespace"],
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [{**reference, "uid": metadata["uid"], "controller": True}],
            },
            "spec": template["spec"],
        }
    )


def _index(pod: Json) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(INDEX, ""))


def _is_ready(pod: Json) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


# --- kubelet --------------------------------------------------------------------------------------


def place(store: Store, pod: Json, node: str = NODE) -> Json:
    """Give a pod a node; its containers are being set up."""
    metadata = pod["metadata"]
    key = ("Pod", metadata["namespace"], metadata["name"])
    store.merge(key, {"spec": {"nodeName": node}})
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    return _containers(store, pod, waiting, phase="Pending", hostIP="192.0.2.10")


def run(store: Store, pod: Json, *, ready: bool = True, ip: str = "192.0.2.20") -> Json:
    """Let the containers of a pod run."""
    state = {"running": {"startedAt": now()}}
    condition = {"type": "Ready", "status": str(ready)}
    changes: dict[str, Any] = {"podIP": ip, "conditions": [condition], "startTime": now()}
    return _containers(store, pod, state, ready=ready, phase="Running", **changes)


def wait(store: Store, pod: Json, reason: str, message: str = "") -> Json:
    """Let the containers of a pod wait for something."""
    return _containers(
        store, pod, {"waiting": {"reason": reason, "message": message}}, phase="Pending"
    )


def end(
    store: Store, pod: Json, exit_code: int = 0, *, reason: str = "", message: str = ""
) -> Json:
    """Let the containers of a pod end."""
    terminated = {
        "exitCode": exit_code,
        "reason": reason or ("Completed" if exit_code == 0 else "Error"),
        "message": message,
        "startedAt": now(),
        "finishedAt": now(),
    }
    phase = "Succeeded" if exit_code == 0 else "Failed"
    return _containers(store, pod, {"terminated": terminated}, phase=phase)


def disrupt(
    store: Store,
    pod: Json,
    reason: str,
    message: str,
    *,
    evicted: bool = False,
    exit_code: int | None = None,
) -> Json:
    """Let the cluster end a pod: by its node (evicted), or from above; its command in time, with a code."""
    if exit_code is not None:
        end(store, pod, exit_code)
    condition = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
    }
    changes: dict[str, Any] = {"phase": "Failed", "conditions": [condition]}
    if evicted:
        changes |= {"reason": "Evicted", "message": message}
    metadata = pod["metadata"]
    return store.set_status("Pod", metadata["namespace"], metadata["name"], **changes)


def let_go(store: Store) -> None:
    """Remove the pods that are to go, as if their processes had ended in time."""
    for pod in store.all("Pod"):
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            store.remove("Pod", metadata["namespace"], metadata["name"])


def say(store: Store, pod: Json, reason: str, message: str) -> Json:
    """Make an event about a pod."""
    metadata = pod["metadata"]
    about = {"kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    return store.create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{uuid.uuid4().hex[:12]}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "lastTimestamp": now(),
        }
    )


def _containers(
    store: Store, pod: Json, state: Mapping[str, Any], *, ready: bool = False, **status: Any
) -> Json:
    """Set the state of all containers; sidecars run as long as the others do."""
    metadata, spec = pod["metadata"], pod["spec"]

    def statuses(containers: list[Json]) -> list[Json]:
        return [
            {"name": c["name"], "image": c.get("image", ""), "state": state, "ready": ready}
            | {"restartCount": 0}
            | ({} if "waiting" in state else {"containerID": f"containerd://{metadata['uid']}"})
            for c in containers
        ]

    return store.set_status(
        "Pod",
        metadata["namespace"],
        metadata["name"],
        containerStatuses=statuses(spec["containers"]),
        initContainerStatuses=statuses(spec.get("initContainers") or []),
        **status,
    )
