"""What a cluster says of an image comes to whoever waits for it: in the API, in the terminal, in the hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.installation import Installation, running_installation, wait_for
from tests.walk.conftest import Terminal
from tests.walk.kubelets import ABSENT, AWAY, Nodes, image_of, without_images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
NS = "kpl-lab"
OPTIONS = {"reach": "pods", "connect_host": "127.0.0.1"}
IS_ABSENT = "The registry has no such image. Correct its name, tag or digest."


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster") / "config"


@pytest.fixture(scope="module")
def cluster(kubeconfig: Path) -> Iterator[Nodes]:
    with without_images(kubeconfig) as found:
        yield found


@pytest.fixture
def nodes(cluster: Nodes) -> Nodes:
    cluster.answer = AWAY
    return cluster


@pytest.fixture(scope="module")
def installation(cluster: Nodes, kubeconfig: Path) -> Iterator[Installation]:
    lines = [f"c.KubernetesOptions.{name} = {value!r}\n" for name, value in OPTIONS.items()]
    variables = {"KPL_ENGINE": "kubernetes", "KUBECONFIG": str(kubeconfig)}
    files = {"kubernetes_engine.py": "".join(lines)}
    with running_installation("kpl-words-", variables=variables, files=files) as found:
        yield found


def why_it_waits(nodes: Nodes, workload: str) -> str:
    """Return what is to be read of the image of a workload's pod while its registry is away."""

    def image() -> str | None:
        pods = nodes.server.store.all("Pod", NS)
        return next((image_of(one) for one in pods if workload in one["metadata"]["name"]), None)

    return (
        f"The node cannot reach the registry of the image {wait_for(image, f'a pod of {workload}')}; it is "
        "tried again. Check the name of the registry, and the cluster's way to it. The "
        f"answer was: {AWAY}"
    )


def test_a_task_says_it_in_the_api_and_in_the_terminal(terminal: Terminal, nodes: Nodes) -> None:
    id = terminal.done("task", "submit", "--code", terminal.code("waiting", "print(1)"))["id"]
    wanted = why_it_waits(nodes, f"task-{id}")

    def task(message: str) -> Any:
        found = terminal.done("task", "show", id)
        return found if found["message"] == message else None

    assert wait_for(lambda: task(wanted), wanted, 40)["state"] not in ("running", "failed")
    assert wanted in terminal.kpl_text("task", "show", id)
    nodes.answer = ABSENT
    assert wait_for(lambda: task(IS_ABSENT), IS_ABSENT, 40)["state"] == "failed"
    assert IS_ABSENT in terminal.kpl_text("task", "show", id)


def test_a_replica_says_it_in_the_api_and_in_the_terminal(terminal: Terminal, nodes: Nodes) -> None:
    code = terminal.code("serving", "print(1)", function="deploy")
    terminal.done("service", "deploy", "waiting", "--code", code, "--no-wait")
    wanted = why_it_waits(nodes, "service-")

    def message() -> str:
        (one,) = terminal.done("service", "show", "waiting")["instances"]
        return str(one["message"])

    wait_for(lambda: message() == wanted, wanted, 40)
    assert wanted in terminal.kpl_text("service", "show", "waiting")
    terminal.done("service", "delete", "waiting", "--yes")


def test_a_server_says_it_in_the_api_and_in_the_hubs_progress(
    installation: Installation, nodes: Nodes
) -> None:
    headers = {"Authorization": f"token {installation.credentials['token']}"}
    with httpx.Client(
        base_url=installation.url, headers=headers, timeout=60, trust_env=False
    ) as hub:
        assert hub.post("/hub/api/users/admin/server", json={}).status_code in (201, 202)
        wanted = why_it_waits(nodes, "server-")
        with hub.stream("GET", "/hub/api/users/admin/server/progress") as answer:
            told = (line for line in answer.iter_lines() if line.startswith("data:"))
            events = (json.loads(line.removeprefix("data:")) for line in told)
            assert next(one for one in events if one["message"] == wanted)
            (one,) = hub.get("/kpl/api/v1/servers").json()["items"]
            assert (one["state"], one["message"]) == ("starting", wanted)
            nodes.answer = ABSENT
            last = next(one for one in events if one.get("failed"))
        assert IS_ABSENT in last["message"]
