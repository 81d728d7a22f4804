"""Memory that runs out in a real notebook server costs a kernel, not the server."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from kpl_lab.engines.spec import ReplicaState
from tests.engines.harness import LocalBench, is_state, see
from tests.engines.notebooks import NAME, Notebooks, notebook_server, until_true

pytestmark = pytest.mark.slow
EAT = "held = [bytes(range(256)) * (8 << 12) for _ in iter(int, 1)]"
SHARES = "import os; held = os.urandom(100 << 20)"


async def test_the_kernel_that_eats_the_memory_ends_and_its_notebook_is_named(
    bench: LocalBench,
) -> None:
    notebooks = await Notebooks.open(bench, notebook_server())
    await notebooks.start_kernel("quiet.ipynb")
    hungry = await notebooks.start_kernel("digits.ipynb")
    before = {one["path"] for one in (await notebooks.usage())["kernels"]}
    assert before == {"quiet.ipynb", "digits.ipynb"}

    await notebooks.execute(hungry, EAT, wait=False)
    usage: dict[str, Any] = {}

    async def has_told() -> bool:
        usage.update(await notebooks.usage())
        return bool(usage["ended"])

    await until_true(has_told, 40)
    assert [(one["number"], one["path"]) for one in usage["ended"]] == [(1, "digits.ipynb")]
    # The server and the other kernel have not noticed; the hungry one is there anew.
    found = await see(bench.engine, NAME, is_state(ReplicaState.READY))
    assert found.replicas[0].restarts == 0
    assert found.replicas[0].detail["oom_kills"] >= 1
    await notebooks.execute(hungry, "assert 'held' not in globals()")
    assert {one["path"] for one in (await notebooks.usage())["kernels"]} == before


async def test_use_is_told_by_the_whole_and_by_kernel(bench: LocalBench) -> None:
    notebooks = await Notebooks.open(bench, notebook_server())
    small = await notebooks.start_kernel("small.ipynb")
    large = await notebooks.start_kernel("large.ipynb")
    await notebooks.usage()
    await notebooks.execute(large, SHARES)
    await notebooks.execute(
        small,
        "import time\nuntil = time.process_time() + 0.5\nwhile time.process_time() < until: 0",
    )
    usage = await notebooks.usage()
    assert (usage["cpu_limit"], usage["memory_limit"]) == (2, 512)
    assert [one["path"] for one in usage["kernels"]] == ["large.ipynb", "small.ipynb"]
    first, second = (one["memory"] for one in usage["kernels"])
    assert first - second >= 90
    assert first + second < usage["memory"] < 512
    assert usage["cpu"] > 0
    assert usage["processes"] == 3
    assert usage["gpus"] == []
    assert usage["disk_free"] > 0
    assert usage["ended"] == []


async def test_a_program_in_a_terminal_ends_before_the_server(root_bench: LocalBench) -> None:
    bench = root_bench
    notebooks = await Notebooks.open(bench, notebook_server())
    terminal = (await notebooks.call("POST", "api/terminals")).json()["name"]
    await notebooks.type(terminal, "cat /proc/self/oom_score_adj > score\r")

    async def is_told() -> bool:
        score = bench.home / "local/homes/alice/score"
        return score.is_file() and score.read_text().strip() == "500"

    await until_true(is_told, 30)
    await notebooks.type(terminal, f"{sys.executable} -c '{EAT}'\r")

    async def has_told() -> bool:
        return bool((await notebooks.usage())["ended"])

    await until_true(has_told, 60)
    assert [one["path"] for one in (await notebooks.usage())["ended"]] == [None]
    await see(bench.engine, NAME, is_state(ReplicaState.READY))
