"""What every engine with a runner must do beyond the contract of all: ends, outputs, its death."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from kpl_lab.engines.spec import Cause, Kind, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.contract import EngineContract
from tests.engines.harness import (
    RunnerBench,
    end_of,
    is_state,
    limits,
    see,
    start,
    task,
    text_of,
    until,
)

RUNNING = is_state(ReplicaState.RUNNING)
HOSTILE = (
    'cd "$OUT/save"; ln -s /etc/passwd link; ln -s / rootlink; mkfifo pipe; mkdir -p "d d/é";'
    'echo ok >"d d/é/good 文"; ln "d d/é/good 文" hard; chmod 000 hard; mkdir closed;'
    "echo x >closed/in; chmod 000 closed; python -c 'import socket;"
    's=socket.socket(socket.AF_UNIX);s.bind("sock")\'; chmod 4755 "d d/é/good 文"; ls -la'
)
# Each tells the other its number, over a connection between them.
MEET = """
import os, socket, sys, time
hosts, first, me = sys.argv[1].split(","), int(sys.argv[2]), int(sys.argv[3])
if me == 0:
    door = socket.create_server(("", first))
    line = door.accept()[0]
else:
    for _ in range(600):
        try:
            line = socket.create_connection((hosts[0], first))
            break
        except OSError:
            time.sleep(0.1)
line.sendall(str(me).encode())
print(me, "met", line.recv(1).decode())
for name in ("mine-%s" % me, "both"):
    with open(os.path.join(os.environ["OUT"], "save", name), "w") as file:
        file.write(str(me))
"""


class RunnerContract(EngineContract):
    """Subclasses give a ``bench`` fixture with a real runner."""

    async def test_a_time_limit_ends_it(self, bench: RunnerBench) -> None:
        await start(bench.engine, task("t", "sleep 600", time_limit_seconds=1))
        end = await end_of(bench.engine, "t")
        assert end.cause is Cause.TIME_LIMIT
        assert end.detail["limit_seconds"] == 1

    async def test_a_program_that_is_not_there_is_named(self, bench: RunnerBench) -> None:
        await start(bench.engine, replace(task("t", ""), command=("no-such-program",)))
        end = await end_of(bench.engine, "t")
        assert end.cause is Cause.START_FAILED
        assert "no-such-program" in str(end.detail["error"])

    async def test_a_crash_names_its_signal(self, bench: RunnerBench) -> None:
        await start(bench.engine, task("t", "kill -SEGV $$"))
        end = await end_of(bench.engine, "t")
        assert (end.cause, end.exit_code) == (Cause.SIGNAL, -signal.SIGSEGV)
        assert end.detail["signal"] == "SIGSEGV"

    async def test_replicas_of_a_task_find_each_other_and_end_together(
        self, bench: RunnerBench
    ) -> None:
        line = f"python -c '{MEET}' $HOSTS $FIRST $ME"
        workload = replace(
            task("t", line, replicas=2, outputs=("save",)),
            environment={
                "HOSTS": "{{hosts}}", "FIRST": "{{meeting}}", "ME": "{{replica}}",
                "OUT": "{{outputs}}",
            },
            meeting_ports=2,
        )  # fmt: skip
        handle = await start(bench.engine, workload)
        for index in range(2):
            end = await end_of(bench.engine, "t", index)
            log = await text_of(bench.engine, handle, replica=index)
            assert (end.exit_code, log) == (0, f"{index} met {1 - index}\n")
        target = bench.store / "incoming" / "1"
        await bench.engine.collect(handle, "save", target)
        assert {one.name: one.read_text() for one in target.iterdir()} == {
            "mine-0": "0", "mine-1": "1", "both": "0",
        }  # fmt: skip

    async def test_one_failed_replica_of_a_task_ends_the_others(self, bench: RunnerBench) -> None:
        line = "[ $ME = 0 ] && exec sleep 600; exit 7"
        workload = replace(
            task("t", line, replicas=2), environment={"ME": "{{replica}}"}, meeting_ports=1
        )
        await start(bench.engine, workload)
        for index in range(2):
            end = await end_of(bench.engine, "t", index)
            assert (end.cause, end.exit_code, end.detail["replica"]) == (Cause.EXIT, 7, 1)

    async def test_a_runner_that_is_killed_loses_nothing(self, bench: RunnerBench) -> None:
        handle = await start(bench.engine, task("a", "echo up; sleep 600"))
        # It ends when it is told to: by a clock it might have ended before it was seen to run.
        line = "until [ -e go ]; do sleep 0.05; done; echo late; exit 5"
        await start(bench.engine, task("b", line))
        before = await see(bench.engine, "a", RUNNING)
        await see(bench.engine, "b", RUNNING)
        bench.kill()
        bench.touch("b", "go")
        await until(lambda: bench.has_ended("b"))
        bench.launch()
        end = await end_of(bench.engine, "b")
        assert (end.exit_code, end.cause) == (5, Cause.EXIT)
        after = await see(bench.engine, "a", RUNNING)
        assert after.replicas[0].started_at == before.replicas[0].started_at
        await bench.engine.stop(handle)
        assert (await end_of(bench.engine, "a")).cause is Cause.STOPPED

    async def test_outputs_of_a_hostile_task_are_plain_files_only(self, bench: RunnerBench) -> None:
        handle = await start(bench.engine, task("t", HOSTILE, outputs=("save",)))
        await end_of(bench.engine, "t")
        target = bench.store / "incoming" / "x"
        assert await bench.engine.collect(handle, "save", target) == 8
        found = sorted(str(path.relative_to(target)) for path in target.rglob("*"))
        assert found == ["closed", "closed/in", "d d", "d d/é", "d d/é/good 文", "hard"]
        facts = [path.stat() for path in target.rglob("*")]
        assert all(one.st_mode & 0o7000 == 0 for one in facts)
        (owner,) = {one.st_uid for one in facts}
        assert owner != 0

    async def test_a_file_whose_name_is_no_text_is_collected(self, bench: RunnerBench) -> None:
        line = r"""touch "$OUT/save/$(printf '\377').bin" """
        handle = await start(bench.engine, task("t", line, outputs=("save",)))
        assert (await end_of(bench.engine, "t")).exit_code == 0
        target = bench.store / "incoming" / "x"
        await bench.engine.collect(handle, "save", target)
        assert os.listdir(os.fsencode(target)) == [b"\xff.bin"]  # noqa: PTH208 (names as bytes)

    async def test_nothing_outside_the_store_is_read_or_written(self, bench: RunnerBench) -> None:
        secret = bench.home / "secrets"
        secret.mkdir()
        with pytest.raises(EngineError) as refused:
            await start(bench.engine, task("t", "true", code=str(secret)))
        assert refused.value.code == "outside_store"
        with pytest.raises(EngineError):
            await start(bench.engine, task("../t", "true"))
        handle = await start(bench.engine, task("t2", "true", outputs=("save",)))
        await end_of(bench.engine, "t2")
        with pytest.raises(EngineError) as refused:
            await bench.engine.collect(handle, "save", secret / "x")
        assert refused.value.code == "outside_store"

    async def test_gpus_that_are_not_there_are_refused(self, bench: RunnerBench) -> None:
        if (await bench.engine.capacity()).gpu:
            pytest.skip("this machine has GPUs")
        with pytest.raises(EngineError) as refused:
            await start(bench.engine, task("t", "true", limits=limits(gpu=1)))
        assert refused.value.code == "no_gpu"
        assert (await bench.runner.facts())["gpus"] == 0
        assert task("x", "true").kind is Kind.TASK
