"""What is in an image: a pod of it is run once, by a node that can have it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.planner import Planner
from kpl_lab.engines.kubernetes.registry import DOCKER_HUB, docker_config
from kpl_lab.engines.kubernetes.waiting import Waiting
from kpl_lab.engines.running.looking import COMMAND, NO_SHELL, packages_of
from kpl_lab.engines.spec import ImageFacts, RegistryLogin
from kpl_lab.errors import EngineError, Unavailable
from kpl_lab.formats.image_reference import registry_of

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1800.0  # pulling included
# So long a node may fail to pull before somebody is told: it tries again for ever.
_STUCK_SECONDS = 40.0
# What keeps a pod waiting for its image (``pulling``, ``starting``), in the words of ``Engine.inspect_image``.
_CODES = {
    "image_denied": "registry_denied",
    "image_not_found": "image_missing",
    "image_never_pulled": "image_missing",
    "image_name_invalid": "image_missing",
    "image_platform": "wrong_architecture",
    "command_format": "wrong_architecture",
    "registry_unreachable": "registry_unreachable",
    "registry_certificate": "registry_unreachable",
    "image_limit": "registry_rate_limited",
    "image_no_room": "disk_full",
    "image_pull_failed": "image_unusable",
}
_MOST_BYTES = 1 << 20
_CONTAINER = names.COMMAND_CONTAINER
_START_FAILURES = ("StartError", "ContainerCannotRun", "RunContainerError")


class Inspector:
    """Looks into images, each once for as long as this process runs."""

    def __init__(self, cluster: Cluster, planner: Planner) -> None:
        self._cluster = cluster
        self._planner = planner
        self._known: dict[str, ImageFacts] = {}

    async def inspect(self, reference: str, login: RegistryLogin | None) -> ImageFacts:
        """Return what is in an image; a node pulls it where it does not have it.

        Raises
        ------
        EngineError
            It cannot be had or cannot run here, with a code of what is wrong.
        """
        # What is known here says nothing of a password.
        if login is not None or reference not in self._known:
            self._known[reference] = await self._look_into(reference, login)
        return self._known[reference]

    async def _look_into(self, reference: str, login: RegistryLogin | None) -> ImageFacts:
        installation = self._planner.installation
        mark = hashlib.sha256(reference.encode()).hexdigest()[:10]
        name = f"kpl-{installation}-look-{mark}"
        await self._cluster.delete("Pod", name, grace_seconds=0)
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                secrets = list(self._planner.shape.pull_secrets)
                if login is not None:
                    await self._cluster.delete("Secret", name)
                    await self._cluster.apply(self._secret(name, reference, login))
                    secrets.append(name)
                await self._cluster.apply(self._pod(name, reference, secrets))
                pod = await self._ended(name)
                said = await self._said(name)
        except TimeoutError as error:
            raise _unusable(f"a look into it took longer than {_LOOK_SECONDS:g} s") from error
        finally:
            with contextlib.suppress(EngineError, Unavailable):
                await self._cluster.delete("Pod", name, grace_seconds=0)
            if login is not None:
                with contextlib.suppress(EngineError, Unavailable):
                    await self._cluster.delete("Secret", name)
        return _facts(pod, said)

    async def _ended(self, name: str) -> dict[str, Any]:
        waiting = Waiting(self._cluster)
        loop = asyncio.get_running_loop()
        since, code = loop.time(), ""
        while True:
            pod = await self._cluster.get("Pod", name)
            if pod is None:
                raise _unusable("the pod that was to look into it was removed")
            if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
                return pod
            found = await waiting.look(pod)
            if found.code != code:
                since, code = loop.time(), found.code
            is_stuck = code in _CODES and loop.time() - since > _STUCK_SECONDS
            if found.is_hopeless or is_stuck:
                raise EngineError(
                    f"The image {pod['spec']['containers'][0]['image']} cannot be had. {found.text}",
                    code=_CODES.get(code, "image_unusable"),
                )
            await asyncio.sleep(0.2)

    async def _said(self, name: str) -> bytes:
        said = b""
        with contextlib.suppress(EngineError):
            async with contextlib.aclosing(self._cluster.log(name, _CONTAINER)) as stream:
                async for data in stream:
                    said += data
                    if len(said) > _MOST_BYTES:
                        break
        return said

    def _metadata(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": self._planner.namespace,
            # No workload's: orphans of looks are found by the installation alone.
            "labels": {
                **names.MANAGED_BY,
                names.INSTALLATION: self._planner.installation,
                names.KIND: "look",
            },
        }

    def _secret(self, name: str, reference: str, login: RegistryLogin) -> dict[str, Any]:
        host = registry_of(reference) or DOCKER_HUB
        config = docker_config(host, login.username, login.password)
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self._metadata(name),
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": config},
        }

    def _pod(self, name: str, reference: str, secrets: Sequence[str]) -> dict[str, Any]:
        shape = self._planner.shape
        restricted = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": self._metadata(name),
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 1,
                "activeDeadlineSeconds": int(_LOOK_SECONDS),
                "nodeSelector": {"kubernetes.io/os": "linux", **shape.node_selector},
                "tolerations": [dict(one) for one in shape.tolerations],
                "imagePullSecrets": [{"name": one} for one in secrets],
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": shape.user_id,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": _CONTAINER,
                        "image": reference,
                        "imagePullPolicy": shape.pull_policy_of(
                            reference, self._planner.installation
                        ),
                        # `$(` would be expanded.
                        "command": [word.replace("$(", "$$(") for word in COMMAND],
                        "resources": {
                            "limits": {"cpu": "1", "memory": "512Mi"},
                            "requests": {"cpu": "10m", "memory": "64Mi"},
                        },
                        "securityContext": restricted,
                    }
                ],
            },
        }


def _facts(pod: Mapping[str, Any], said: bytes) -> ImageFacts:
    status = (pod["status"].get("containerStatuses") or [{}])[0]
    ended = (status.get("state") or {}).get("terminated") or {}
    if "exec format error" in str(ended.get("message") or ""):
        raise EngineError(
            "It was made for another kind of processor than the cluster's nodes have; build it for them.",
            code="wrong_architecture",
        )
    if ended.get("reason") in _START_FAILURES or ended.get("exitCode") == NO_SHELL:
        raise _unusable(str(ended.get("message") or "it has no /bin/sh").strip())
    if "exitCode" not in ended:
        raise _unusable(str(pod["status"].get("message") or "the pod that was to look failed"))
    digest = str(status.get("imageID") or "").rpartition("@")[2]
    return ImageFacts(
        packages=packages_of(said), digest=digest if digest.startswith("sha256:") else None
    )


def _unusable(why: str) -> EngineError:
    return EngineError(f"Nothing can start from it: {why.rstrip('.')}.", code="image_unusable")
