"""On Docker: a task beside ``docker run``, a notebook server beside a plain DockerSpawner.

All of them are of the same image, on the same daemon, and take turns.
"""

from __future__ import annotations

from statistics import median

from benchmarks._common import DOCKER_HUB, LeftOutError, Row, emit, run_program, sized
from benchmarks._installation import installation
from benchmarks._plain_hub import Hub, plain_hub
from benchmarks._tasks import project, submit
from benchmarks.server_start import start
from benchmarks.task_start import plain
from kpl_lab import __version__
from kpl_lab.client import Client
from tests.docker_installation import docker_installation
from tests.engines.docker_harness import TestDaemon, docker_daemon, lacking
from tests.installation import Installation

IMAGE = f"kpl-lab/base:{__version__}"
# The hub listens where containers reach it: at the address of Docker's default bridge.
CONFIG = """
c.JupyterHub.spawner_class = "docker"
c.JupyterHub.hub_ip = "{bridge}"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "kpl-bench"
"""


def tasks(client: Client, daemon: TestDaemon) -> None:
    """Measure tasks."""
    run = ("docker", "-H", f"unix://{daemon.socket}", "run", "--rm", "--init", IMAGE)
    with project() as code:
        submit(client, code)  # the first one is not like those that follow
        plain(*run)
        pairs = [(submit(client, code), plain(*run)) for _ in range(sized(11, 1))]
    emit(
        Row(
            "task start on Docker: packed, sent, admitted, first line read",
            "docker run",
            "s",
            value=median(ours for ours, _ in pairs),
            peer_value=median(peer for _, peer in pairs),
            lower_is_better=True,
        )
    )


def servers(found: Installation, daemon: TestDaemon) -> None:
    """Measure notebook servers."""
    inspected = ("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    bridge = daemon.docker(*inspected).strip()
    more = CONFIG.format(bridge=bridge, image=IMAGE)
    variables = {"DOCKER_HOST": f"unix://{daemon.socket}"}
    with plain_hub(python=DOCKER_HUB.python(), more=more, variables=variables) as peer:
        ours = Hub(found.url, found.credentials["token"], found.credentials["username"])
        try:
            start(peer)
            start(ours)
            pairs = [(start(ours), start(peer)) for _ in range(sized(5, 1))]
        finally:
            left = daemon.docker("ps", "-aq", "--filter", "name=^/kpl-bench-").split()
            if left:
                daemon.docker("rm", "-f", *left)
    emit(
        Row(
            "notebook server on Docker, from the request to JupyterLab's page",
            "plain JupyterHub, DockerSpawner",
            "s",
            value=median(value for value, _ in pairs),
            peer_value=median(value for _, value in pairs),
            lower_is_better=True,
            goal="≥ 0.91x (≤ 1.1 of its time)",
        )
    )


def main() -> None:
    reason = lacking()
    if reason is not None:
        raise LeftOutError(reason)
    with docker_daemon() as daemon:
        running = docker_installation("kpl-bench-", daemon)
        with installation(running) as (client, found):
            tasks(client, daemon)
            servers(found, daemon)


if __name__ == "__main__":
    run_program(main)
