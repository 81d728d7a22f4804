"""On the cluster of ``KUBECONFIG``: a notebook server beside a plain KubeSpawner.

Both hubs run here and start pods of the same image, each with a home on a claim of its own, in turns.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks._common import CLUSTER_HUB, LeftOutError, Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._plain_hub import Hub, plain_hub
from benchmarks.server_start import start
from tests.kubernetes.harness import IMAGE, Kubectl, this_machine, why_not
from tests.kubernetes_installation import kubernetes_installation

# As the published chart has it: a claim for each user, and limits.
CONFIG = """
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.hub_ip = "{host}"
c.KubeSpawner.namespace = "{namespace}"
c.KubeSpawner.image = "{image}"
c.KubeSpawner.image_pull_policy = "{policy}"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
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


def main() -> None:
    if reason := why_not():
        raise LeftOutError(reason)
    with namespace() as kubectl:
        more = CONFIG.format(
            host=this_machine(kubectl),
            namespace=kubectl.namespace,
            image=IMAGE,
            policy=os.environ.get("KPL_IMAGE_PULL_POLICY") or "IfNotPresent",
        )
        with (
            installation(kubernetes_installation("kpl-bench-")) as (_, found),
            plain_hub(python=CLUSTER_HUB.python(), more=more) as peer,
        ):
            ours = Hub(found.url, found.credentials["token"], found.credentials["username"])
            start(peer)  # the first ones make the homes
            start(ours)
            pairs = [(start(ours), start(peer)) for _ in range(sized(7, 1))]
    told = "; ".join(f"{ours:.2f} / {peer:.2f}" for ours, peer in pairs)
    print(f"seconds to JupyterLab's page, ours / KubeSpawner: {told}", file=sys.stderr)
    emit(
        Row(
            "notebook server on Kubernetes, from the request to JupyterLab's page",
            "plain JupyterHub, KubeSpawner",
            "s",
            value=median(value for value, _ in pairs),
            peer_value=median(value for _, value in pairs),
            lower_is_better=True,
            goal="≥ 0.91x (≤ 1.1 of its time)",
        )
    )


if __name__ == "__main__":
    run_program(main)
