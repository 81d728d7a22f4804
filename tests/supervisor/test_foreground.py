"""``kpl-lab up --foreground``: one process that is the platform for as long as it runs, as in a container."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.installation import NAMES, Installation, free_port, processes_of, wait_for
from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PASSWORD = "a password of thirty-two letters."
CODE = {
    "environment.yml": "version: 1\nimage: {from_image: python:3.11}\n"
    "train:\n  resource: {limits: {cpu: 1, memory: 128}}\n  cmd: python3 main.py\n",
    "main.py": "import time\ntime.sleep(3600)\n",
}


@contextmanager
def in_foreground(installation: Installation) -> Iterator[subprocess.Popen[str]]:
    """Run it until it is asked to end; it has to end by itself, well."""
    process = installation.start("kpl-lab", "up", "--foreground")
    try:
        wait_for(lambda: answers(installation, "/hub/health"), "the hub")
        wait_for(lambda: answers(installation, "/kpl/api/v1/readyz"), "the API")
        yield process
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err + out
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def answers(installation: Installation, path: str) -> bool:
    try:
        return httpx.get(installation.url + path, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture
def installation() -> Iterator[Installation]:
    folder = passable(Path(tempfile.mkdtemp(prefix="kpl-fore-")))
    (folder / "password").write_text(PASSWORD)
    variables = {"KPL_LISTEN": "127.0.0.1", "KPL_ADMIN_PASSWORD_FILE": str(folder / "password")}
    found = Installation(folder / "h", free_port(), variables)
    try:
        yield found
    finally:
        found.run("kpl-lab", "down")


def test_it_ends_at_sigterm_with_the_platform_and_the_next_one_adopts_a_task(
    installation: Installation, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    for name, text in CODE.items():
        (code / name).write_text(text)
    with in_foreground(installation):
        sign_in(installation)
        made = installation.kpl("task", "submit", "--code", str(code))["id"]
        wait_for(lambda: state(installation, made) == "running", "the task")
        refused = installation.run("kpl-lab", "up", "--foreground")
        assert refused.returncode == 1
        assert "runs already (supervisor, pid" in refused.stderr
    assert {item["state"] for item in installation.status()["items"]} == {"stopped"}
    assert not [p for p in processes_of(installation.home) if p.name() == "traefik"]
    with in_foreground(installation):
        assert {item["name"] for item in installation.status()["items"]} == set(NAMES)
        adopted = installation.kpl("task", "show", str(made))
        assert (adopted["state"], adopted["attempt"]) == ("running", 1)
        installation.kpl("task", "stop", str(made))
        wait_for(lambda: state(installation, made) == "stopped", "the end of the task")


def sign_in(installation: Installation) -> None:
    words = ["--url", installation.url, "-u", "admin", "--password", PASSWORD]
    done = installation.run("kpl", "login", *words)
    assert done.returncode == 0, done.stderr


def state(installation: Installation, task: int) -> str:
    return str(installation.kpl("task", "show", str(task))["state"])
