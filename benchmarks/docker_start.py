"""On Docker: a task beside ``docker run``, a notebook server beside a plain DockerSpawner.

All of them are of the same image, on the same daemon, and take turns. Of two DockerSpawners one begins
with JupyterHub's own program, as everywhere else, and one with the program of our image in its place.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
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

PLAIN, OURS = ("python3", "-m", "jupyterhub.singleuser"), ("jupyterhub-singleuser",)
IMAGE = f"kpl-lab/base:{__version__}"
# The hub listens where containers reach it: at the address of Docker's default bridge.
CONFIG = """
c.JupyterHub.spawner_class = "docker"
c.JupyterHub.hub_ip = "{bridge}"
c.DockerSpawner.image = "{image}"
c.DockerSpawner.cmd = {program}
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "kpl-bench-{prefix}"
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


@contextlib.contextmanager
def dockerspawner(daemon: TestDaemon, program: Sequence[str]) -> Iterator[Hub]:
    """Run a plain hub whose servers are containers that begin with ``program``."""
    inspected = ("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    bridge = daemon.docker(*inspected).strip()
    prefix = "plain" if program == PLAIN else "ours"
    more = CONFIG.format(bridge=bridge, image=IMAGE, program=list(program), prefix=prefix)
    variables = {"DOCKER_HOST": f"unix://{daemon.socket}"}
    with plain_hub(python=DOCKER_HUB.python(), more=more, variables=variables) as hub:
        try:
            yield hub
        finally:
            left = daemon.docker("ps", "-aq", "--filter", f"name=^/kpl-bench-{prefix}-").split()
            if left:
                daemon.docker("rm", "-f", *left)


def server_row(peer: str, ours: Sequence[float], theirs: Sequence[float], goal: str = "") -> Row:
    """Return what the starts of two say."""
    return Row(
        "notebook server on Docker, from the request to JupyterLab's page",
        peer,
        "s",
        value=median(ours),
        peer_value=median(theirs),
        lower_is_better=True,
        goal=goal,
    )


def servers(found: Installation, daemon: TestDaemon) -> None:
    """Measure notebook servers."""
    with dockerspawner(daemon, PLAIN) as plain_one, dockerspawner(daemon, OURS) as quick:
        ours = Hub(found.url, found.credentials["token"], found.credentials["username"])
        hubs = (ours, plain_one, quick)
        for hub in hubs:
            start(hub)
        rounds = [[start(hub) for hub in hubs] for _ in range(sized(5, 1))]
    told = "; ".join(" / ".join(f"{one:.2f}" for one in each) for each in rounds)
    print(f"seconds to JupyterLab's page, ours / both DockerSpawners: {told}", file=sys.stderr)
    own, theirs, with_ours = zip(*rounds, strict=True)
    goal = "≥ 0.91x (≤ 1.1 of its time)"
    emit(server_row("plain JupyterHub, DockerSpawner", own, theirs, goal))
    emit(server_row("DockerSpawner with our image's program", own, with_ours))


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
