"""The fake engine keeps the contract, and fails where it is told to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.fake import FakeEngine, Script, Stage
from kpl_lab.engines.spec import Handle, Workload
from kpl_lab.errors import EngineError
from tests.engines.contract import EngineContract, ImageContract
from tests.engines.harness import BEHAVIOURS, Bench, behaving, start


def script_of(workload: Workload) -> Script:
    """Return what the fake plays for a workload of the suite."""
    return BEHAVIOURS[workload.labels.get("behaviour", "succeeds")][0]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give a fake engine."""
    found = Bench(FakeEngine(script_of), tmp_path)
    yield found
    await found.engine.close()


class TestFakeEngine(EngineContract, ImageContract):
    """The shared suite."""


@pytest.mark.parametrize("stage", [Stage.CREATE, Stage.START])
async def test_it_fails_at_the_stage_it_is_told_to(stage: Stage) -> None:
    engine = FakeEngine(fail_at={stage})
    with pytest.raises(EngineError, match=stage.value):
        await start(engine, behaving("t", "succeeds"))
    # Failing late leaves something behind to be cleaned up.
    assert ("t" in engine.workloads) is (stage is Stage.START)
    await engine.delete(Handle(engine="fake", name="t"))
    assert not engine.workloads
