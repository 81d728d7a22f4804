"""Fixtures of the engine tests.

``bench``       a local engine in every situation that this machine allows (see ``harness``)
``root_bench``  a local engine with all rights of root; skipped where we are not root
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engines.harness import LocalBench, local_bench, possible_modes


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
