"""GPUs on the local engine: a stand-in for ``nvidia-smi`` says that the machine has some."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.spec import Kind, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.harness import (
    LocalBench,
    behaving,
    end_of,
    is_state,
    limits,
    local_bench,
    possible_modes,
    see,
    start,
    task,
    text_of,
)

TELLS = 'echo "$CUDA_DEVICE_ORDER [$CUDA_VISIBLE_DEVICES]"'
READY, RUNNING = is_state(ReplicaState.READY), is_state(ReplicaState.RUNNING)
ONE = limits(gpu=1)


# One of them is cut into parts.
TWO = """\
echo "GPU 0: NVIDIA H200 (UUID: GPU-1a)"
echo "GPU 1: NVIDIA H200 (UUID: GPU-2b)"
echo "  MIG 1g.18gb     Device  0: (UUID: MIG-3c)"
"""


def does(program: Path, script: str) -> None:
    """Let ``nvidia-smi`` do this."""
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the stand-in, first of its name; it lists two."""
    found = tmp_path / "bin" / "nvidia-smi"
    found.parent.mkdir(mode=0o755)
    does(found, TWO)
    monkeypatch.setenv("PATH", f"{found.parent}:{os.environ['PATH']}")
    return found


@pytest.fixture(params=possible_modes())
async def bench(
    request: pytest.FixtureRequest, tmp_path: Path, program: Path
) -> AsyncIterator[LocalBench]:
    """Give a local engine in each situation, on a machine of two GPUs."""
    del program
    async with local_bench(tmp_path, request.param) as found:
        yield found


def gpus_of(bench: LocalBench, name: str) -> list[int]:
    """Return what a workload's one replica was given."""
    return Plan.read(bench.replica_folder(name)).ceilings.gpus


async def test_each_sees_what_it_was_given_and_nobody_gets_what_another_has(
    bench: LocalBench,
) -> None:
    first = await start(bench.engine, task("a", f"{TELLS}; sleep 600", limits=ONE))
    second = await start(bench.engine, task("b", TELLS + "; sleep 600", limits=ONE))
    without = await start(bench.engine, task("c", TELLS))
    await end_of(bench.engine, "c")
    for name in ("a", "b"):
        await see(bench.engine, name, RUNNING)
    with pytest.raises(EngineError) as refused:
        await start(bench.engine, task("d", "true", limits=ONE))
    assert refused.value.code == "no_gpu"
    assert "with 0 of 2 free" in refused.value.message
    await bench.engine.stop(first)
    await bench.engine.stop(second)
    for name in ("a", "b"):
        await end_of(bench.engine, name)
    told = [await text_of(bench.engine, one) for one in (first, second, without)]
    # Numbers mean the same to CUDA as to nvidia-smi, which counts them, only in the bus's order.
    assert told == ["PCI_BUS_ID [0]\n", "PCI_BUS_ID [1]\n", "PCI_BUS_ID []\n"]
    third = await start(bench.engine, task("e", TELLS, limits=limits(gpu=2)))
    await end_of(bench.engine, "e")
    assert await text_of(bench.engine, third) == "PCI_BUS_ID [0,1]\n"


async def test_a_service_with_gpus_returns_when_its_supervisor_is_killed(
    bench: LocalBench,
) -> None:
    # It has all that there are, its neighbour's one and its own: none is free but what it had.
    await start(bench.engine, task("t", "sleep 600", limits=ONE))
    service = behaving(
        "s", "serves", kind=Kind.SERVICE, identity="service:1", limits=ONE,
        start_timeout_seconds=30.0,
    )  # fmt: skip
    await start(bench.engine, service)
    await see(bench.engine, "s", READY)
    assert (gpus_of(bench, "t"), gpus_of(bench, "s")) == ([0], [1])
    status = Status.read(bench.replica_folder("s"))
    assert status is not None
    assert status.shim is not None
    os.kill(status.shim.pid, signal.SIGKILL)
    await see(bench.engine, "s", lambda one: READY(one) and one.replicas[0].restarts == 1)
    assert gpus_of(bench, "s") == [1]


async def test_what_there_is_is_what_is_handed_out_though_nvidia_smi_fails_later(
    bench: LocalBench, program: Path
) -> None:
    assert (await bench.engine.capacity()).gpu == 2
    does(program, "exit 9")
    # A queue that was told of none would give up every task that waits for one.
    assert (await bench.engine.capacity()).gpu == 2
    await start(bench.engine, task("t", "true", limits=limits(gpu=2)))
    await end_of(bench.engine, "t")
