"""The chart on a real cluster: installed in one command, used, upgraded under a running task, uninstalled.

``test_main_job`` walks the main job on it; what it needs of the environment, ``release`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import names
from tests.helm import CHART, helm
from tests.installation import Installation, wait_for
from tests.kubernetes.release import LABELS, OBJECT, RELEASE, Release, installed, signed_in
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
# Some clusters publish the authority of their services beside that of the API.
OF_EVERY_NAMESPACE = {"configmap/kube-root-ca.crt", "configmap/openshift-service-ca.crt",
                      "serviceaccount/default"}  # fmt: skip
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


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    """The chart, installed."""
    with installed() as found:
        yield found


@pytest.fixture(scope="module")
def installation(release: Release) -> Installation:
    """The release, as its administrator sees it after signing in."""
    return signed_in(release)


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
    assert terminal.in_server("datasets/pets")
    assert terminal.done("server", "stop")["state"] == "stopped"


def upgrade(release: Release) -> None:
    """Have the chart replace the platform's pod."""
    release.helm(
        "upgrade", RELEASE, str(CHART), *release.values, "--set", "podAnnotations.rolled=yes"
    )


def lose(release: Release) -> None:
    """Lose the platform's pod without a farewell."""
    before = release.pod()["metadata"]
    release.kubectl("delete", "pod", before["name"], "--grace-period=0", "--force")

    def is_replaced() -> bool:
        found = release.kubectl.objects("pods", LABELS)
        return any(one["metadata"]["uid"] != before["uid"] and is_ready(one) for one in found)

    wait_for(is_replaced, "another pod", 240)


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether its probes are content."""
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@pytest.mark.parametrize("replace", [upgrade, lose])
def test_a_task_goes_on_while_the_platform_is_replaced(
    terminal: Terminal, release: Release, replace: Callable[[Release], None]
) -> None:
    made = terminal.done("task", "submit", "--code", terminal.code("wait", WAITING))["id"]

    def is_running() -> bool:
        return "it began" in terminal.installation.run("kpl", "task", "logs", str(made)).stdout

    wait_for(is_running, "the task's first line")
    before, (pod,) = release.pod(), release.kubectl.objects("pods", names.WORKLOAD)
    release.close_door()
    replace(release)
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
    wait_for(lambda: not release.workloads(), "the end of its objects")


def test_an_upgrade_that_would_begin_with_nothing_is_refused(release: Release) -> None:
    words = ["upgrade", RELEASE, str(CHART), *release.values, "--set", "volume.type=emptyDir"]
    done = helm(*words, "-n", release.kubectl.namespace, check=False)
    assert done.returncode != 0
    assert "would begin with nothing" in done.stderr


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


def test_the_minimal_profile_is_one_command(tmp_path: Path) -> None:
    """As it stands: neither a storage class nor a folder of the node."""
    with installed(is_minimal=True) as found:
        terminal = Terminal(signed_in(found), tmp_path)
        assert found.kubectl("get", "persistentvolumeclaims", "-o", "name") == ""
        code = terminal.code("hello", "print('hello')\n")
        done = terminal.done("task", "submit", "--code", code, "--wait", seconds=300)
        assert done["state"] == "succeeded"
