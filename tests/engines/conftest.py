"""Fixtures of the engine tests.

``bench``       a local engine in every situation that this machine allows (see ``harness``)
``root_bench``  a local engine with all rights of root; skipped where we are not root
``own_daemon``  a Docker daemon that may be restarted
``docker``      a Docker engine on ``daemon`` of ``tests/conftest.py``
``platform``    an HTTP server in the platform's place, not yet open
``relay``       a relay before ``platform``
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engines.docker_harness import (
    DockerBench,
    TestDaemon,
    docker_bench,
    private_daemon,
)
from tests.engines.harness import LocalBench, local_bench, possible_modes
from tests.engines.relaying import Platform, RelayProcess


@pytest.fixture(params=possible_modes())
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalBench]:
    """Give a local engine in each situation."""
    async with local_bench(tmp_path, request.param) as found:
        yield found


@pytest.fixture
async def root_bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """Give a local engine with namespaces and cgroups."""
    if "root" not in possible_modes():
        pytest.skip("needs root with CAP_SYS_ADMIN")
    async with local_bench(tmp_path, "root") as found:
        yield found


@pytest.fixture(scope="session")
def own_daemon(daemon: TestDaemon) -> Iterator[TestDaemon]:
    """Give a Docker daemon that is ours."""
    if daemon.folder is not None:
        yield daemon
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        pytest.skip("the Docker daemon here is not ours to restart, and there is no other")
    # Its rules of the firewall would replace those of the daemon that runs.
    with private_daemon("--iptables=false") as found:
        yield found


@pytest.fixture
async def docker(daemon: TestDaemon, tmp_path: Path) -> AsyncIterator[DockerBench]:
    """Give a Docker engine."""
    async with docker_bench(tmp_path, daemon) as found:
        yield found


@pytest.fixture
def platform() -> Iterator[Platform]:
    """Give the platform of a relay."""
    made = Platform()
    yield made
    made.shut()


@pytest.fixture
def relay(tmp_path: Path, platform: Platform) -> Iterator[RelayProcess]:
    """Give a relay."""
    made = RelayProcess(tmp_path, platform)
    yield made
    made.process.kill()
    made.process.wait()
