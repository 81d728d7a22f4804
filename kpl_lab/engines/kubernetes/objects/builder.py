"""The objects of a build: a Job whose pod makes an image without a privilege on its node.

The steps run as root of a user namespace that the pod's own account opens. For that, and for nothing else,
the pod asks for more than the restricted standard allows, and no more than the baseline standard does
(https://kubernetes.io/docs/concepts/security/pod-security-standards/): ``newuidmap`` and ``newgidmap`` may
use their one capability each, and the profile of system calls is not the runtime's, which forbids new user
namespaces, but the node's default or one that the administrator names.

Logins of registries are in containers that run nothing of a user: before the steps what the image stands on
is pulled, beside them a sender waits for the archive.
"""

from __future__ import annotations

from kpl_lab.engines.kubernetes.objects import parts, workloads
from kpl_lab.engines.kubernetes.objects.containers import agent_container, command_container
from kpl_lab.engines.kubernetes.objects.meta import Manifest, name_of
from kpl_lab.engines.kubernetes.plan import BUILDER_USER, INPUTS, Build, Plan

STEPS = f"{INPUTS}/build/steps.py"
BASES_CONTAINER, SENDER_CONTAINER = "bases", "sender"
PUSH_LOGIN = "push.json"
_GROUP_READS = 0o440
_TMP = "/tmp"  # noqa: S108 (a volume of the pod)
_PLAIN = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_RUNTIMES_PROFILE = {"type": "RuntimeDefault"}


def build_objects(plan: Plan, build: Build) -> list[Manifest]:
    """Return the Secret and the Job of a build, in the order in which they have to be applied.

    Raises
    ------
    EngineError
        The recipe is larger than objects may be.
    """
    secret = parts.secret(plan)
    if build.push_login:
        secret["stringData"][PUSH_LOGIN] = build.push_login
    job = workloads.job(plan)
    pod = job["spec"]["template"]["spec"]
    agent = agent_container(plan)
    agent["securityContext"]["seccompProfile"] = _RUNTIMES_PROFILE
    pod["initContainers"] = [agent, _bases(plan, build), _sender(plan, build)]
    pod["containers"] = [_builder(plan, build)]
    pod["volumes"] += [
        {"name": "storage", "emptyDir": {}},
        {"name": "exchange", "emptyDir": {}},
        *_logins(plan, build),
    ]
    account = {"runAsUser": BUILDER_USER, "runAsGroup": BUILDER_USER, "fsGroup": BUILDER_USER}
    pod["securityContext"] |= account
    # Of the whole pod none is said: the containers that need none of their own say theirs.
    pod["securityContext"].pop("seccompProfile")
    return [secret, job]


def _builder(plan: Plan, build: Build) -> Manifest:
    found = command_container(plan)
    found["command"], found["args"] = ["python3"], ["-I", STEPS, "build"]
    found["volumeMounts"] += [_mount("storage", "/storage"), _mount("exchange", "/exchange")]
    found["workingDir"] = _TMP
    found["securityContext"] = _opens_namespaces(build)
    return found


def _bases(plan: Plan, build: Build) -> Manifest:
    """Return what pulls the images that the result stands on, before anything of a user runs."""
    mounts = [_mount("storage", "/storage"), _mount("exchange", "/exchange")]
    found = _helper(plan, build, BASES_CONTAINER, mounts)
    return {**found, "args": ["-I", STEPS, "bases"], "securityContext": _opens_namespaces(build)}


def _sender(plan: Plan, build: Build) -> Manifest:
    """Return the sidecar that sends the archive; it never sees the storage, which steps can write."""
    mounts = [_mount("exchange", "/exchange")]
    if build.push_login:
        mounts.append({**_mount("push-login", "/logins/push"), "readOnly": True})
    found = _helper(plan, build, SENDER_CONTAINER, mounts)
    context = {**_PLAIN, "readOnlyRootFilesystem": True, "seccompProfile": _RUNTIMES_PROFILE}
    return {
        **found,
        "args": ["-I", STEPS, "send"],
        "securityContext": context,
        "restartPolicy": "Always",
    }


def _helper(plan: Plan, build: Build, name: str, mounts: list[Manifest]) -> Manifest:
    if build.registry_secret:
        mounts.append({**_mount("registry-login", "/logins/registry"), "readOnly": True})
    whole = {"memory": f"{plan.workload.limits.memory_mb}Mi"}
    return {
        "name": name,
        "image": build.image,
        "imagePullPolicy": plan.shape.pull_policy,
        "command": ["python3"],
        "workingDir": _TMP,
        "volumeMounts": [
            {**_mount("inputs", INPUTS), "readOnly": True},
            {**_mount("tmp", _TMP), "subPath": name},
            *mounts,
        ],
        "resources": {
            "limits": {"cpu": "1", **whole},
            "requests": {"cpu": "10m", "memory": "32Mi"},
        },
        "terminationMessagePolicy": "File",
    }


def _opens_namespaces(build: Build) -> Manifest:
    context: Manifest = {
        # newuidmap and newgidmap have a capability of their own each, which is one.
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SETUID", "SETGID"]},
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
    }
    if build.seccomp:
        context["seccompProfile"] = {"type": "Localhost", "localhostProfile": build.seccomp}
    return context


def _logins(plan: Plan, build: Build) -> list[Manifest]:
    found = []
    if build.registry_secret:
        found.append(_secret("registry-login", build.registry_secret, ".dockerconfigjson"))
    if build.push_login:
        found.append(_secret("push-login", name_of(plan), PUSH_LOGIN))
    return found


def _secret(volume: str, name: str, key: str) -> Manifest:
    items = [{"key": key, "path": key}]
    return {
        "name": volume,
        "secret": {"secretName": name, "defaultMode": _GROUP_READS, "items": items},
    }


def _mount(volume: str, path: str) -> Manifest:
    return {"name": volume, "mountPath": path}
