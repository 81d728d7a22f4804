"""Datasets in running servers by the agents of nodes, on a real cluster that allows privileged pods.

``KPL_KUBELET_PATH``  the kubelets' folder on nodes, where it is not found out
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.engine import KubernetesEngine
from kpl_lab.engines.spec import Handle, Kind, ReplicaState, Workload
from tests.engines.harness import is_state, limits, see, start, until
from tests.helm import CHART, NoHelm, binary, helm
from tests.kubernetes.harness import (
    IMAGE,
    PULL_POLICY,
    Kubectl,
    KubernetesBench,
    kubernetes_bench,
)
from tests.kubernetes.probes import kubelet_folder

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]
KUBELET = os.environ.get("KPL_KUBELET_PATH", "")
HOME = "/home/alice/datasets"
FILES = {"labels.txt": "seven\n", "pictures/ü 7.txt": "a picture"}


class Nodes:
    """The agents of the cluster's nodes, as the chart makes them."""

    def __init__(self, bench: KubernetesBench, token: str) -> None:
        self.bench, self._token = bench, token
        self.kubectl = Kubectl(f"{bench.kubectl.namespace}-node-{token[:4].lower()}")

    async def install(self) -> None:
        """Apply what the chart renders; leave the test out where the cluster refuses it."""
        try:
            binary()
        except NoHelm as error:
            pytest.skip(str(error))
        facts = await self.facts()
        if not self.kubectl("get", "namespace", self.kubectl.namespace, check=False):
            self._apply("create", "namespace", self.kubectl.namespace)
            label = "pod-security.kubernetes.io/enforce=privileged"
            self._apply("label", "namespace", self.kubectl.namespace, label)
            token = f"--from-literal=token={self._token}"
            self._apply("create", "secret", "generic", "token", token)
        (self.bench.home / "agents.yaml").write_text(self._rendered(facts["gate"]))
        self._apply("apply", "-f", str(self.bench.home / "agents.yaml"))
        deadline = time.monotonic() + 60
        while not (await self.facts())["node_agents"]:
            if time.monotonic() > deadline:
                if why := self._refusal():
                    pytest.skip(f"the cluster runs no agents of nodes: {why}")
                pytest.fail(self.kubectl("get", "pods", "-o", "yaml") + self.log())
            await asyncio.sleep(0.2)

    async def facts(self) -> Mapping[str, Any]:
        """Return what the runner says of the cluster."""
        assert isinstance(self.bench.engine, KubernetesEngine)
        return await self.bench.engine.facts()

    def _apply(self, *words: str) -> None:
        try:
            self.kubectl(*words)
        except AssertionError as refused:
            if "orbidden" in str(refused):
                pytest.skip(f"the cluster allows no agents of nodes: {refused}")
            raise

    def _rendered(self, gate: str) -> str:
        values = {
            "enabled": "true", "namespace": self.kubectl.namespace, "createNamespace": "false",
            "existingSecret": "token", "gate": gate, "kubeletPath": KUBELET or kubelet_folder(IMAGE),
            "cachePath": f"/tmp/{self.kubectl.namespace}", "cacheMb": "64",
        }  # fmt: skip
        sets = [word for name, value in values.items() for word in ("--set", f"nodeAgent.{name}={value}")]  # fmt: skip
        sets += ["--set-string", f"workloads.image={IMAGE}"]
        sets += ["--set", f"workloads.pullPolicy={PULL_POLICY}"]
        only = ("--show-only", "templates/nodeagent.yaml")
        return helm("template", "lab", str(CHART), *only, *sets).stdout

    def _refusal(self) -> str:
        """Return why no pod of theirs runs; empty where that is not the cluster's word.

        It is where pods may not be privileged, and where nobody said where kubelets have their folder.
        """
        said = [
            one["message"] for one in self.kubectl.objects("events") if one["type"] == "Warning"
        ]
        known = ["rivileged", "not permitted", *([] if KUBELET else ["hostPath type check failed"])]
        said = [text for text in said if any(word in text for word in known)]
        return f"{said[-1]} (KPL_KUBELET_PATH is {KUBELET or 'not set'})" if said else ""

    def pods(self) -> list[dict[str, Any]]:
        """Return their pods."""
        return self.kubectl.objects("pods", "app.kubernetes.io/component=node")

    def run(self, *words: str) -> str:
        """Run a command in an agent."""
        return self.kubectl("exec", self.pods()[0]["metadata"]["name"], "--", *words)

    def log(self) -> str:
        """Return what an agent has said."""
        return self.kubectl("logs", "-l", "app.kubernetes.io/component=node", "--tail=100")

    def versions(self) -> list[str]:
        """Return what lies in the cache of a node."""
        return self.run("ls", "/var/cache/kpl-lab-node").split()

    async def crash(self) -> None:
        """End the agents at once, and wait for those that follow them."""
        before = {pod["metadata"]["uid"] for pod in self.pods()}
        self.kubectl("delete", "pods", "--all", "--grace-period=0", "--force")
        await until(
            lambda: any(
                pod["metadata"]["uid"] not in before and pod["status"]["phase"] == "Running"
                for pod in self.pods()
            ),
            60,
        )


@pytest.fixture
async def nodes(kubectl: Kubectl, tmp_path: Path) -> AsyncIterator[Nodes]:
    token = secrets.token_hex(16)
    (tmp_path / "token").write_text(token)
    given = {"node_token_file": str(tmp_path / "token")}
    async with kubernetes_bench(tmp_path, kubectl, given) as bench:
        found = Nodes(bench, token)
        try:
            await found.install()
            yield found
            await bench.clear()
            # What pods had mounted has gone with them.
            assert "empty-dir/datasets/" not in found.run("cat", "/proc/self/mountinfo")
        finally:
            with contextlib.suppress(AssertionError):
                found.run("sh", "-c", "rm -rf /var/cache/kpl-lab-node/*")
            found.kubectl(
                "delete", "namespace", found.kubectl.namespace, "--wait=false", check=False
            )


def server(name: str = "server-1") -> Workload:
    """Return a server of Alice's that only waits."""
    return Workload(
        name=name, kind=Kind.SERVER, image=IMAGE, identity="user:alice", home="alice", port=8888,
        labels={"instance": "test", "owner": "alice", "resource": "servers", "id": "1"},
        command=("python3", "-m", "http.server", "{{port}}"), limits=limits(cpu=0.5, memory_mb=128),
        environment={},
    )  # fmt: skip


async def running(bench: KubernetesBench, workload: Workload) -> Handle:
    """Start a server, and wait until it answers."""
    handle = await start(bench.engine, workload)
    await see(bench.engine, workload.name, is_state(ReplicaState.READY), 90)
    return handle


def inside(bench: KubernetesBench, command: str, name: str = "server-1") -> str:
    """Run a command in a server; return what it prints, its errors too."""
    pod = bench.pods(name)[0]["metadata"]["name"]
    words = ("exec", pod, "-c", names.COMMAND_CONTAINER, "--", "sh", "-c", f"{command} 2>&1; true")
    return bench.kubectl(*words)


async def test_a_dataset_is_shown_in_running_servers_from_one_copy(nodes: Nodes) -> None:
    bench = nodes.bench
    folder = bench.folder("digits", FILES)
    handle = await running(bench, server())
    found = await bench.engine.mount(handle, folder, "digits ü")
    assert found.enforced
    assert found.path == f"{HOME}/digits ü"
    assert found.note == "The node agent shows it: a node keeps one copy for all servers."
    there = f"'{HOME}/digits ü'"
    assert inside(bench, f"cat {there}/labels.txt {there}/pictures/*") == "seven\na picture"
    for attempt in (f"touch {there}/new", f"rm {there}/labels.txt", f"chmod 777 {there}"):
        assert "Read-only file system" in inside(bench, attempt)
    # What the agent of the pod may write, the command may too, as they share an account; not this.
    pod = bench.pods("server-1")[0]["metadata"]["name"]
    assert "labels.txt" not in bench.kubectl("exec", pod, "-c", "agent", "--", "ls", found.path)

    (version,) = nodes.versions()
    second = await running(bench, replace(server("server-2"), home="bob"))
    began = time.monotonic()
    await bench.engine.mount(second, folder, "same")
    took = time.monotonic() - began
    assert nodes.versions() == [version]
    assert inside(bench, "cat /home/bob/datasets/same/labels.txt", "server-2") == "seven\n"
    assert took < 0.3

    await bench.engine.unmount(handle, "digits ü")
    assert "No such file" in inside(bench, f"ls {there}")
    await bench.engine.unmount(handle, "digits ü")
    assert inside(bench, "ls /home/bob/datasets/same", "server-2") == "labels.txt\npictures\n"


async def test_what_is_mounted_outlives_the_agents_and_the_runner(nodes: Nodes) -> None:
    bench = nodes.bench
    handle = await running(bench, server())
    folder = bench.folder("digits", FILES)
    await bench.engine.mount(handle, folder, "digits")
    await nodes.crash()
    assert inside(bench, f"cat {HOME}/digits/labels.txt") == "seven\n"
    bench.kill()
    bench.launch()
    found = await bench.engine.mount(handle, folder, "digits")
    assert found.note.startswith("The node agent shows it")
    assert inside(bench, f"cat {HOME}/digits/labels.txt") == "seven\n"
    assert "showed" not in nodes.log()  # it was there, and stayed
    await bench.engine.unmount(handle, "digits")
    assert "No such file" in inside(bench, f"ls {HOME}/digits")


async def test_a_server_goes_while_nobody_gives_orders(nodes: Nodes) -> None:
    """The kubelet cannot remove a pod's folder while something is mounted there."""
    bench = nodes.bench
    handle = await running(bench, server())
    await bench.engine.mount(handle, bench.folder("digits", FILES), "digits")
    bench.kill()
    pod = bench.pods("server-1")[0]["metadata"]["name"]
    await asyncio.to_thread(bench.kubectl, "delete", "pod", pod, "--timeout=50s")
    assert bench.pods("server-1") == []
    (version,) = nodes.versions()
    assert "labels.txt" in nodes.run("ls", f"/var/cache/kpl-lab-node/{version}/data")


async def test_without_an_agent_it_is_copied_and_told(nodes: Nodes) -> None:
    bench = nodes.bench
    handle = await running(bench, server())
    nodes.kubectl("delete", "daemonset", "--all", "--wait")
    async with asyncio.timeout(60):
        while (await nodes.facts())["node_agents"]:  # noqa: ASYNC110 (it is asked for)
            await asyncio.sleep(0.2)
    found = await bench.engine.mount(handle, bench.folder("digits", FILES), "digits")
    assert found.note.startswith("It was copied into the server: no node agent answers on ")
    assert inside(bench, f"cat {HOME}/digits/labels.txt") == "seven\n"
    assert "Read-only file system" in inside(bench, f"touch {HOME}/digits/new")
    await bench.engine.unmount(handle, "digits")
    assert "No such file" in inside(bench, f"ls {HOME}/digits")
    await nodes.install()  # for the end of the test
