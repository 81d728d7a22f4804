"""What every engine must do: one suite, run against the fake and the local engine."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json

import pytest

from kpl_lab.engines.spec import Cause, Handle, Kind, Observation, Recipe, ReplicaState
from kpl_lab.errors import EngineError
from tests.engines.harness import Bench, behaving, end_of, is_state, limits, see, start, text_of


class ImageContract:
    """What engines must do that keep themselves what they have made; ``bench`` is a fixture."""

    async def test_an_image_is_removed_once_nothing_runs_in_it(self, bench: Bench) -> None:
        recipe = Recipe(
            digest="d1", workspace="w", base=bench.recipe().base, runs=("echo building",),
            limits=limits(memory_mb=512),
        )  # fmt: skip
        handles = [h async for h in bench.engine.build("build-1", recipe)]
        await end_of(bench.engine, "build-1")
        await bench.engine.delete(handles[-1])
        image = await bench.engine.find_image("d1")
        assert image is not None
        running = await start(
            bench.engine, dataclasses.replace(behaving("t", "sleeps"), image=image)
        )
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        assert not await bench.engine.remove_image(image)
        assert await bench.engine.find_image("d1") == image
        await bench.engine.delete(running)
        assert await bench.engine.remove_image(image)
        assert await bench.engine.find_image("d1") is None
        assert await bench.engine.remove_image(image), "it may be asked for again"


class EngineContract:
    """Subclasses give a ``bench`` fixture."""

    async def test_a_task_that_succeeds_ends_with_exit_code_zero(self, bench: Bench) -> None:
        await start(bench.engine, behaving("t", "succeeds"))
        end = await end_of(bench.engine, "t")
        assert (end.exit_code, end.cause) == (0, Cause.EXIT)
        assert end.started_at is not None
        assert end.ended_at is not None
        assert end.started_at <= end.ended_at

    async def test_a_task_that_fails_ends_with_its_own_exit_code(self, bench: Bench) -> None:
        await start(bench.engine, behaving("t", "fails"))
        end = await end_of(bench.engine, "t")
        assert (end.exit_code, end.cause) == (3, Cause.EXIT)

    async def test_a_handle_comes_before_the_start_and_survives_json(self, bench: Bench) -> None:
        handles = [h async for h in bench.engine.run(behaving("t", "succeeds"))]
        assert len(handles) >= 2
        for handle in handles:
            again = Handle(**json.loads(json.dumps(dataclasses.asdict(handle))))
            assert again == handle
        assert {h.name for h in handles} == {"t"}

    async def test_running_a_name_again_adopts_what_runs(self, bench: Bench) -> None:
        workload = behaving("t", "sleeps")
        await start(bench.engine, workload)
        first = await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await start(bench.engine, workload)
        second = await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        assert first.replicas[0].started_at == second.replicas[0].started_at

    async def test_running_an_ended_task_again_does_not_run_it_twice(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "succeeds"))
        first = await end_of(bench.engine, "t")
        await start(bench.engine, behaving("t", "succeeds"))
        assert await end_of(bench.engine, "t") == first
        assert await text_of(bench.engine, handle) == "hello\n"

    async def test_watch_begins_with_what_exists_and_says_when_it_is_through(
        self, bench: Bench
    ) -> None:
        await start(bench.engine, behaving("a", "sleeps"))
        await start(bench.engine, behaving("b", "sleeps"))
        seen: list[Observation] = []
        async with asyncio.timeout(20):
            async with contextlib.aclosing(bench.engine.watch()) as stream:  # type: ignore[type-var]
                async for one in stream:
                    seen.append(one)
                    if not one.name:
                        break
        assert {one.name for one in seen} == {"a", "b", ""}
        assert seen[0].labels["owner"] == "alice"

    async def test_an_image_tells_what_is_in_it(self, bench: Bench) -> None:
        base = bench.recipe().base
        found = await bench.engine.inspect_image(base)
        assert found.packages["python"].startswith("3.")
        assert await bench.engine.inspect_image(base) == found

    async def test_stop_ends_it_as_stopped_and_is_harmless_afterwards(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "sleeps"))
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await bench.engine.stop(handle)
        assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED
        await bench.engine.stop(handle)
        assert (await end_of(bench.engine, "t")).cause is Cause.STOPPED

    async def test_what_ignores_the_polite_stop_is_killed_after_the_grace(
        self, bench: Bench
    ) -> None:
        handle = await start(bench.engine, behaving("t", "is-stubborn"))
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await wait_for_text(bench, handle, "up\n")
        await bench.engine.stop(handle, grace_seconds=0.3)
        end = await end_of(bench.engine, "t")
        assert (end.cause, end.exit_code) == (Cause.STOPPED, -9)

    async def test_delete_leaves_no_trace_and_can_be_repeated(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "sleeps"))
        await bench.engine.delete(handle)
        await bench.engine.delete(handle)
        names = set()
        async with contextlib.aclosing(bench.engine.watch()) as stream:  # type: ignore[type-var]
            async for one in stream:
                names.add(one.name)
                if not one.name:
                    break
        assert names == {""}
        assert await text_of(bench.engine, handle, follow=True) == ""
        assert await bench.engine.usage(handle) is None

    async def test_a_watcher_is_told_when_a_workload_is_gone(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "sleeps"))
        async with asyncio.timeout(20):
            async with contextlib.aclosing(bench.engine.watch()) as stream:  # type: ignore[type-var]
                async for one in stream:
                    if not one.name:  # from here on the watcher is told what changes
                        await bench.engine.delete(handle)
                    if one.gone:
                        assert one.name == "t"
                        return

    async def test_a_log_can_be_read_from_any_offset_and_followed_to_its_end(
        self, bench: Bench
    ) -> None:
        handle = await start(bench.engine, behaving("t", "succeeds"))
        assert await text_of(bench.engine, handle, follow=True) == "hello\n"
        chunks = [c async for c in bench.engine.logs(handle, offset=2)]
        assert [(c.offset, c.data) for c in chunks] == [(2, b"llo\n")]

    async def test_outputs_are_collected_as_often_as_needed(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "writes", outputs=("save",)))
        await end_of(bench.engine, "t")
        for target in (bench.store / "incoming" / "1", bench.store / "incoming" / "2"):
            for _ in range(2):
                assert await bench.engine.collect(handle, "save", target) == 8
                assert (target / "model.bin").read_bytes() == b"weights"
                assert (target / "sub" / "a").read_bytes() == b"a"

    async def test_a_service_has_an_address_per_replica_and_scales(self, bench: Bench) -> None:
        workload = behaving("s", "serves", kind=Kind.SERVICE, identity="service:1")

        def are_ready(count: int) -> object:
            return lambda one: (
                [r.index for r in one.replicas] == list(range(count))
                and all(r.state is ReplicaState.READY for r in one.replicas)
            )

        addresses = set()
        for count in (2, 3, 1):
            await start(bench.engine, dataclasses.replace(workload, replicas=count))
            found = await see(bench.engine, "s", are_ready(count))  # type: ignore[arg-type]
            addresses |= {r.address for r in found.replicas}
        assert len(addresses) == 3

    async def test_use_is_known_while_it_runs(self, bench: Bench) -> None:
        handle = await start(bench.engine, behaving("t", "sleeps"))
        await see(bench.engine, "t", is_state(ReplicaState.RUNNING))
        await wait_for_text(bench, handle, "up\n")
        usage = await bench.engine.usage(handle)
        assert usage is not None
        assert usage.processes >= 1
        capacity = await bench.engine.capacity()
        assert capacity.cpu >= 1
        assert capacity.memory_mb >= usage.memory_mb

    async def test_a_build_is_a_workload_whose_end_makes_an_image(self, bench: Bench) -> None:
        recipe = Recipe(
            digest="d1", workspace="w", base=bench.recipe().base, runs=("echo building",),
            limits=limits(memory_mb=512),
        )  # fmt: skip
        assert await bench.engine.find_image("d1") is None
        assert [h async for h in bench.engine.build("build-1", recipe)]
        end = await end_of(bench.engine, "build-1")
        assert (end.exit_code, end.cause) == (0, Cause.EXIT)
        assert await bench.engine.find_image("d1")
        assert await bench.engine.find_image("d2") is None

    async def test_what_is_not_there_cannot_be_collected_but_stopped(self, bench: Bench) -> None:
        nobody = Handle(engine=bench.engine.name, name="nobody")
        await bench.engine.stop(nobody)
        await bench.engine.unmount(nobody, "x")
        assert await bench.engine.usage(nobody) is None
        with pytest.raises(EngineError):
            await bench.engine.collect(nobody, "save", bench.store / "x")


async def wait_for_text(bench: Bench, handle: Handle, text: str) -> None:
    """Wait until a log begins with ``text``."""
    async with asyncio.timeout(20):
        async with contextlib.aclosing(bench.engine.logs(handle, follow=True)) as stream:  # type: ignore[type-var]
            seen = b""
            async for chunk in stream:
                seen += chunk.data
                if text.encode() in seen:
                    return
    raise AssertionError(f"{text!r} was never printed: {seen!r}")
