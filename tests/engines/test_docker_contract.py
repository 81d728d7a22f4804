"""The Docker engine keeps the contract, on a real daemon."""

from __future__ import annotations

import pytest

from tests.engines.contract import EngineContract
from tests.engines.docker_harness import DockerBench

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def bench(docker: DockerBench) -> DockerBench:
    """Give the engine of the suite."""
    return docker


class TestDockerEngine(EngineContract):
    """The shared suite."""
