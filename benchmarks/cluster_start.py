"""On the cluster of ``KUBECONFIG``: a notebook server beside a plain KubeSpawner.

All hubs run here and start pods of the same image, each with a home on a claim of its own, in turns. Of
the two KubeSpawners one begins with JupyterHub's own program, as everywhere else, and one with the program
of our image in its place, so that what is left between it and ours is the engine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks._common import CLUSTER_HUB, LeftOutError, Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._plain_hub import Hub, plain_hub
from benchmarks.server_start import start
from tests.kubernetes.harness import IMAGE, Kubectl, this_machine, why_not
from tests.kubernetes_installation import kubernetes_installation

PLAIN, OURS = ("python3", "-m", "jupyterhub.singleuser"), ("jupyterhub-singleuser",)
# As the published chart has it: a claim for each user, and limits.
CONFIG = """
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.hub_ip = "{host}"
c.KubeSpawner.namespace = "{namespace}"
c.KubeSpawner.image = "{image}"
c.KubeSpawner.image_pull_policy = "{policy}"
c.KubeSpawner.cmd = {program}
c.KubeSpawner.working_dir = "/home/kpl"
c.KubeSpawner.environment = {{"HOME": "/home/kpl"}}
c.KubeSpawner.uid = c.KubeSpawner.gid = c.KubeSpawner.fs_gid = 1000
c.KubeSpawner.cpu_limit, c.KubeSpawner.cpu_guarantee = 1, 0.25
c.KubeSpawner.mem_limit = c.KubeSpawner.mem_guarantee = "2G"
c.KubeSpawner.storage_pvc_ensure = True
c.KubeSpawner.storage_capacity = "1Gi"
c.KubeSpawner.volumes = [
    {{"name": "home", "persistentVolumeClaim": {{"claimName": "{{pvc_name}}"}}}}
]
c.KubeSpawner.volume_mounts = [{{"name": "home", "mountPath": "/home/kpl"}}]
"""


@contextlib.contextmanager
def namespace() -> Iterator[Kubectl]:
    """Give a namespace of its own for the plain hub's pods; it goes with them."""
    kubectl = Kubectl(f"kpl-bench-{secrets.token_hex(3)}")
    kubectl("create", "namespace", kubectl.namespace)
    try:
        yield kubectl
    finally:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@contextlib.contextmanager
def kubespawner(program: Sequence[str]) -> Iterator[Hub]:
    """Run a plain hub whose servers are pods that begin with ``program``."""
    with namespace() as kubectl:
        more = CONFIG.format(
            host=this_machine(kubectl),
            namespace=kubectl.namespace,
            image=IMAGE,
            policy=os.environ.get("KPL_IMAGE_PULL_POLICY") or "IfNotPresent",
            program=list(program),
        )
        with plain_hub(python=CLUSTER_HUB.python(), more=more) as hub:
            yield hub


def row(peer: str, ours: Sequence[float], theirs: Sequence[float], goal: str = "") -> Row:
    """Return what the starts of two say."""
    return Row(
        "notebook server on Kubernetes, from the request to JupyterLab's page",
        peer,
        "s",
        value=median(ours),
        peer_value=median(theirs),
        lower_is_better=True,
        goal=goal,
    )


def main() -> None:
    if reason := why_not():
        raise LeftOutError(reason)
    with (
        kubespawner(PLAIN) as plain,
        kubespawner(OURS) as quick,
        installation(kubernetes_installation("kpl-bench-")) as (_, found),
    ):
        ours = Hub(found.url, found.credentials["token"], found.credentials["username"])
        hubs = (ours, plain, quick)
        for hub in hubs:  # the first ones make the homes
            start(hub)
        rounds = [[start(hub) for hub in hubs] for _ in range(sized(7, 1))]
    told = "; ".join(" / ".join(f"{one:.2f}" for one in each) for each in rounds)
    print(f"seconds to JupyterLab's page, ours / both KubeSpawners: {told}", file=sys.stderr)
    own, theirs, with_ours = zip(*rounds, strict=True)
    # The goal is against JupyterHub as it comes; the other row says what the engine adds.
    emit(row("plain JupyterHub, KubeSpawner", own, theirs, goal="≥ 0.91x (≤ 1.1 of its time)"))
    emit(row("KubeSpawner with our image's program", own, with_ours))


if __name__ == "__main__":
    run_program(main)
