"""A runner that ends between any two of its steps, or finds its folder empty: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.spec import Cause, Handle, ReplicaState, Workload
from tests.engines.harness import end_of, is_state, see, task, text_of
from tests.engines.kubernetes.benches import NS, Doubled, doubled, server, service, until

TASK = task("w", "work")
SERVICE = service("w", replicas=1)
SERVER = server("w")
# The requests that a workload is made with: verb, kind, and which of them in turn.
MAKING = [
    *((TASK, *step) for step in (
        ("get", "Job", 1), ("patch", "Secret", 1), ("patch", "Job", 1), ("patch", "Secret", 2),
    )),
    *((SERVICE, *step) for step in (
        ("get", "Deployment", 1), ("patch", "Secret", 1), ("patch", "Service", 1),
        ("patch", "Deployment", 1), ("patch", "Secret", 2), ("patch", "Service", 2),
    )),
    *((SERVER, *step) for step in (
        ("patch", "PersistentVolumeClaim", 1), ("patch", "Secret", 1), ("patch", "Pod", 1),
        ("patch", "Secret", 2),
    )),
]  # fmt: skip
REMOVING = [
    (TASK, "delete", "Job"), (TASK, "deletecollection", "Pod"), (TASK, "list", "Secret"),
    (TASK, "list", "Service"),
    (SERVICE, "delete", "Deployment"), (SERVICE, "deletecollection", "Pod"),
    (SERVICE, "list", "Secret"), (SERVICE, "list", "Service"),
    (SERVER, "delete", "Pod"), (SERVER, "list", "Secret"), (SERVER, "list", "Service"),
]  # fmt: skip
HANDLE = Handle(engine="kubernetes", name="w")


class Halt:
    """Lets requests of a kind pass until the one of a number, which waits for ever."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.reached = asyncio.Event()

    async def wait(self) -> None:
        """Wait as a request does that comes in."""
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def crashing(bench: Doubled, verb: str, kind: str, number: int = 1) -> AsyncIterator[None]:
    """Let the runner end when it makes a request, and start it again at the end of the block."""
    halt: Any = Halt(number)
    bench.server.faults.held[verb, kind] = halt
    async with asyncio.timeout(20):
        yield
        await halt.reached.wait()
    await bench.crash()
    del bench.server.faults.held[verb, kind]
    bench.start()


def told_ids(found: tuple[Any, ...]) -> str:
    """Name a step."""
    workload, *step = found
    return "-".join([workload.kind.value, *map(str, step)])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path) as found:
        yield found


async def live(bench: Doubled, workload: Workload) -> None:
    """Let a workload run, see that it is there once, and delete it twice."""
    await bench.running("w")
    state = ReplicaState.RUNNING if workload.port is None else ReplicaState.READY
    await see(bench.engine, "w", is_state(ReplicaState.READY if workload.home else state))
    owner = {"task": "Job", "service": "Deployment", "server": "Pod"}[workload.kind.value]
    assert len(bench.objects(owner)) == len(bench.objects("Pod")) == 1
    (secret,) = bench.server.store.all("Secret", NS)
    (reference,) = secret["metadata"]["ownerReferences"]
    assert reference["kind"] == owner
    for _ in range(2):
        await bench.engine.delete(HANDLE)
        assert bench.objects() == []
    assert not list((bench.folder_of_runner / "workloads").iterdir())


@pytest.mark.parametrize("step", MAKING, ids=told_ids)
async def test_a_start_that_was_cut_off_is_finished(bench: Doubled, step: Any) -> None:
    workload, verb, kind, number = step
    async with crashing(bench, verb, kind, number):
        run = asyncio.create_task(bench.run(workload))
    await run  # the platform repeats the call
    await live(bench, workload)


@pytest.mark.parametrize("step", MAKING[::2], ids=told_ids)
async def test_a_start_that_was_cut_off_is_deleted(bench: Doubled, step: Any) -> None:
    workload, verb, kind, number = step
    async with crashing(bench, verb, kind, number):
        run = asyncio.create_task(bench.run(workload))
    run.cancel()
    await bench.engine.delete(HANDLE)
    assert bench.objects() == []


@pytest.mark.parametrize("step", REMOVING, ids=told_ids)
async def test_an_end_that_was_cut_off_is_finished(bench: Doubled, step: Any) -> None:
    workload, verb, kind = step
    await bench.run(workload)
    await bench.running("w")
    await see(bench.engine, "w", lambda one: one.replicas[0].started_at is not None)
    async with crashing(bench, verb, kind):
        delete = asyncio.create_task(bench.engine.delete(HANDLE))
    await delete
    assert bench.objects() == []
    assert not list((bench.folder_of_runner / "workloads").iterdir())


async def test_a_task_goes_on_while_the_runner_is_away(bench: Doubled) -> None:
    handle = await bench.run(TASK)
    pod = await bench.running("w")
    await see(bench.engine, "w", is_state(ReplicaState.RUNNING))
    bench.says(pod, "one\n")
    await until(lambda: (bench.log_of("w")).read_text() == "one\n")
    await bench.crash()
    bench.says(pod, "two\n")
    bench.start()
    bench.says(pod, "three\n")
    bench.ends(pod, 4)
    assert (await end_of(bench.engine, "w")).exit_code == 4
    assert await text_of(bench.engine, handle) == "one\ntwo\nthree\n"


async def test_a_stop_is_remembered(bench: Doubled) -> None:
    handle = await bench.run(TASK)
    pod = await bench.running("w")
    await see(bench.engine, "w", is_state(ReplicaState.RUNNING))
    await bench.engine.stop(handle, grace_seconds=3)
    await bench.restart()
    async with bench.agent("w", pod) as agent:
        assert (await agent.ordered("stop"))["grace"] == 3
        await agent.say(Phase.SENT)
        bench.ends(pod, 143)
        assert (await end_of(bench.engine, "w")).cause is Cause.STOPPED


@pytest.mark.parametrize("workload", [TASK, SERVICE, SERVER], ids=["task", "service", "server"])
async def test_an_empty_folder_is_filled_from_the_cluster(
    bench: Doubled, workload: Workload
) -> None:
    await bench.run(workload)
    await bench.running("w")
    await see(bench.engine, "w", lambda one: one.replicas[0].started_at is not None)
    await bench.crash()
    shutil.rmtree(bench.folder_of_runner / "workloads")
    bench.start()
    found = await see(bench.engine, "w", lambda one: one.replicas[0].started_at is not None)
    assert found.labels == workload.labels
    await bench.run(workload)
    assert len(bench.objects("Pod")) == 1
    await bench.engine.delete(HANDLE)
    assert bench.objects() == []


async def test_what_only_the_cluster_knows_can_be_deleted_at_once(bench: Doubled) -> None:
    await bench.run(TASK)
    await bench.crash()
    shutil.rmtree(bench.folder_of_runner / "workloads")
    bench.start()
    await bench.engine.delete(HANDLE)
    assert bench.objects() == []


async def test_a_name_of_64_letters_is_known_again(bench: Doubled) -> None:
    name = "t" * 64
    await bench.run(task(name, "work"))
    await bench.running(name)
    await see(bench.engine, name, is_state(ReplicaState.RUNNING))
    await bench.restart()
    bench.ends(bench.pods(name)[0], 5)
    assert (await end_of(bench.engine, name)).exit_code == 5


async def test_objects_that_tell_of_no_workload_are_left_alone(bench: Doubled) -> None:
    await bench.crash()
    labels = {names.INSTALLATION: bench.settings.instance, names.WORKLOAD: "x"}
    for name, text in (("other", "{}"), ("kpl-x", "no json"), ("bare", None)):
        annotations = {} if text is None else {names.SPEC: text}
        metadata = {"name": name, "namespace": NS, "labels": labels, "annotations": annotations}
        spec = {"containers": [{"name": "main", "image": "x"}]}
        bench.server.store.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        )
    bench.start()
    await bench.run(TASK)
    await bench.running("w")
    await see(bench.engine, "w", is_state(ReplicaState.RUNNING))
    assert [path.name for path in (bench.folder_of_runner / "workloads").iterdir()] == ["w"]
    assert len(bench.objects("Pod")) == 4


async def test_an_object_that_somebody_deleted_is_said_to_be_lost(
    bench: Doubled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.life._BIRTH_SECONDS", 0.2)
    await bench.run(TASK)
    await bench.running("w")
    await see(bench.engine, "w", is_state(ReplicaState.RUNNING))
    await bench.crash()
    bench.server.store.delete(("Job", NS, bench.object_name("w")))
    await until(lambda: not bench.objects("Pod", "Job"))
    bench.start()
    end = await end_of(bench.engine, "w")
    assert end.cause is Cause.LOST
    assert "deleted by somebody" in end.detail["error"]
