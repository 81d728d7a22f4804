"""The chart, installed on the cluster of ``KUBECONFIG`` for tests, and taken away again.

``KPL_PLATFORM_IMAGE``  the image of the platform on the nodes; else ``platform`` beside ``KPL_IMAGE``, else that
                        itself where it has the platform
``KPL_HOST_PATH``       a folder of the node, owned by the account 1000, for what the platform knows; else that is
                        a claim of the default storage class
``KPL_REGISTRY``, ``KPL_BUILDER_IMAGE``, ``KPL_INSECURE_REGISTRIES``: as for ``make up``; with them images are built
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kpl_lab.engines.kubernetes import names
from tests.helm import CHART, NoHelm, binary, helm
from tests.installation import Installation, free_port, wait_for
from tests.kubernetes.harness import (
    BUILDER_IMAGE,
    IMAGE,
    INSECURE,
    KINDS,
    PULL_POLICY,
    REGISTRY,
    Kubectl,
)
from tests.kubernetes.harness import why_not as why_no_cluster
from tests.kubernetes.probes import image_lack, parts, sibling

PLATFORM_IMAGE = os.environ.get("KPL_PLATFORM_IMAGE", "")
# What the platform has and the base has not.
_PLATFORM = ("python3", "-c", "import fastapi, uvicorn, jupyterhub_traefik_proxy")
HOST_PATH = os.environ.get("KPL_HOST_PATH", "")
RELEASE, OBJECT = "lab", "lab-kpl-lab"
LABELS = "app.kubernetes.io/component=platform"


@dataclass
class Release:
    """The chart, installed."""

    kubectl: Kubectl
    home: Path
    image: str
    more: tuple[str, ...] = ()
    is_minimal: bool = False
    forwarding: subprocess.Popen[bytes] | None = None
    port: int = 0
    is_forwarded: bool = False

    @property
    def values(self) -> list[str]:
        """The minimal profile, with the tests' image and what was given at its start."""
        repository, tag = parts(self.image)
        changes = {
            "image.repository": repository,
            "image.pullPolicy": PULL_POLICY,
            "service.nodePort": "null",
        }
        if self.is_minimal:
            pass  # as it stands
        elif HOST_PATH:
            changes |= {"volume.type": "hostPath", "volume.hostPath": HOST_PATH}
        else:
            changes |= {
                "volume.type": "claim",
                "workloads.homes": "claim",
                "workloads.homeMb": "64",
            }
        return ["-f", str(CHART / "values-minimal.yaml"), "--set-string", f"image.tag={tag}",
                *(word for name, value in changes.items() for word in ("--set", f"{name}={value}")),
                *self.more]  # fmt: skip

    def helm(self, *words: str) -> str:
        """Run helm in the namespace, and wait for what it starts."""
        words = (*words, "-n", self.kubectl.namespace, "--wait", "--timeout", "5m")
        return helm(*words, seconds=400).stdout

    def pod(self) -> dict[str, Any]:
        """Return the platform's pod."""
        (found,) = self.kubectl.objects("pods", LABELS)
        return found

    def open_door(self) -> Installation:
        """Give a user's end of it: at the port of a node, else by kubectl."""
        if not self.port:
            service = json.loads(self.kubectl("get", "service", OBJECT, "-o", "json"))
            self.port = int(service["spec"]["ports"][0]["nodePort"])
            if not self.answers():
                # The same one each time: what signing in has left names it.
                self.port, self.is_forwarded = free_port(), True
        if self.is_forwarded:
            self.close_door()
            self.forwarding = subprocess.Popen(
                ["kubectl", "-n", self.kubectl.namespace, "port-forward", f"service/{OBJECT}",
                 f"{self.port}:80"], stdout=subprocess.DEVNULL,
            )  # fmt: skip
        wait_for(self.answers, "the front door")
        return Installation(self.home, self.port, {"KPL_ENGINE": "kubernetes"})

    def answers(self) -> bool:
        """Say whether the hub is there."""
        url = f"http://127.0.0.1:{self.port}/hub/health"
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def close_door(self) -> None:
        """End what leads to it."""
        if self.forwarding is not None:
            self.forwarding.kill()
            self.forwarding.wait()
            self.forwarding = None

    def workloads(self) -> str:
        """Return everything in the namespace that was started for users, but homes."""
        return self.kubectl("get", KINDS, "-l", names.INSTALLATION, "-o", "name")

    @property
    def password(self) -> str:
        """The administrator's, as NOTES.txt says how to get it."""
        place = "/var/lib/kpl/home/secrets/admin-password"
        return self.kubectl("exec", f"statefulset/{OBJECT}", "-c", "platform", "--", "cat", place)


def why_not(kubectl: Kubectl) -> str:
    """Return why the chart cannot be tried; empty where it can."""
    try:
        binary()
    except NoHelm as error:
        return str(error)
    if not HOST_PATH and "is-default-class" not in kubectl("get", "storageclass", "-o", "yaml"):
        return "the cluster has no default storage class, and KPL_HOST_PATH names no folder"
    return ""


def platform_image() -> str:
    """Return the image of the platform, in which a pod has found it; leave tests out where there is none."""
    if PLATFORM_IMAGE:
        why = image_lack(PLATFORM_IMAGE, *_PLATFORM)
        assert not why, f"KPL_PLATFORM_IMAGE, {PLATFORM_IMAGE}, does not run the platform: {why}"
        return PLATFORM_IMAGE
    lacks = {}
    for image in filter(None, (sibling("platform"), IMAGE)):
        if not (why := image_lack(image, *_PLATFORM)):
            return image
        lacks[image] = why
    said = "; ".join(f"{image}: {why}" for image, why in lacks.items())
    pytest.skip(
        'no image of the platform was found on the cluster (`make images IMAGES="base platform"`, bring it to the '
        f"nodes beside KPL_IMAGE, or name it by KPL_PLATFORM_IMAGE): {said}"
    )


@contextlib.contextmanager
def installed(
    *more: str,
    standard: str = "restricted",
    is_minimal: bool = False,
    before: Callable[[Kubectl], object] = lambda _: None,
) -> Iterator[Release]:
    """Install the chart in a namespace of its own that holds pods to a standard.

    Parameters
    ----------
    more
        Further words for helm.
    is_minimal
        Whether the minimal profile stays as it is, but for the image.
    before
        Is called in the namespace before anything is installed.
    """
    if reason := why_no_cluster():
        pytest.skip(reason)
    kubectl = Kubectl(f"kpl-chart-{secrets.token_hex(3)}")
    if reason := why_not(kubectl):
        pytest.skip(reason)
    image = platform_image()
    kubectl("create", "namespace", kubectl.namespace)
    label = f"pod-security.kubernetes.io/enforce={standard}"
    kubectl("label", "namespace", kubectl.namespace, label)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kpl-chart-")))
        found = Release(kubectl, home, image, more, is_minimal)
        stack.callback(forget, kubectl)
        before(kubectl)
        stack.callback(found.close_door)
        found.helm("install", RELEASE, str(CHART), *found.values)
        yield found


def signed_in(release: Release) -> Installation:
    """Return a release as its administrator sees it after signing in."""
    found = release.open_door()
    words = ["--url", found.url, "-u", "admin", "--password", release.password.strip()]
    done = found.run("kpl", "login", *words)
    assert done.returncode == 0, done.stderr
    return found


def builds() -> list[str]:
    """Return the words with which the chart builds images, where there is a registry for that."""
    options = json.dumps({"insecure_registries": INSECURE})
    return ["--set", f"workloads.registry={REGISTRY},workloads.builderImage={BUILDER_IMAGE}",
            "--set-json", f"workloads.options={options}"]  # fmt: skip


def forget(kubectl: Kubectl) -> None:
    """Remove what the tests have made, also after a failure."""
    helm("uninstall", RELEASE, "-n", kubectl.namespace, "--no-hooks", check=False)
    kubectl("delete", "persistentvolume", f"{kubectl.namespace}-{OBJECT}-home",
            "--wait=false", "--ignore-not-found", check=False)  # fmt: skip
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false", check=False)
