"""The chart with a PostgreSQL and several API processes: upgraded by a Job, answering while its pod is away."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests import postgresql
from tests.helm import CHART
from tests.installation import Installation, free_port, wait_for
from tests.kubernetes.harness import Kubectl, this_machine, why_not
from tests.kubernetes.probes import claim_lack, claim_of
from tests.kubernetes.release import (
    HOST_PATH,
    OBJECT,
    RELEASE,
    Release,
    installed,
    platform_image,
    signed_in,
)
from tests.places import passable
from tests.walk.conftest import Terminal

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]
VALUES = {
    "database.existingSecret": "postgres",
    "volume.accessMode": "ReadWriteMany",
    "api.replicas": "2",
    "metrics.enabled": "true",
}
WORDS = [word for name, value in VALUES.items() for word in ("--set", f"{name}={value}")]
SHARED = "shared"
API_PODS = "app.kubernetes.io/component=api"


@pytest.fixture(scope="module")
def volume() -> tuple[list[str], Callable[[Kubectl], object]]:
    """Words for a volume that all pods mount, and what makes it where the chart does not.

    Classes on a node's own disk refuse one for several nodes; the pods of one node share any.
    """
    if reason := why_not():
        pytest.skip(reason)
    if HOST_PATH or not (refused := claim_lack("ReadWriteMany", platform_image())):
        return [], lambda _: None
    if len(json.loads(Kubectl("default")("get", "nodes", "-o", "json"))["items"]) > 1:
        pytest.skip(f"the default storage class gives pods of several nodes no volume: {refused}")
    claim = json.dumps(claim_of(SHARED, "ReadWriteOnce", "1Gi"))
    return ["--set", f"volume.existingClaim={SHARED}"], lambda kubectl: kubectl(
        "create", "-f", "-", stdin=claim
    )


@pytest.fixture(scope="module")
def release(
    tmp_path_factory: pytest.TempPathFactory,
    volume: tuple[list[str], Callable[[Kubectl], object]],
) -> Iterator[Release]:
    """The chart, on a PostgreSQL of this machine."""
    words, make_volume = volume
    folder = passable(tmp_path_factory.mktemp("pg"))
    with postgresql.server(folder, listen=this_machine(Kubectl("default"))) as url:

        def prepare(kubectl: Kubectl) -> None:
            kubectl("create", "secret", "generic", "postgres", f"--from-literal=url={url}")
            make_volume(kubectl)

        with installed(*WORDS, *words, before=prepare) as found:
            yield found


@pytest.fixture(scope="module")
def installation(release: Release) -> Installation:
    """The release, as its administrator sees it after signing in."""
    return signed_in(release)


@contextlib.contextmanager
def further(release: Release) -> Iterator[httpx.Client]:
    """Give the way to one of the further API processes."""
    port = free_port()
    command = ["kubectl", "-n", release.kubectl.namespace, "port-forward", f"deployment/{OBJECT}-api",
               f"{port}:http"]  # fmt: skip
    forwarding = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            def answers() -> bool:
                with contextlib.suppress(httpx.HTTPError):
                    return client.get("/kpl/api/v1/readyz").status_code == 200
                return False

            wait_for(answers, "a further API process")
            yield client
    finally:
        forwarding.kill()
        forwarding.wait()


def migrated(release: Release) -> int:
    """Return how many Jobs have upgraded the database."""
    found = json.loads(release.kubectl("get", "events", "-o", "json"))["items"]
    return len(
        {
            event["involvedObject"]["uid"]
            for event in found
            if event["involvedObject"]["name"] == f"{OBJECT}-migrate"
            and event["reason"] == "Completed"
        }
    )


def test_further_processes_know_what_the_first_one_was_told(
    terminal: Terminal, release: Release
) -> None:
    assert len(release.kubectl.objects("pods", API_PODS)) == 2
    assert migrated(release) == 1
    code = terminal.code("hello", "print('hello')\n")
    done = terminal.done("task", "submit", "--code", code, "--wait", seconds=300)
    token = terminal.installation.credentials["token"]
    with further(release) as client:
        headers = {"Authorization": f"token {token}"}
        found = client.get("/kpl/api/v1/tasks", headers=headers)
        assert [one["id"] for one in found.json()["items"]] == [done["id"]]
        assert "hello" in client.get(f"/kpl/api/v1/tasks/{done['id']}/log", headers=headers).text
        assert client.get("/kpl/api/v1/internal/servers", headers=headers).status_code == 404
        assert client.get("/metrics").status_code == 401


def test_they_answer_while_the_platform_is_away(terminal: Terminal, release: Release) -> None:
    token = terminal.installation.credentials["token"]
    headers = {"Authorization": f"token {token}"}
    with further(release) as client:
        assert client.get("/kpl/api/v1/tasks", headers=headers).status_code == 200
        before = release.pod()["metadata"]
        release.kubectl("delete", "pod", before["name"], "--wait=false")
        wait_for(lambda: not release.answers(), "the platform to be away")
        assert client.get("/kpl/api/v1/tasks", headers=headers).status_code == 200
    release.close_door()
    release.kubectl("rollout", "status", f"statefulset/{OBJECT}", "--timeout=55s", check=False)
    release.open_door()


def test_a_job_upgrades_the_database_before_anything_new_starts(
    terminal: Terminal, release: Release
) -> None:
    release.close_door()
    more = ("--set", "podAnnotations.rolled=yes")
    release.helm("upgrade", RELEASE, str(CHART), *release.values, *more)
    assert migrated(release) == 2
    after = Terminal(release.open_door(), terminal.folder)
    assert len(after.done("task", "list")["items"]) == 1
