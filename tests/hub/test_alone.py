"""``jupyterhub -f jupyterhub_config.py``: everything without ``kpl-lab up``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.installation import ROOT, Installation, free_port, processes_of, wait_for
from tests.places import passable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_a_hub_by_itself_brings_platform_and_front_door_and_takes_them_along(
    tmp_path: Path,
) -> None:
    found = Installation(passable(tmp_path) / "h", free_port())
    # The caller has called our program by its path: nothing else of ours is on PATH.
    variables = {**found.environment, "PATH": "/usr/bin:/bin"}
    command = [str(Path(sys.executable).parent / "jupyterhub"), "-f", "jupyterhub_config.py"]
    log = tmp_path / "hub.log"
    with log.open("wb") as said:
        hub = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=said, stderr=said, start_new_session=True
        )
    try:

        def is_up(path: str) -> bool:
            assert hub.poll() is None, log.read_text()[-3000:]
            try:
                return httpx.get(f"{found.url}{path}", trust_env=False).status_code == 200
            except httpx.HTTPError:
                return False

        wait_for(lambda: is_up("/hub/login"), "the hub")
        wait_for(lambda: is_up("/kpl/api/v1/version"), "the platform")
    finally:
        os.killpg(hub.pid, signal.SIGTERM)
        hub.wait(60)
    wait_for(lambda: not processes_of(found.home), "everything to end", 30)
