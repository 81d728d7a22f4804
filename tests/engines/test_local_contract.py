"""The local engine keeps the contract: as root, without its rights, and as an ordinary user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.contract import EngineContract
from tests.engines.harness import LocalBench, local_bench, possible_modes


@pytest.fixture(params=possible_modes())
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[LocalBench]:
    """Give a local engine in each situation."""
    async with local_bench(tmp_path, request.param) as found:
        yield found


class TestLocalEngine(EngineContract):
    """The shared suite."""
