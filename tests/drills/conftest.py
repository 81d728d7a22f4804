"""Drills: parts of one real installation are killed at random moments; nothing may be lost.

The order and the moments come from a seed that is printed; ``KPL_DRILL_SEED`` repeats them.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator

import pytest

from tests.drills.lab import Lab
from tests.installation import running_installation

SEED = os.environ.get("KPL_DRILL_SEED") or secrets.token_hex(4)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to repeat what was drawn by lot."""
    terminalreporter.write_line(f"drills: KPL_DRILL_SEED={SEED}")


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The lots of one drill: the same whichever other drills run."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The installation that all drills share."""
    with running_installation("kpl-drill-") as installation:
        yield Lab(installation)
