"""The Docker engine keeps the contract, on a real daemon."""

from __future__ import annotations

import pytest

from tests.engines.contract import ImageContract
from tests.engines.docker_harness import DockerBench
from tests.engines.runner_contract import RunnerContract

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


@pytest.fixture
def bench(docker: DockerBench) -> DockerBench:
    """Give the engine of the suite."""
    return docker


class TestDockerEngine(RunnerContract, ImageContract):
    """The shared suite."""
