"""The controller: killed anywhere, cut off from the engine, cleaning up what nobody knows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.engines.spec import Capacity, Handle, Kind, Limits, Observation, Workload
from kpl_lab.errors import Unavailable
from kpl_lab.platform.runtime.wishes import wishes
from tests.platform.running import BUILT, CODE, FINAL, WAITS, Site, User, until


def counting(site: Site) -> dict[str, int]:
    """Count how often each task's command really begins."""
    begun: dict[str, int] = {}

    def script(workload: Workload) -> Script:
        begun[workload.name] = begun.get(workload.name, 0) + 1
        return Script(run_seconds=0.03, log=b"said\n", outputs={"save": {"m": b"weights"}})

    site.engine.script = script
    return begun


async def all_ended(alice: User, ids: list[int]) -> bool:
    states = [(await alice.get(f"tasks/{id}"))["state"] for id in ids]
    return all(state in FINAL for state in states)


@pytest.mark.parametrize("seed", range(6))
async def test_killed_at_random_moments_it_loses_nothing_and_runs_nothing_twice(
    site: Site, seed: int
) -> None:
    chance = random.Random(seed)
    begun = counting(site)
    site.engine.delay_seconds = 0.01
    alice = site.user()
    code = {**CODE, "environment.yml": BUILT} if seed % 2 else CODE
    ids = [(await alice.submit(code))["id"] for _ in range(4)]
    for _ in range(15):
        await asyncio.sleep(chance.uniform(0.0, 0.12))
        await site.restart()
    await until(lambda: all_ended(alice, ids))
    for id in ids:
        task = await alice.get(f"tasks/{id}")
        assert (task["state"], task["reason"]) == ("succeeded", None), task["message"]
        assert (await alice.get(f"tasks/{id}/log"))["text"] == "said\n"
    # A workload that was lost while being made may be made again; one that ran may not.
    assert {n: c for n, c in begun.items() if n.startswith("task-")} == {
        f"task-{id}-1": 1 for id in ids
    }
    versions = (await alice.get("models/digits"))["versions"]
    assert sorted(v["number"] for v in versions) == [1, 2, 3, 4]
    assert {v["state"] for v in versions} == {"ready"}
    await until(lambda: not site.engine.workloads)


@pytest.mark.parametrize("step", ["_note_end", "keep_log", "collect", "finish", "end", "forget"])
async def test_killed_at_each_step_of_an_end_it_goes_on_from_there(
    site: Site, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Each step is done, and the controller dies right after it."""
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()
    from kpl_lab.platform.domain import models, tasks
    from kpl_lab.platform.runtime.reconcilers.tasks import TaskReconciler
    from kpl_lab.platform.runtime.world import World

    owners = {
        "_note_end": TaskReconciler,
        "keep_log": World,
        "collect": FakeEngine,
        "finish": models,
        "end": tasks,
        "forget": World,
    }
    names = {"finish": "finish_version", "end": "end_as_noted"}
    name = names.get(step, step)
    real = getattr(owners[step], name)

    async def then_hang(*given: object, **named: object) -> object:
        found = await real(*given, **named)
        if not reached.is_set():
            reached.set()
            await asyncio.Event().wait()
        return found

    def then_tell(*given: object, **named: object) -> object:
        found = real(*given, **named)
        loop.call_soon_threadsafe(reached.set)
        return found

    is_async = asyncio.iscoroutinefunction(real)
    monkeypatch.setattr(owners[step], name, then_hang if is_async else then_tell)
    begun = counting(site)
    alice = site.user()
    task = await alice.submit()
    await asyncio.wait_for(reached.wait(), 30)
    await site.kill()
    monkeypatch.undo()
    site.start()
    done = await alice.ended(task)
    assert done["state"] == "succeeded"
    assert done["outputs"][0]["version"] == 1
    assert len((await alice.get("models/digits"))["versions"]) == 1
    assert (await alice.get(f"tasks/{task['id']}/log"))["text"] == "said\n"
    assert begun == {f"task-{task['id']}-1": 1}
    await until(lambda: not site.engine.workloads)


class Cable:
    """The way to an engine, which can be cut: calls and the watch then say ``Unavailable``.

    ``knows_room``: what there is is known all the same, as where it was asked for a moment before.
    """

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_cut, self.knows_room = False, False
        self._waiting = asyncio.Event()
        engine = site.engine
        real_run, real_watch = engine.run, engine.watch
        real_delete, real_logs, real_capacity = engine.delete, engine.logs, engine.capacity

        async def run(workload: Workload) -> AsyncIterator[Handle]:
            self.check()
            async for handle in real_run(workload):
                yield handle

        async def watch() -> AsyncIterator[Observation]:
            self.check()
            self._waiting.clear()
            stream = real_watch()
            try:
                while True:
                    seen = asyncio.ensure_future(anext(stream))
                    cut = asyncio.ensure_future(self._waiting.wait())
                    await asyncio.wait({seen, cut}, return_when=asyncio.FIRST_COMPLETED)
                    cut.cancel()
                    self.check()
                    yield seen.result()
            finally:
                seen.cancel()
                await asyncio.gather(seen, return_exceptions=True)

        async def delete(handle: Handle) -> None:
            self.check()
            await real_delete(handle)

        def logs(*given: object, **named: object) -> object:
            self.check()
            return real_logs(*given, **named)  # type: ignore[arg-type]  # passed on

        async def capacity() -> Capacity:
            if not self.knows_room:
                self.check()
            return await real_capacity()

        for one in (run, watch, delete, logs, capacity):
            monkeypatch.setattr(engine, one.__name__, one)

    def check(self) -> None:
        if self.is_cut:
            raise Unavailable("The runner does not answer.")

    def cut(self, *, knows_room: bool = False) -> None:
        self.is_cut, self.knows_room = True, knows_room
        self._waiting.set()

    def mend(self) -> None:
        self.is_cut = False


async def test_an_engine_that_is_away_fails_no_task_and_is_found_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.kill()
    cable = Cable(site, monkeypatch)
    begun = counting(site)
    alice = site.user()
    cable.cut(knows_room=True)
    site.start()
    task = await alice.submit()
    path = f"tasks/{task['id']}"
    await alice.until(path, "preparing")
    await asyncio.sleep(0.3)
    waiting = await alice.get(path)
    assert (waiting["state"], waiting["message"]) == ("preparing", "The runner does not answer.")
    told = [
        one for one in (await alice.get(f"{path}/events"))["items"] if one["level"] == "warning"
    ]
    assert [one["message"] for one in told] == ["The runner does not answer."]
    cable.mend()
    done = await alice.ended(task)
    assert (done["state"], done["message"]) == ("succeeded", None)
    assert begun == {f"task-{task['id']}-1": 1}


async def test_what_ends_while_the_engine_is_away_is_learnt_afterwards(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.kill()
    cable = Cable(site, monkeypatch)
    site.engine.script = Script(run_seconds=None, outputs={"save": {"m": b"1"}})
    site.start()
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    cable.cut()
    await site.engine.finish(f"task-{task['id']}-1")
    await asyncio.sleep(0.3)
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "running"
    cable.mend()
    assert (await alice.ended(task))["state"] == "succeeded"


async def test_a_task_that_the_machine_lost_fails_and_says_so(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    await site.kill()
    await site.engine.forget(f"task-{task['id']}-1")
    site.start()
    done = await alice.ended(task)
    assert (done["state"], done["reason"]) == ("failed", "gone")
    assert done["message"].startswith("Nothing of it was found any more where it ran")
    assert "machine was restarted" in done["message"]


async def test_a_task_that_was_asked_to_stop_and_got_lost_is_stopped(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    await site.kill()
    await alice.post(f"tasks/{task['id']}/stop")
    await site.engine.forget(f"task-{task['id']}-1")
    site.start()
    assert (await alice.ended(task))["state"] == "stopped"


def stray(instance: str, resource: str = "tasks", id: str = "4711") -> Workload:
    return Workload(
        name=f"{resource}-{id}-{instance}",
        kind=Kind.SERVICE,
        labels={"instance": instance, "owner": "x", "resource": resource, "id": id},
        image="",
        command=("sleep", "1"),
        identity="x",
        limits=Limits(cpu=1, memory_mb=64),
    )


async def test_workloads_of_ours_that_no_row_knows_are_removed(site: Site) -> None:
    await site.kill()
    kinds = [stray("test", r) for r in ("tasks", "services", "servers", "builds")]
    other = stray("another-installation")
    for workload in (*kinds, other):
        async for _ in site.engine.run(workload):
            pass
    site.start()
    await until(lambda: set(site.engine.workloads) == {other.name})


async def test_a_running_build_is_no_orphan(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    await alice.submit({**CODE, "environment.yml": BUILT})
    await until(lambda: "build-1" in site.engine.workloads)
    made = site.workload("build-1")
    await asyncio.sleep(0.5)  # several rounds of looking for orphans
    assert site.workload("build-1") is made


async def test_a_database_that_is_away_for_a_while_ends_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = counting(site)
    alice = site.user()
    real = site.context.database.store
    failures = iter(range(12))

    def sometimes(**named: bool) -> object:
        if next(failures, None) is not None:
            raise Unavailable("The database does not answer at the moment.")
        return real(**named)

    task = await alice.submit()
    monkeypatch.setattr(site.context.database, "store", sometimes)
    await until(lambda: next(failures, None) is None)
    assert (await alice.ended(task))["state"] == "succeeded"
    assert begun == {f"task-{task['id']}-1": 1}


async def test_of_what_runs_well_nothing_is_looked_at_again(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    ids = [(await alice.submit(CODE))["id"] for _ in range(3)]
    names = [f"task-{id}-1" for id in ids]

    async def all_run() -> bool:
        return all([(await alice.get(f"tasks/{id}"))["state"] == "running" for id in ids])

    await until(all_run)
    world = site.controller.world

    def looked_at() -> set[int]:
        with site.context.database.store() as store:
            return {key.id for key in wishes(world, store) if key.resource == "tasks"}

    assert looked_at() == set()
    del world.seen[names[0]]  # lost
    assert looked_at() == {ids[0]}


async def test_what_tasks_hold_is_summed_up_by_their_owners(site: Site) -> None:
    site.engine.script = WAITS
    for name in ("alice", "bob", "bob"):
        await site.user(name).submit(CODE)

    def held() -> dict[str, tuple[float, float]]:
        with site.context.database.store() as store:
            tasks = store.tasks.holding()
            found = {one.owner: (one.cpu, float(one.memory)) for one in store.tasks.held()}
            assert sum(cpu for cpu, _ in found.values()) == sum(t.cpu * t.nodes for t in tasks)
            return found

    await until(lambda: len(site.engine.workloads) == 3)
    found = held()
    assert set(found) == {"alice", "bob"}
    assert found["bob"] == (2 * found["alice"][0], 2 * found["alice"][1])
