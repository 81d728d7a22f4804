"""The life of a task under any order of events: requests, the engine's, deaths of the controller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.engines.spec import Cause
from kpl_lab.errors import KplError
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, tasks
from kpl_lab.platform.domain.code import store_code
from kpl_lab.platform.runtime.reconcilers.outputs import OutputReconciler
from kpl_lab.platform.runtime.reconcilers.tasks import TaskReconciler, TaskScheduler, workload_name
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.schemas.tasks import TaskUpdate
from tests.platform.conftest import tar_of
from tests.platform.running import CODE

ALIVE = ("draft", "queued", "preparing", "running", "stopping")
STEPS = (
    "start", "stop", "look", "keep", "schedule", "succeed", "fail", "lose", "die", "see", "delete"
)  # fmt: skip


def test_every_state_leads_on_or_is_the_end() -> None:
    assert set(tasks.TRANSITIONS) == {*ALIVE, *tasks.FINAL}
    for state, targets in tasks.TRANSITIONS.items():
        assert set(targets) <= set(tasks.TRANSITIONS)
        assert bool(targets) is (state in ALIVE)
    reached = {"draft"}
    for _ in tasks.TRANSITIONS:
        reached |= {t for state in reached for t in tasks.TRANSITIONS[state]}
    assert reached == set(tasks.TRANSITIONS)
    for state in ALIVE:
        assert "stopped" in tasks.TRANSITIONS[state], "everything that lives can be ended"


class Life:
    """One task and all that can happen to it, in single steps."""

    def __init__(self, context: Context, id: int) -> None:
        assert isinstance(context.engine, FakeEngine)
        self.context = context
        self.engine = context.engine
        self.id = id
        self.states = [self.task.state] if self.task else []
        self.runs = 0
        self.engine.script = self._script
        self.is_deleted = False
        self._be_born()

    def _script(self, _workload: object) -> Script:
        self.runs += 1
        return Script(run_seconds=None)

    def _be_born(self) -> None:
        """Begin as a controller that knows nothing yet."""
        self.world = World(self.context)
        self.reconciler = TaskReconciler(self.world)
        self.keeper = OutputReconciler(self.world)
        self.scheduler = TaskScheduler(self.world)

    @property
    def task(self) -> TaskRecord | None:
        with self.context.database.store(reads_only=True) as store:
            return store.tasks.get(self.id)

    async def step(self, name: str) -> None:
        actions: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
            "look": lambda: self.reconciler.reconcile(self.id),
            "keep": lambda: self.keeper.reconcile(self.id),
            "schedule": lambda: self.scheduler.reconcile(0),
            "see": self.see,
            "succeed": lambda: self.end(0),
            "fail": lambda: self.end(1),
            "lose": self.lose,
        }
        if name == "die":
            self._be_born()
        elif name in actions:
            await actions[name]()
        else:
            self.ask(name)
        self.check()

    def ask(self, name: str) -> None:
        """Do what the API does for a user; what is refused changes nothing."""
        task = self.task
        if task is None:
            return
        try:
            with self.context.database.store() as store:
                if name == "start":
                    tasks.update(store, task, TaskUpdate(start=True))
                elif name == "stop":
                    tasks.stop(store, task)
                else:
                    tasks.delete(store, self.context, task)
                    self.is_deleted = True
        except KplError:
            assert self.task == task

    async def see(self) -> None:
        """Learn everything that the engine knows now."""
        await asyncio.sleep(0.001)  # lets the engine play what is due
        self.world.seen.clear()
        async for seen in self.engine.watch():
            if not seen.name:
                break
            self.world.seen[seen.name] = seen
        self.world.is_synced = True

    async def end(self, exit_code: int) -> None:
        for name in list(self.engine.workloads):
            await self.engine.finish(name, exit_code=exit_code, cause=Cause.EXIT)

    async def lose(self) -> None:
        """Let the engine forget it; a machine without a memory may be asked to run it again."""
        for name in list(self.engine.workloads):
            await self.engine.forget(name)
        self.runs = 0

    def check(self) -> None:
        """Compare what is with what may never be."""
        assert self.runs <= 1, "it ran twice"
        task = self.task
        if task is None:
            assert self.is_deleted
            assert not self.engine.workloads, "something of it is left"
            return
        before = self.states[-1]
        if task.state != before:
            assert task.state in tasks.TRANSITIONS[before], (before, task.state)
            self.states.append(task.state)
        assert (task.finished_at is not None) is (task.state in tasks.FINAL)
        if task.state == "failed":
            assert task.reason
            assert task.message
        if task.stop_reason is not None:
            assert task.reason != "lost", "what was to stop has stopped"
        assert set(self.engine.workloads) <= {workload_name(task)}

    async def settle(self) -> None:
        """Let everything that is pending happen."""
        for _ in range(6):
            for name in ("see", "schedule", "look", "keep"):
                await self.step(name)


def make(context: Context, packed: Path) -> int:
    """Keep a draft, as a request leaves it, and return its id."""
    code = store_code(context.files, context.options, packed)
    resources = {"cpu": 1.0, "memory": 256, "gpu": 0, "shm": 64}
    empty: dict[str, Any] = dict.fromkeys(
        ("reason", "message", "algorithm", "algorithm_id", "build_id", "handle", "stop_reason",
         "time_limit_seconds", "progress", "progress_at", "started_at", "finished_at", "exit_code",
         "ending")
    )  # fmt: skip
    with context.database.store() as store:
        made = store.tasks.add(
            **empty,
            **resources,
            name="t",
            owner="alice",
            workspace_id=access.workspace_id(store, "default"),
            visibility="private",
            state="draft",
            created_at=store.now(),
            updated_at=store.now(),
            description="",
            code_name="digits",
            code_digest=code.digest,
            parameters={},
            environment={},
            inputs=[],
            image="",
            function="train",
            labels={},
            outputs=[{"key": "save", "kind": "model", "name": "digits"}],
            save_as=[],
            priority=0,
            desired="run",
            attempt=1,
            notices=[],
            scalars={},
            curves=[],
        )
    return made.id


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "code.tar"
    path.write_bytes(tar_of(CODE))
    return path


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=25))
@example(steps=["start", "schedule", "look", "see", "stop", "lose", "die", "see", "look"])
@example(steps=["start", "schedule", "look", "stop", "look", "see", "succeed", "see", "look"])
@example(steps=["start", "schedule", "look", "die", "look", "see", "look", "fail", "die", "see"])
@example(steps=["delete", "stop", "start", "schedule", "look"])
def test_no_order_of_events_runs_it_twice_or_leaves_its_states(
    context: Context, packed: Path, steps: list[str]
) -> None:
    async def scenario() -> None:
        life = Life(context, make(context, packed))
        for name in steps:
            await life.step(name)
        await life.settle()
        task = life.task
        if life.is_deleted:
            assert task is None
        elif task is not None and (task.desired == "stop" or task.state in tasks.FINAL):
            assert task.state in tasks.FINAL
            assert not life.engine.workloads
        await life.lose()
        await life.settle()
        life.ask("delete")
        await life.settle()
        assert life.task is None
        await life.engine.close()

    asyncio.run(scenario())
