"""The chart on a real cluster: installed in one command, used, upgraded under a running task, uninstalled.

``KPL_PLATFORM_IMAGE``  the image of the platform on the nodes; else ``KPL_IMAGE``
``KPL_HOST_PATH``       a folder of the node, owned by the account 1000, for the platform's files, and servers without
                        homes that stay; else both are claims of the default storage class
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from kpl_lab.engines.kubernetes import names
from tests.helm import CHART, NoHelm, binary, helm
from tests.installation import Installation, free_port, wait_for
from tests.kubernetes.harness import Kubectl
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
IMAGE = os.environ.get("KPL_PLATFORM_IMAGE") or os.environ.get("KPL_IMAGE", "")
HOST_PATH = os.environ.get("KPL_HOST_PATH", "")
# Some clusters publish the authority of their services beside that of the API.
OF_EVERY_NAMESPACE = {"configmap/kube-root-ca.crt", "configmap/openshift-service-ca.crt",
                      "serviceaccount/default"}  # fmt: skip
RELEASE, OBJECT = "lab", "lab-kpl-lab"
LABELS = "app.kubernetes.io/component=platform"
WAITING = """\
import pathlib, time
print("it began", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.1)
print("it goes on", flush=True)
"""
MANIFEST = """\
version: 1
image: {from_image: python:3.11}
train:
  resource: {limits: {cpu: 1, memory: 256}}
  inputs: [{key: data, name: Pets, kind: dataset}]
  cmd: python3 main.py
"""
COUNTING = """\
import os, pathlib
root = pathlib.Path(os.environ["KPL_ENV_INPUT_ROOT_PATH"])
print("files:", len([path for path in (root / "data").rglob("*") if path.is_file()]))
"""


@dataclass
class Release:
    """The chart, installed."""

    kubectl: Kubectl
    home: Path
    forwarding: subprocess.Popen[bytes] | None = None
    port: int = 0
    is_forwarded: bool = False

    @property
    def values(self) -> list[str]:
        """The minimal profile, with the tests' image."""
        repository, _, tag = IMAGE.rpartition(":")
        changes = {
            "image.repository": repository,
            "image.pullPolicy": os.environ.get("KPL_IMAGE_PULL_POLICY") or "Never",
            "service.nodePort": "null",
        }
        if HOST_PATH:
            changes |= {"volume.type": "hostPath", "volume.hostPath": HOST_PATH}
        else:
            changes |= {
                "volume.type": "claim",
                "workloads.homes": "claim",
                "workloads.homeMb": "64",
            }
        return ["-f", str(CHART / "values-minimal.yaml"), "--set-string", f"image.tag={tag}",
                *(word for name, value in changes.items() for word in ("--set", f"{name}={value}"))]  # fmt: skip

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
        kinds = "pods,jobs,deployments,services,secrets"
        return self.kubectl("get", kinds, "-l", names.INSTALLATION, "-o", "name")

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


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """Install the chart in a namespace that holds pods to the restricted standard."""
    if not os.environ.get("KUBECONFIG") or not IMAGE:
        pytest.skip("KUBECONFIG names no cluster, or KPL_PLATFORM_IMAGE no image on its nodes")
    kubectl = Kubectl(f"kpl-chart-{secrets.token_hex(3)}")
    if reason := why_not(kubectl):
        pytest.skip(reason)
    kubectl("create", "namespace", kubectl.namespace)
    kubectl(
        "label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted"
    )
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kpl-chart-")))
        found = Release(kubectl, home)
        stack.callback(forget, kubectl)
        stack.callback(found.close_door)
        found.helm("install", RELEASE, str(CHART), *found.values)
        yield found


def forget(kubectl: Kubectl) -> None:
    """Remove what the tests have made, also after a failure."""
    helm("uninstall", RELEASE, "-n", kubectl.namespace, "--no-hooks", check=False)
    kubectl("delete", "persistentvolume", f"{kubectl.namespace}-{OBJECT}-home",
            "--wait=false", "--ignore-not-found", check=False)  # fmt: skip
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false", check=False)


@pytest.fixture(scope="module")
def installation(release: Release) -> Installation:
    """The release, as its administrator sees it after signing in."""
    found = release.open_door()
    words = ["--url", found.url, "-u", "admin", "--password", release.password.strip()]
    done = found.run("kpl", "login", *words)
    assert done.returncode == 0, done.stderr
    return found


@pytest.fixture
def terminal(installation: Installation, tmp_path: Path) -> Terminal:
    return Terminal(installation, tmp_path)


def test_a_dataset_is_the_input_of_a_task(terminal: Terminal) -> None:
    files = {f"{name}/{i}.txt": f"{name} {i}" for name in ("cats", "dogs") for i in range(3)}
    terminal.done("dataset", "create", "pets", "--from", terminal.write("pets", files))
    code = terminal.write("count", {"environment.yml": MANIFEST, "main.py": COUNTING})
    done = terminal.done(
        *("task", "submit", "--code", code, "--input", "data=dataset:pets", "--wait"), seconds=300
    )
    assert (done["state"], done["exit_code"]) == ("succeeded", 0)
    log = terminal.installation.run("kpl", "task", "logs", str(done["id"])).stdout
    assert int(log.split("files:")[1].split()[0]) > 0


def test_a_notebook_server_starts_and_sees_a_dataset(terminal: Terminal) -> None:
    server = terminal.done("server", "start", "--image", "base", "--memory", "512", seconds=300)
    assert server["state"] == "running"
    assert terminal.done("dataset", "mount", "pets")["state"] == "mounted"
    found = terminal.installation.credentials
    answer = httpx.get(
        f"{terminal.installation.url}/user/admin/api/contents/datasets/pets",
        headers={"Authorization": f"token {found['token']}"}, timeout=30, trust_env=False,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.json()["content"]
    assert terminal.done("server", "stop")["state"] == "stopped"


def test_a_task_goes_on_while_the_platform_is_upgraded(
    terminal: Terminal, release: Release
) -> None:
    made = terminal.done("task", "submit", "--code", terminal.code("wait", WAITING))["id"]

    def is_running() -> bool:
        return "it began" in terminal.installation.run("kpl", "task", "logs", str(made)).stdout

    wait_for(is_running, "the task's first line")
    before, (pod,) = release.pod(), release.kubectl.objects("pods", names.WORKLOAD)
    release.close_door()
    release.helm(
        "upgrade", RELEASE, str(CHART), *release.values, "--set", "podAnnotations.rolled=yes"
    )
    assert release.pod()["metadata"]["uid"] != before["metadata"]["uid"]
    after = Terminal(release.open_door(), terminal.folder)
    (same,) = release.kubectl.objects("pods", names.WORKLOAD)
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after.done("task", "show", made)["state"] == "running"
    words = ["-c", names.COMMAND_CONTAINER, "--", "touch", "go"]
    release.kubectl("exec", pod["metadata"]["name"], *words)
    wait_for(lambda: after.done("task", "show", made)["state"] == "succeeded", "the task's end")
    task = after.done("task", "show", made)
    assert task["attempt"] == 1
    assert "it goes on" in after.installation.run("kpl", "task", "logs", str(made)).stdout


def test_uninstalling_leaves_claims_alone(terminal: Terminal, release: Release) -> None:
    terminal = Terminal(release.open_door(), terminal.folder)
    terminal.done("task", "submit", "--code", terminal.code("wait", WAITING))
    wait_for(release.workloads, "the task's pod")
    release.close_door()
    release.helm("uninstall", RELEASE)
    wait_for(lambda: not release.workloads(), "the end of all workloads")
    everything = "statefulsets,pods,jobs,deployments,services,serviceaccounts,roles,rolebindings"
    everything += ",networkpolicies,poddisruptionbudgets,configmaps,secrets,persistentvolumeclaims"
    kinds = release.kubectl("get", everything, "-o", "name").split()
    left = {one for one in kinds if not one.startswith("persistentvolumeclaim/")}
    assert left <= OF_EVERY_NAMESPACE
    assert f"persistentvolumeclaim/{OBJECT}-home" in kinds
    cluster = release.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name")
    assert f"/{release.kubectl.namespace}-" not in cluster
