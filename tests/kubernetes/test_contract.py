"""The Kubernetes engine keeps the contract, on a real cluster."""

from __future__ import annotations

import pytest

from tests.engines import harness
from tests.engines.harness import Bench
from tests.engines.runner_contract import RunnerContract
from tests.kubernetes.harness import BUILDER_IMAGE, IMAGE, REGISTRY

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


class TestKubernetesEngine(RunnerContract):
    """The shared suite."""

    @pytest.fixture(autouse=True)
    def longer(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give a build the time that a pod takes to pull what the image stands on."""
        if "a_build_is" in request.node.name:
            monkeypatch.setattr(harness, "PATIENCE_SECONDS", 200.0)

    async def test_an_image_tells_what_is_in_it(self, bench: Bench) -> None:
        """Of the image that is on the nodes: what is in the registry need not be there."""
        found = await bench.engine.inspect_image(IMAGE)
        assert found.packages["python"].startswith("3.")
        assert await bench.engine.inspect_image(IMAGE) == found

    async def test_a_build_is_a_workload_whose_end_makes_an_image(self, bench: Bench) -> None:
        """Left out by name where nothing says with what and whereto images are built."""
        if not REGISTRY or not BUILDER_IMAGE:
            pytest.skip("KPL_REGISTRY and KPL_BUILDER_IMAGE name no registry and no builder")
        await super().test_a_build_is_a_workload_whose_end_makes_an_image(bench)
