"""Programs that really fail on the local engine: the dictionary tells each by its cause."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kpl_lab.engines.spec import Replica
from kpl_lab.platform.domain.faults import explain
from tests.engines.harness import (
    LocalBench,
    end_of,
    limits,
    local_bench,
    possible_modes,
    start,
    task,
    text_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
DATA = Path(__file__).parents[1] / "data" / "faults"
CASES: list[dict[str, Any]] = yaml.safe_load((DATA / "provoked.yml").read_text("utf-8"))
MODE = possible_modes()[0]
AT_A_TIME = 4
MAKE_WHEEL = f"cat >wheel.py <<'END'\n{(DATA / 'wheel.py').read_text()}END\n"


@dataclass(frozen=True)
class End:
    """How a line ended, and what it printed."""

    replica: Replica
    log: str


def lacking(case: dict[str, Any]) -> str | None:
    """Return why a line cannot be run here, or None."""
    missing = [name for name in case.get("needs", ()) if shutil.which(name) is None]
    if missing:
        return f"there is no {missing[0]}"
    return "needs root" if case.get("only_root") and MODE != "root" else None


def line_of(case: dict[str, Any]) -> str:
    """Return a line, with a folder of its own to write to."""
    line = str(case["line"])
    if "{wheel}" in line:
        line = MAKE_WHEEL + line.replace("{wheel}", "python wheel.py")
    return f'cd "$(mktemp -d)"\n{line}'


async def run_all(folder: Path) -> dict[int, End]:
    """Run every line that can be run, a few at a time."""
    turns = asyncio.Semaphore(AT_A_TIME)

    async def run(bench: LocalBench, number: int) -> tuple[int, End]:
        name = f"fault-{number}"
        workload = task(name, line_of(CASES[number]), limits=limits(memory_mb=1024))
        async with turns:
            handle = await start(bench.engine, workload)
            replica = await end_of(bench.engine, name)
            return number, End(replica, await text_of(bench.engine, handle))

    async with local_bench(folder, MODE) as bench:
        numbers = [number for number, case in enumerate(CASES) if lacking(case) is None]
        return dict(await asyncio.gather(*(run(bench, number) for number in numbers)))


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[int, End]:
    """Give the ends of all lines; one engine runs them."""
    return asyncio.run(run_all(tmp_path_factory.mktemp("faults")))


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=[f"{n}-{case['code']}" for n, case in enumerate(CASES)]
)
def test_a_real_failure_is_told_by_its_cause(ends: dict[int, End], number: int) -> None:
    case = CASES[number]
    if number not in ends:
        pytest.skip(str(lacking(case)))
    end = ends[number]
    replica = end.replica
    found = explain(replica.cause, replica.exit_code, replica.detail, end.log)
    assert found.reason == case["code"], (replica, end.log[-2000:])
    for word in case.get("words", ()):
        assert word in found.message


@pytest.mark.parametrize(
    ("code", "program"), [("entry_missing", "nosuch"), ("entry_not_executable", "/etc/passwd")]
)
async def test_a_command_that_cannot_run_is_told_by_its_cause(
    tmp_path: Path, code: str, program: str
) -> None:
    async with local_bench(tmp_path, MODE) as bench:
        handle = await start(bench.engine, replace(task("t", ""), command=(program,)))
        end = await end_of(bench.engine, "t")
        log = await text_of(bench.engine, handle)
        found = explain(end.cause, end.exit_code, end.detail, log)
    assert found.reason == code, (end, log)
    assert repr(program) in found.message
