"""Rules of Kubernetes that its schemas do not tell: checkers that say what breaks them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate

from kpl_lab.engines.kubernetes.objects import Manifest

# What the chart promises, and what there is.
OLDEST = "1.29"
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
# Of other projects' kinds (``tools/crd_schemas.py``).
CRDS = Path(__file__).parents[2] / "data" / "crds"
ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def check_schema(obj: Manifest, version: str = NEWEST) -> None:
    """Fail where an API server would not take an object as it is, or would leave a field of it out."""
    if (CRDS / f"{obj['kind']}.json").exists():
        _foreign(str(obj["kind"])).validate(obj)
    else:
        assert kubernetes_validate.validate(obj, version, strict=True) == version


@cache
def _foreign(kind: str) -> jsonschema.Draft202012Validator:
    found = json.loads((CRDS / f"{kind}.json").read_text())
    return jsonschema.Draft202012Validator(found["schema"])


def unrestricted(pod: Manifest) -> list[str]:
    """Return in what a pod breaks the restricted standard.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    wrong = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    context = pod.get("securityContext", {})
    wrong += [f"sysctl {one['name']}" for one in context.get("sysctls", [])]
    for volume in pod.get("volumes", []):
        kinds = set(volume) - {"name"}
        wrong += [f"volume {volume['name']}: {kind}" for kind in kinds - ALLOWED_VOLUMES]
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        wrong += [f"{container['name']}: {what}" for what in _loose(container, context)]
    return wrong


def _loose(container: Manifest, pod: Manifest) -> Iterator[str]:
    own = container.get("securityContext", {})
    capabilities = own.get("capabilities", {})
    seccomp = own.get("seccompProfile", pod.get("seccompProfile", {})).get("type")
    checks = {
        "privileged": own.get("privileged", False),
        "may gain privileges": own.get("allowPrivilegeEscalation", True),
        "keeps capabilities": "ALL" not in capabilities.get("drop", []),
        "adds capabilities": bool(set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}),
        "may be root": not own.get("runAsNonRoot", pod.get("runAsNonRoot", False)),
        "is root": 0 in (own.get("runAsUser"), pod.get("runAsUser")),
        "no seccomp": seccomp not in ("RuntimeDefault", "Localhost"),
        "unmasked": own.get("procMount", "Default") != "Default",
        "host port": any(port.get("hostPort") for port in container.get("ports", [])),
        "other host asked": any(
            '"host"' in json.dumps(container.get(key, {}))
            for key in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle")
        ),
    }
    return (what for what, is_broken in checks.items() if is_broken)


# What the baseline standard lets a container add.
_BASELINE_CAPABILITIES = {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip


def beyond_baseline(pod: Manifest) -> list[str]:
    """Return in what a pod breaks the baseline standard."""
    wrong = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            wrong.append(f"volume {volume['name']}: hostPath")
    pods = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        added = set(own.get("capabilities", {}).get("add", [])) - _BASELINE_CAPABILITIES
        profiles = [one.get("seccompProfile", {}).get("type") for one in (own, pods)]
        checks = {
            "privileged": own.get("privileged", False),
            "unconfined": "Unconfined" in profiles,
            "unmasked": own.get("procMount", "Default") != "Default",
            "host port": any(port.get("hostPort") for port in container.get("ports", [])),
            **{f"adds {name}": True for name in added},
        }
        wrong += [f"{container['name']}: {what}" for what, is_so in checks.items() if is_so]
    return wrong


# https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy: lists whose items
# are told apart by keys; two with the same keys are refused.
MERGE_KEYS = {
    "containers": ("name",), "initContainers": ("name",), "volumes": ("name",), "env": ("name",),
    "volumeMounts": ("mountPath",), "imagePullSecrets": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}  # fmt: skip


def repeated(value: Any, place: str = "") -> Iterator[str]:
    """Yield where server-side apply would find two items with the same keys."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from repeated(one, key)
    elif isinstance(value, list):
        keys = MERGE_KEYS.get(place)
        if place == "ports":
            keys = ("containerPort" if "containerPort" in value[0] else "port", "protocol")
        if keys is not None:
            counted = Counter(tuple(one[key] for key in keys) for one in value)
            yield from (f"{place}: {key}" for key, count in counted.items() if count > 1)
        for one in value:
            yield from repeated(one)


LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
DNS_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
