"""An installation's runner against a real cluster, in a namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from kpl_lab import settings as settings_module
from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.engine import KubernetesEngine
from kpl_lab.engines.kubernetes.ledger import Status
from kpl_lab.engines.kubernetes.runner import own_address
from kpl_lab.engines.spec import Handle, Input, Recipe, Workload
from tests.engines.harness import RunnerBench, show_logs, until
from tests.places import passable

# The platform's own image on the cluster's nodes: what agents and the tests' commands run in.
IMAGE = os.environ.get("KPL_IMAGE", "")
PULL_POLICY = os.environ.get("KPL_IMAGE_PULL_POLICY") or "IfNotPresent"
# Where built images go, what builds them, and which registries are asked over plain HTTP.
REGISTRY = os.environ.get("KPL_REGISTRY", "")
BUILDER_IMAGE = os.environ.get("KPL_BUILDER_IMAGE", "")
BASE = f"{REGISTRY}/base:bookworm" if REGISTRY else IMAGE
INSECURE = os.environ.get("KPL_INSECURE_REGISTRIES", "").split()
# What an installation has in a cluster beside homes, and what leads calls to it past the front door.
KINDS = "pods,jobs,deployments,services,secrets,networkpolicies"
ROUTES = ("ingresses.networking.k8s.io", "httproutes.gateway.networking.k8s.io")
OPTIONS: dict[str, object] = {
    "builder_image": BUILDER_IMAGE,
    "insecure_registries": INSECURE,
    "wrong_port_seconds": 1.0,
    "health_seconds": 0.2,
    "health_timeout_seconds": 0.5,
    "restarts_max": 1,
    "relay_wait_seconds": 5.0,
    "home_mb": 64,
}


class OnTestImage(KubernetesEngine):
    """Runs commands of the shared tests, which name an environment, in the tests' image."""

    async def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Run the workload."""
        image = IMAGE if workload.image == sys.prefix else workload.image
        async for handle in super().run(replace(workload, image=image)):
            yield handle


class Kubectl:
    """The cluster of ``KUBECONFIG``, asked in another way than the engine does."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def __call__(self, *words: str, check: bool = True, stdin: str = "") -> str:
        """Run a command in the namespace; return what it prints."""
        cache = Path(tempfile.gettempdir()) / "kpl-test-kubectl"
        done = subprocess.run(
            ["kubectl", "--cache-dir", str(cache), "-n", self.namespace, *words],
            input=stdin, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Return objects."""
        found = json.loads(self("get", kind, "-o", "json", "-l", selector))
        return list(found["items"])

    def left(self, installation: str) -> str:
        """Return the names of what an installation has in the namespace, but homes and routes."""
        return self("get", KINDS, "-l", names.selector(installation), "-o", "name")

    def routes(self, installation: str) -> str:
        """Return the names of what leads past the front door to an installation."""
        known = [kind for kind in ROUTES if kind in _kinds()]
        return self("get", ",".join(known), "-l", names.selector(installation), "-o", "name")


@cache
def _kinds() -> frozenset[str]:
    """Return what kinds of objects the cluster has."""
    return frozenset(Kubectl("default")("api-resources", "-o", "name", check=False).split())


@dataclass
class KubernetesBench(RunnerBench):
    """A runner of the Kubernetes engine."""

    kubectl: Kubectl = field(kw_only=True)

    def has_ended(self, name: str) -> bool:
        """Say whether its command has ended, whatever the runner knows."""
        for pod in self.pods(name):
            for one in pod["status"].get("containerStatuses") or ():
                if "terminated" in one["state"]:
                    return True
        return False

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return the pods of a workload."""
        return self.kubectl.objects("pods", self.selector(name))

    def selector(self, name: str) -> str:
        """Return the selector of a workload's objects."""
        return f"{names.selector(self.settings.instance)},{names.WORKLOAD}={name}"

    def status(self, name: str, index: int = 0) -> Status:
        """Return what is written down of a replica."""
        found = Status.read(self.replica_folder(name, index))
        assert found is not None
        return found

    def touch(self, name: str, path: str) -> None:
        """Make a file in the working directory of a running command."""
        pod = self.pods(name)[0]["metadata"]["name"]
        self.kubectl("exec", pod, "-c", names.COMMAND_CONTAINER, "--", "touch", path)

    def recipe(self, *runs: str, digest: str = "abc", **changes: object) -> Recipe:
        """Return a recipe on the base that tests put into the registry."""
        return super().recipe(*runs, digest=digest, base=BASE, **changes)

    def input(self, key: str, name: str, files: dict[str, str]) -> Input:
        """Return an input with these files."""
        return Input(key=key, source=str(self.folder(name, files)))

    def launch(self) -> None:
        """Start the runner."""
        environment = {
            **os.environ,
            "KPL_HOME": str(self.home),
            "KPL_ENGINE": "kubernetes",
            "PYTHONPATH": str(Path(settings_module.__file__).parents[1]),
        }
        with (self.home / "runner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kpl_lab.engines.kubernetes.runner"],
                env=environment, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip

    async def clear(self) -> None:
        """Delete every workload, end the runner, and see that nothing is left."""
        if self.process is None or self.process.poll() is not None:
            self.launch()
        await self.engine.capacity()  # it has begun
        folder = self.home / "kubernetes" / "workloads"
        for name in [path.name for path in folder.iterdir()]:
            await self.engine.delete(Handle(engine="kubernetes", name=name))
        assert list(folder.iterdir()) == []
        mine = self.settings.instance
        await until(lambda: not self.kubectl.left(mine) and not self.kubectl.routes(mine))
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def this_machine(kubectl: Kubectl) -> str:
    """Return the address at which pods reach this machine, as the engine finds it."""
    path = "jsonpath={.clusters[0].cluster.server}"
    api = kubectl("config", "view", "--minify", "-o", path)
    return os.environ.get("KPL_CONNECT_HOST") or own_address(api)


def why_not() -> str:
    """Return why no cluster can be used; empty where one can."""
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    if not IMAGE:
        return "KPL_IMAGE names no image of the platform on the cluster's nodes"
    if shutil.which("kubectl") is None:
        return "there is no kubectl"
    return ""


@contextlib.asynccontextmanager
async def kubernetes_bench(
    root: Path, kubectl: Kubectl, options: Mapping[str, object] | None = None
) -> AsyncIterator[KubernetesBench]:
    """Give a runner of an installation of its own; nothing of it is left afterwards."""
    passable(root)
    home = root / "kpl home ü"  # spaces and other letters: they must not matter
    home.mkdir()
    changes = {**OPTIONS, "namespace": kubectl.namespace, **(options or {})}
    lines = [f"c.KubernetesOptions.{name} = {value!r}" for name, value in changes.items()]
    (home / "kubernetes_engine.py").write_text("\n".join(lines) + "\n")
    found = settings_module.load({"KPL_HOME": str(home), "KPL_ENGINE": "kubernetes"})
    for folder in (home, found.home.storage):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    engine = OnTestImage(found.home, patience_seconds=20)
    bench = KubernetesBench(
        engine, found.home.storage, "kubernetes", settings=found, kubectl=kubectl
    )
    bench.launch()
    try:
        yield bench
        await bench.clear()
    except BaseException:
        show_logs(home, "kubernetes")
        raise
    finally:
        if bench.process is not None and bench.process.poll() is None:
            bench.kill()
        mine = names.selector(found.instance)
        kinds = "jobs,deployments,pods,services,secrets,persistentvolumeclaims"
        await asyncio.to_thread(
            kubectl, "delete", kinds, "-l", mine, "--grace-period=1", "--wait=false", check=False
        )
