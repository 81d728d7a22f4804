"""From a pod, its owner or claim and their events to one sentence for who waits; pure functions.

Conditions and reasons are those of Kubernetes 1.29 to 1.36: ``kubernetes/pkg/kubelet`` (``events``,
``eviction``, ``nodeshutdown``, ``lifecycle``), ``pkg/controller/{job,podgc,tainteviction}`` and the scheduler.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from kpl_lab.engines.kubernetes import ending, pulling, starting
from kpl_lab.engines.kubernetes.saying import NOTHING, Saying, whole
from kpl_lab.engines.kubernetes.scheduling import unscheduled
from kpl_lab.engines.kubernetes.words import Call, refusal
from kpl_lab.engines.spec import Step

Object = Mapping[str, Any]
_PREPARING = ("", "ContainerCreating", "PodInitializing")
_IMAGE = re.compile(r'image "([^"]+)"')
_VOLUME = re.compile(r'for volume "([^"]+)"|unmounted volumes=\[([^\]]*)\]')
_ABSENT = re.compile(r'(secret|configmap|persistentvolumeclaim) "([^"]+)" not found', re.I)
_CREATING = "Error creating: "


def tell(
    pod: Object, events: Sequence[Object] = (), nodes: Sequence[Object] | None = None
) -> Saying:
    """Return what keeps a pod from running, or how far it is; nothing once its containers run.

    Parameters
    ----------
    events
        Of the pod, newest first (``Cluster.events_of``).
    nodes
        The cluster's, to say what they lack; None: we may not see them.
    """
    status = pod.get("status") or {}
    over = ending.over(pod)
    if over is not None:
        return over
    for container in _containers(status):
        said = _container(container, pod, events)
        if said is not None:
            is_pull = said.code in pulling.CODES
            return replace(said, step=Step.IMAGE if is_pull else Step.STARTING)
    if not (pod.get("spec") or {}).get("nodeName"):
        return _unplaced(pod, events, nodes)
    return _starting(pod, events)


def tell_owner(owner: Object, events: Sequence[Object] = ()) -> Saying:
    """Return why a Job or Deployment has no pods: refused, or held back by a queue; else nothing."""
    for text in _failed_creations(owner, events):
        namespace = str(owner["metadata"].get("namespace") or "")
        error = refusal(
            403, {"message": text, "reason": "Forbidden"}, Call("create", "pods", "", "", namespace)
        )
        return Saying(code=error.code, text=error.message, detail=error.detail)
    if (owner.get("spec") or {}).get("suspend"):
        return Saying(
            code="queued",
            text="It waits in the cluster's queue until that lets it start.",
            is_progress=True,
        )
    return NOTHING


def tell_claim(claim: Object, events: Sequence[Object] = ()) -> Saying:
    """Return why a PersistentVolumeClaim has no volume; nothing once it has, or waits for its first pod."""
    if (claim.get("status") or {}).get("phase") == "Bound":
        return NOTHING
    name = str(claim["metadata"]["name"])
    for event in _newest(events):
        reason, message = str(event.get("reason")), str(event.get("message") or "")
        detail = {"claim": name, "message": message}
        if reason == "WaitForFirstConsumer":
            return NOTHING
        if "no storage class is set" in message:
            return Saying(
                code="no_storage_class",
                text=f"The cluster has no default storage class, so that nothing makes a volume for {name}; name one "
                "in KubernetesOptions.storage_class, or have a default set.",
                is_hopeless=True,
                detail=detail,
            )
        if 'storageclass.storage.k8s.io "' in message:
            return Saying(
                code="storage_class_missing",
                text=f"The cluster does not have the storage class of {name} ({message}); name another one in "
                "KubernetesOptions.storage_class.",
                is_hopeless=True,
                detail=detail,
            )
        if reason in ("ProvisioningFailed", "FailedBinding"):
            return Saying(
                code="volume_not_made",
                text=f"The cluster cannot make the volume {name}: {whole(message)} It is tried again; if that stays, "
                "ask an administrator of the cluster.",
                detail=detail,
            )
        if reason in ("ExternalProvisioning", "Provisioning"):
            return being_made(name, detail)
    return NOTHING


def being_made(name: str, detail: Object | None = None) -> Saying:
    """Say that the volume of a claim is on its way."""
    return Saying(
        code="volume_making",
        text=f"The volume {name} is being made.",
        is_progress=True,
        detail=detail or {"claim": name},
    )


# --- containers -----------------------------------------------------------------------------------


def _containers(status: Object) -> list[Object]:
    return [
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    ]


def _container(container: Object, pod: Object, events: Sequence[Object]) -> Saying | None:
    state = container.get("state") or {}
    if "terminated" in state:
        return _terminated(state["terminated"], container, pod)
    waiting = state.get("waiting")
    if waiting is None:
        return None
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    name, image = str(container.get("name")), _image(container, pod)
    if reason in pulling.PULL_REASONS:
        if not pulling.says_why(message):
            about = [event for event in _newest(events) if pulling.event_about(image, event)]
            message = str(about[0]["message"]) if about else message
        return pulling.not_pulled(reason, message, image)
    if reason in starting.CONFIG_REASONS:
        return starting.not_configured(message, name)
    if reason in starting.START_REASONS:
        return starting.not_started(message, name)
    if reason == "CrashLoopBackOff":
        last = (container.get("lastState") or {}).get("terminated") or {}
        return starting.ended_badly(last, name, int(container.get("restartCount") or 0) + 1)
    if reason not in _PREPARING:
        return Saying(
            code="start_failed",
            text=f"The container cannot start: {whole(f'{reason} {message}')} It is tried again; if that stays, ask an "
            "administrator of the cluster.",
            detail={"container": name, "reason": reason, "message": message},
        )
    return None


def _terminated(state: Object, container: Object, pod: Object) -> Saying | None:
    """Tell of a command that was never begun, or of one that is begun again and again."""
    name = str(container.get("name"))
    if state.get("reason") in starting.START_REASONS:
        return starting.not_started(str(state.get("message") or ""), name)
    own = _wanted(container, pod).get("restartPolicy")
    policy = own or (pod.get("spec") or {}).get("restartPolicy", "Always")
    if policy == "Always" and state.get("exitCode"):
        return starting.ended_badly(state, name, int(container.get("restartCount") or 0) + 1)
    return None


def _image(container: Object, pod: Object) -> str:
    """Return the image as the pod names it: a status may have it otherwise."""
    return str(_wanted(container, pod).get("image") or container.get("image") or "")


def _wanted(container: Object, pod: Object) -> Object:
    """Return what the pod says of a container."""
    spec = pod.get("spec") or {}
    everything: list[Object] = [
        *(spec.get("initContainers") or ()),
        *(spec.get("containers") or ()),
    ]
    return next((one for one in everything if one.get("name") == container.get("name")), {})


# --- before a node --------------------------------------------------------------------------------


def _unplaced(pod: Object, events: Sequence[Object], nodes: Sequence[Object] | None) -> Saying:
    condition = _condition(pod, "PodScheduled")
    if condition.get("reason") == "SchedulingGated":
        return Saying(
            code="queued",
            text="It waits in the cluster's queue until that lets it start.",
            is_progress=True,
        )
    message = str(condition.get("message") or "")
    if not message:
        failed = [event for event in _newest(events) if event.get("reason") == "FailedScheduling"]
        message = str(failed[0].get("message") or "") if failed else ""
    if message:
        return unscheduled(message, pod, nodes)
    # Mostly for a moment only: that it has no place is another sentence.
    return Saying(
        code="scheduling", text="It waits for a node.", is_progress=True, step=Step.SCHEDULED
    )


# --- on a node ------------------------------------------------------------------------------------


def _starting(pod: Object, events: Sequence[Object]) -> Saying:
    node = str(pod["spec"]["nodeName"])
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Running":
        return _unready(node, events)
    if phase in ("Succeeded", "Failed"):
        return NOTHING
    for event in _newest(events):
        teller = _BY_EVENT.get(str(event.get("reason")))
        if teller is not None:
            said = teller(str(event.get("message") or ""), node)
            return replace(said, step=_STEP_OF.get(said.code, Step.SCHEDULED))
    return replace(_scheduled("", node), step=Step.SCHEDULED)


def _unready(node: str, events: Sequence[Object]) -> Saying:
    """Tell of a node that has gone silent; a pod that runs has nothing else to say here."""
    newest = next(_newest(events), {})
    if newest.get("reason") == "NodeNotReady":
        return _node_not_ready(str(newest.get("message") or ""), node)
    return NOTHING


def _pulling(message: str, node: str) -> Saying:
    found = _IMAGE.search(message)
    image = found[1] if found else ""
    return Saying(
        code="pulling",
        text=f"The node {node} is pulling the image {image}.",
        is_progress=True,
        detail={"node": node, "image": image},
    )


def _pulled(message: str, node: str) -> Saying:
    return Saying(
        code="starting",
        text=f"The image is on the node {node}; the container is being started.",
        is_progress=True,
        detail={"node": node, "message": message},
    )


def _scheduled(message: str, node: str) -> Saying:
    return Saying(
        code="scheduled",
        text=f"It has a place on the node {node} and is being set up.",
        is_progress=True,
        detail={"node": node, "message": message},
    )


def _attached(message: str, node: str) -> Saying:
    return Saying(
        code="volume_attached",
        text=f"Its volume is attached to the node {node}.",
        is_progress=True,
        detail={"node": node, "message": message},
    )


def _unmounted(message: str, node: str) -> Saying:
    volume = _VOLUME.search(message)
    name = next(filter(None, volume.groups()), "") if volume else ""
    detail = {"node": node, "volume": name, "message": message}
    absent = _ABSENT.search(message)
    if absent is not None:
        return Saying(
            code="volume_missing",
            text=f"It waits for the {absent[1].lower()} {absent[2]}, which is not there (yet).",
            detail=detail,
        )
    if "Multi-Attach error" in message:
        return Saying(
            code="volume_in_use",
            text=f"Its volume {name} is still in use on another node; it is tried again.",
            detail=detail,
        )
    if "attachment limit" in message:
        return Saying(
            code="volume_limit",
            text=f"The node {node} has as many volumes as it can hold; it is tried again.",
            detail=detail,
        )
    return Saying(
        code="volume_not_mounted",
        text=f"The node {node} cannot mount the volume {name} (yet): {whole(message)} It is tried again; if that "
        "stays, ask an administrator of the cluster.",
        detail=detail,
    )


def _no_sandbox(message: str, node: str) -> Saying:
    runtime = re.search(r'no runtime for "([^"]+)" is configured|RuntimeHandler "([^"]+)"', message)
    if runtime is not None:
        name = runtime[1] or runtime[2]
        return Saying(
            code="runtime_missing",
            text=f"The node {node} does not know the container runtime {name}; correct "
            "KubernetesOptions.runtime_class.",
            detail={"node": node, "message": message},
        )
    return Saying(
        code="network_not_ready",
        text=f"The node {node} cannot give it a network (yet): {whole(message)} It is tried again; if that stays, ask "
        "an administrator of the cluster.",
        detail={"node": node, "message": message},
    )


def _node_not_ready(message: str, node: str) -> Saying:
    return Saying(
        code="node_not_ready",
        text=f"The node {node} does not answer; it is given a few minutes to come back.",
        detail={"node": node, "message": message},
    )


_STEP_OF = {"pulling": Step.IMAGE, "starting": Step.STARTING}
_BY_EVENT: Mapping[str, Callable[[str, str], Saying]] = {
    "Pulling": _pulling,
    "Pulled": _pulled,
    "Created": _pulled,
    "Scheduled": _scheduled,
    "SuccessfulAttachVolume": _attached,
    "FailedMount": _unmounted,
    "FailedAttachVolume": _unmounted,
    "FailedMapVolume": _unmounted,
    "FailedCreatePodSandBox": _no_sandbox,
    "NetworkNotReady": _no_sandbox,
    "NodeNotReady": _node_not_ready,
}
# In one second, which is all that an event's time knows, the later step counts.
_STEPS = (
    "Scheduled", "SuccessfulAttachVolume", "FailedAttachVolume", "FailedMount", "NetworkNotReady",
    "FailedCreatePodSandBox", "Pulling", "Pulled", "Created",
)  # fmt: skip


# --- events and conditions ------------------------------------------------------------------------


def _newest(events: Sequence[Object]) -> Iterator[Object]:
    def when(event: Object) -> tuple[str, int]:
        series = event.get("series") or {}
        time = (
            series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
        )
        reason = str(event.get("reason"))
        return str(time or "")[:19], _STEPS.index(reason) if reason in _STEPS else -1

    return iter(sorted(events, key=when, reverse=True))


def _condition(obj: Object, kind: str) -> Object:
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            found: Object = condition
            return found
    return {}


def _failed_creations(owner: Object, events: Sequence[Object]) -> Iterator[str]:
    """Yield why no pod could be made: as a Deployment's condition and as events of either say it."""
    condition = _condition(owner, "ReplicaFailure")
    if condition.get("reason") == "FailedCreate":
        yield str(condition.get("message") or "")
    newest = next(_newest(events), {})
    if newest.get("reason") == "FailedCreate":
        yield str(newest.get("message") or "").removeprefix(_CREATING)
