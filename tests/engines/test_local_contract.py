"""The local engine keeps the contract: as root, without its rights, and as an ordinary user."""

from __future__ import annotations

from tests.engines.contract import EngineContract


class TestLocalEngine(EngineContract):
    """The shared suite."""
