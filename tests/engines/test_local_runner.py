"""The runner answers every call, also one that fails as nobody has foreseen."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab import settings as settings_module
from kpl_lab.engines.local import machine
from kpl_lab.engines.local.engine import LocalEngine
from kpl_lab.engines.local.runner import Runner
from kpl_lab.engines.spec import Handle
from kpl_lab.errors import EngineError, Unavailable
from kpl_lab.telemetry.catalog import REGISTRY
from tests.engines.harness import until


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[LocalEngine]:
    """Give an engine whose runner lives in this process."""
    found = settings_module.load({"KPL_HOME": str(tmp_path)})
    serving = asyncio.create_task(Runner(found).serve())
    await until(found.home.runner_socket.exists)
    yield LocalEngine(found.home, patience_seconds=5)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def test_calls_are_counted_and_the_runner_tells_what_it_counts(engine: LocalEngine) -> None:
    def counted(result: str) -> float:
        labels = {"call": "mount", "result": result}
        return REGISTRY.get_sample_value("kpl_lab_engine_calls_total", labels) or 0.0

    before = counted("error")
    handle = Handle(engine="local", name="no-such-server")
    with pytest.raises(EngineError):
        await engine.mount(handle, Path("/nowhere"), "m")
    assert counted("error") == before + 1
    assert "\nkpl_lab_process_resident_memory_bytes " in await engine.telemetry()


async def test_a_runner_that_is_away_is_not_waited_for_by_scrapers(tmp_path: Path) -> None:
    home = settings_module.load({"KPL_HOME": str(tmp_path)}).home
    with pytest.raises(Unavailable):
        async with asyncio.timeout(1):
            await LocalEngine(home, patience_seconds=60).telemetry()


async def test_an_unforeseen_failure_is_an_answer_and_stands_in_the_log(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = []

    def fail(gpus: int) -> None:
        calls.append(gpus)
        raise RecursionError("maximum recursion depth exceeded")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
        patch.setattr(machine, "capacity", fail)
        with pytest.raises(EngineError, match="maximum recursion depth") as refused:
            await engine.capacity()
    assert (refused.value.code, len(calls)) == ("runner_failed", 1)
    assert any(record.exc_info for record in caplog.records)
    assert (await engine.capacity()).cpu > 0
