"""The Kubernetes engine keeps the contract: the shared suite on the double of an API server.

The commands of pods run on this machine (``players``); on a real cluster the same suite is
``tests/kubernetes/test_contract.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.harness import Bench
from tests.engines.kubernetes.benches import doubled
from tests.engines.kubernetes.players import Played
from tests.engines.runner_contract import RunnerContract


class TestKubernetesEngine(RunnerContract):
    """The shared suite."""

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Played]:
        """Give a runner whose pods' commands run."""
        async with doubled(tmp_path, make=Played) as found:
            assert isinstance(found, Played)
            async with found.playing(tmp_path / "pods"):
                yield found

    async def test_an_image_tells_what_is_in_it(self, bench: Bench) -> None:
        """Left out: what is in an image is read from a registry, and here is none."""
        pytest.skip("there is no registry here; tests/kubernetes reads an image of a real one")

    async def test_a_build_is_a_workload_whose_end_makes_an_image(self, bench: Bench) -> None:
        """Left out: a build ends with an image in a registry, which the builder's image makes."""
        pytest.skip(
            "there is no registry and no builder here; tests/kubernetes builds on a cluster"
        )
