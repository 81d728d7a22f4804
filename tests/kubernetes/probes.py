"""What the cluster of ``KUBECONFIG`` has for tests, found out by small pods: images, claims, where kubelets are."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from tests.kubernetes.harness import IMAGE, PULL_POLICY, Kubectl

# No pod comes past these by waiting.
_NO_IMAGE = {"ErrImageNeverPull", "ImagePullBackOff", "InvalidImageName"}
_CLAIM_SECONDS = 60.0
_USUAL = "/var/lib/kubelet"


def parts(image: str) -> tuple[str, str]:
    """Return repository and tag of an image."""
    before, colon, after = image.rpartition(":")
    # What stands before the colon of a port is no repository.
    return (before, after) if colon and "/" not in after else (image, "latest")


def sibling(name: str) -> str:
    """Return another image beside ``KPL_IMAGE``, as the chart does; empty where that is no ``…/base``."""
    repository, tag = parts(IMAGE)
    folder, slash, last = repository.rpartition("/")
    return f"{folder}/{name}:{tag}" if slash and last == "base" else ""


@cache
def image_lack(image: str, *command: str, seconds: float = 120) -> str:
    """Run a command in an image; return why it did not run to a good end, empty where it did."""
    with _namespace() as kubectl:
        return _pod_lack(kubectl, _pod(image, command), seconds)


@cache
def claim_lack(mode: str, image: str) -> str:
    """Let a pod of an image use a claim of the default class; return why it cannot, empty where it can."""
    claim = claim_of("tried", mode, "1Mi")
    volume = {"name": "tried", "persistentVolumeClaim": {"claimName": "tried"}}
    pod = _pod(image, ("true",), volumes=[volume])
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "tried", "mountPath": "/tried"}]
    with _namespace() as kubectl:
        kubectl("create", "-f", "-", stdin=json.dumps(claim))
        return _pod_lack(kubectl, pod, _CLAIM_SECONDS)


@cache
def kubelet_folder(image: str) -> str:
    """Return the kubelets' folder: whence a pod's own ``/etc/hosts`` comes, else where they usually have it.

    A pod sees that below the root of its file system alone: what looks like the usual place is that.
    """
    with _namespace() as kubectl:
        words = ("cat", "/proc/self/mountinfo")
        told = "" if _pod_lack(kubectl, _pod(image, words), 120) else kubectl("logs", "probe")
    mounts = [line.split()[3:5] for line in told.splitlines()]
    root = next((whence for whence, place in mounts if place == "/etc/hosts"), "")
    folder, pods, _ = root.partition("/pods/")
    return folder if pods and not folder.endswith(_USUAL.removeprefix("/var")) else _USUAL


def claim_of(name: str, mode: str, size: str) -> dict[str, Any]:
    """Return a claim of the default storage class."""
    wanted = {"accessModes": [mode], "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted}  # fmt: skip


@contextlib.contextmanager
def _namespace() -> Iterator[Kubectl]:
    kubectl = Kubectl(f"kpl-probe-{secrets.token_hex(3)}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        yield kubectl
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false", check=False)


def _pod(image: str, command: Sequence[str], **more: object) -> dict[str, Any]:
    """Return a pod that every standard lets in."""
    allowed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "probe", "image": image, "imagePullPolicy": PULL_POLICY, "command": [*command],
        "terminationMessagePolicy": "FallbackToLogsOnError", "securityContext": allowed,
    }  # fmt: skip
    account = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}  # fmt: skip
    spec = {
        "restartPolicy": "Never", "automountServiceAccountToken": False, "securityContext": account,
        "terminationGracePeriodSeconds": 0, "containers": [container], **more,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


def _pod_lack(kubectl: Kubectl, pod: dict[str, Any], seconds: float) -> str:
    """Run a pod to its end; return why that was no good one, or did not come in time."""
    kubectl("create", "-f", "-", stdin=json.dumps(pod))
    deadline = time.monotonic() + seconds
    while True:
        status = json.loads(kubectl("get", "pod", "probe", "-o", "json"))["status"]
        if status["phase"] == "Succeeded":
            return ""
        if final := _why_never(status) or _refused_claim(kubectl):
            return final
        if time.monotonic() > deadline:
            return f"no pod has come to its end within {seconds:g} seconds: {_last_word(kubectl)}"
        time.sleep(0.3)


def _why_never(status: dict[str, Any]) -> str:
    for one in status.get("containerStatuses") or ():
        waiting, ended = one["state"].get("waiting") or {}, one["state"].get("terminated")
        if waiting.get("reason") in _NO_IMAGE:
            return f"{waiting['reason']}: {waiting.get('message', '')}"
        if ended and ended["exitCode"]:
            return f"exit code {ended['exitCode']}: {ended.get('message', '').strip()[-300:]}"
    return str(status.get("message") or "failed") if status["phase"] == "Failed" else ""


def _refused_claim(kubectl: Kubectl) -> str:
    """Return how a provisioner refuses a way of access; other words of its may be passing ones."""
    said = [one["message"] for one in kubectl.objects("events") if one["reason"] == "ProvisioningFailed"]  # fmt: skip
    return next((text for text in said if "access mode" in text.lower()), "")


def _last_word(kubectl: Kubectl) -> str:
    said = [one["message"] for one in kubectl.objects("events")]
    return said[-1] if said else "the cluster says nothing"
