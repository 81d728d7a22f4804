"""The ledger: what was promised is held until the engine says that it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kpl_lab.engines.fake import FakeEngine, Script, Stage
from kpl_lab.engines.spec import Capacity, Handle, Workload
from kpl_lab.errors import EngineError
from tests.platform.running import WAITS, Site, User, until

STUBBORN = Script(run_seconds=None, is_stubborn=True)


async def gpus_in_use(alice: User) -> float:
    return float((await alice.get("capacity"))["gpu"]["used"])


async def service_of(alice: User, **body: Any) -> int:
    made = await alice.deploy(**body)
    await alice.until(f"services/{made['id']}", "running")
    return int(made["id"])


async def test_a_stopping_service_holds_its_gpus_until_it_has_ended(site: Site) -> None:
    site.engine.script = STUBBORN
    alice = site.user()
    service = await service_of(alice, resources={"gpu": 2})
    await alice.http.patch(f"services/{service}", json={"running": False})
    task = await alice.submit(resources={"gpu": 1})
    waiting = (await alice.get(f"tasks/{task['id']}"))["queue"]
    assert waiting == {"ahead": 0, "waiting_for": "waiting for 1 GPU (0 free)"}
    await site.engine.finish(f"service-{service}-1")
    await alice.until(f"tasks/{task['id']}", "running")


@pytest.mark.parametrize(("wish", "left"), [({"replicas": 1}, 1.0), ({"running": False}, 0.0)])
async def test_replicas_that_shall_end_are_counted_until_they_have(
    site: Site, wish: dict[str, Any], left: float
) -> None:
    alice = site.user()
    service = await service_of(alice, replicas=2, resources={"gpu": 1})
    await site.kill()
    await alice.http.patch(f"services/{service}", json=wish)
    assert await gpus_in_use(alice) == 2
    site.start()

    async def are_free() -> bool:
        return await gpus_in_use(alice) == left

    await until(are_free)


async def test_a_deleted_service_holds_its_gpus_until_nothing_of_it_runs(site: Site) -> None:
    alice = site.user()
    service = await service_of(alice, resources={"gpu": 2})
    await site.kill()
    await alice.http.delete(f"services/{service}")
    assert await gpus_in_use(alice) == 2
    site.start()

    async def are_free() -> bool:
        return await gpus_in_use(alice) == 0

    await until(are_free)


async def test_a_service_that_is_started_while_it_stops_is_not_refused_for_itself(
    site: Site,
) -> None:
    site.engine.script = STUBBORN
    alice = site.user()
    service = await service_of(alice, resources={"gpu": 2})
    await alice.http.patch(f"services/{service}", json={"running": False})
    again = await alice.http.patch(f"services/{service}", json={"running": True})
    assert again.status_code == 200, again.text
    await alice.until(f"services/{service}", "running")


async def test_a_service_that_fails_as_it_is_scaled_up_ends_and_holds_nothing(site: Site) -> None:
    alice = site.user()
    service = await service_of(alice, resources={"gpu": 1})
    site.engine.fail_at.add(Stage.START)
    await alice.http.patch(f"services/{service}", json={"replicas": 2})
    await alice.until(f"services/{service}", "failed")

    async def are_free() -> bool:
        return await gpus_in_use(alice) == 0

    await until(are_free)


async def test_what_asks_for_no_gpu_does_not_wait_for_those_that_went_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    await service_of(alice, resources={"gpu": 2})
    smaller = Capacity(cpu=8.0, memory_mb=16384, gpu=1)
    monkeypatch.setattr(site.engine, "_capacity", smaller)
    done = await alice.ended(await alice.submit(resources={"gpu": 0}))
    assert done["state"] == "succeeded"


def without_room(monkeypatch: pytest.MonkeyPatch, times: int, total: int = 2) -> list[str]:
    """Let the engine have no GPU for its next starts; return the names that were refused."""
    real = FakeEngine.run
    refused: list[str] = []

    async def run(self: FakeEngine, workload: Workload) -> AsyncIterator[Handle]:
        async for handle in real(self, workload):
            yield handle
            if len(refused) < times:
                refused.append(workload.name)
                facts = {"asked": 1, "free": 0, "total": total}
                raise EngineError("It asks for 1 GPU.", code="no_gpu", detail=facts)

    monkeypatch.setattr(FakeEngine, "run", run)
    return refused


async def test_a_task_for_which_the_engine_has_no_gpu_goes_on_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.engine.script = WAITS
    refused = without_room(monkeypatch, 2)
    alice = site.user()
    task = await alice.submit(resources={"gpu": 1})
    await alice.until(f"tasks/{task['id']}", "running")
    assert refused == [f"task-{task['id']}-1"] * 2
    events = (await alice.get(f"tasks/{task['id']}/events"))["items"]
    states = [e["data"]["state"] for e in reversed(events) if e["kind"] == "state"]
    assert states == ["preparing", "queued"] * 2 + ["preparing", "running"]


async def test_a_service_for_which_the_engine_has_no_gpu_goes_on_deploying(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = without_room(monkeypatch, 1)
    alice = site.user()
    service = await service_of(alice, resources={"gpu": 1})
    assert refused == [f"service-{service}-1"]


async def test_what_the_engine_can_never_start_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_room(monkeypatch, 1, total=0)
    alice = site.user()
    done = await alice.ended(await alice.submit(resources={"gpu": 1}))
    assert (done["state"], done["reason"]) == ("failed", "start_failed")


async def test_what_could_not_be_started_leaves_nothing_in_the_engine(site: Site) -> None:
    site.engine.fail_at.add(Stage.START)
    alice = site.user()
    task = await alice.ended(await alice.submit())
    service = await alice.deploy()
    await alice.until(f"services/{service['id']}", "failed")
    assert task["reason"] == "start_failed"
    await until(lambda: not site.engine.workloads)
