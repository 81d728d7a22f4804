"""The local engine keeps the contract: as root, without its rights, and as an ordinary user."""

from __future__ import annotations

from tests.engines.contract import ImageContract
from tests.engines.runner_contract import RunnerContract


class TestLocalEngine(RunnerContract, ImageContract):
    """The shared suite."""
