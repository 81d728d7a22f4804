"""Which queued task starts when, and what a waiting one is told."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Capacity
from tests.platform.running import BUILT, CODE, WAITS, Site, User, until

FAST = Script()


async def states(alice: User, *tasks: Any) -> list[str]:
    return [(await alice.get(f"tasks/{t['id']}"))["state"] for t in tasks]


async def settled(site: Site) -> None:
    """Wait until the controller has looked at everything twice with nothing left to do."""
    for _ in range(2):
        site.controller._nudged.set()
        await until(lambda: not site.controller._nudged.is_set())
        await site.controller.queue.settled()


async def test_what_does_not_fit_waits_and_says_for_what(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(resources={"gpu": 1})
    third = await alice.submit(resources={"gpu": 1})
    await settled(site)
    found = [(await alice.get(f"tasks/{t['id']}"))["queue"] for t in (second, third)]
    assert found[0] == {"ahead": 0, "waiting_for": "waiting for 1 GPU (0 free)"}
    assert found[1] == {"ahead": 1, "waiting_for": "waiting for 1 GPU (0 free); 1 ahead of you"}
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{third['id']}", "running")
    assert (await alice.get(f"tasks/{third['id']}"))["queue"] is None


async def test_a_task_that_can_never_fit_any_more_fails_and_holds_nobody_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has become smaller since it was submitted."""
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    large, small = [await alice.submit(resources={"gpu": gpus}) for gpus in (2, 1)]
    await settled(site)
    smaller = Capacity(cpu=8.0, memory_mb=16384, gpu=1)
    monkeypatch.setattr(site.engine, "_capacity", smaller)
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{small['id']}", "running")
    done = await alice.ended(large)
    assert (done["state"], done["reason"]) == ("failed", "never_fits")
    assert "It asks for 2 GPUs, and the machine has only 1 GPU in all" in done["message"]
    assert "with less" in done["remedy"]["action"]


async def test_priority_comes_before_age(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    old = await alice.submit(resources={"gpu": 2})
    urgent = await alice.submit(resources={"gpu": 2}, priority=5)
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{urgent['id']}", "running")
    await settled(site)
    assert await states(alice, old) == ["queued"]


async def test_a_large_task_is_not_starved_by_small_ones_that_came_later(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"memory": 9000})
    await alice.until(f"tasks/{first['id']}", "running")
    large = await alice.submit(resources={"memory": 16000})
    small = [await alice.submit(resources={"memory": 512}) for _ in range(3)]
    await settled(site)
    assert await states(alice, large, *small) == ["queued"] * 4
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{large['id']}", "running")
    await settled(site)
    assert await states(alice, *small) == ["queued"] * 3


async def waiting_server(site: Site, **resources: Any) -> int:
    """Return a notebook server that has asked to start and for which there is no room."""
    hub = site.internal()
    limits = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64, **resources}
    body = {"user": "bob", "name": "", "image": "base", "resources": limits}
    id = int((await hub.post("internal/servers", body))["id"])
    await hub.post(f"internal/servers/{id}/start", {"command": ["x"], "environment": {}})
    found = await hub.get(f"internal/servers/{id}")
    assert (found["state"], found["reason"]) == ("pending", "waiting")
    return id


async def test_a_waiting_server_is_not_starved_by_tasks_that_need_less(site: Site) -> None:
    site.engine.script = WAITS
    alice, hub = site.user(), site.internal()
    running = [await alice.submit(resources={"gpu": 1}) for _ in range(2)]
    for task in running:
        await alice.until(f"tasks/{task['id']}", "running")
    server = await waiting_server(site, gpu=2)
    small = await alice.submit(resources={"gpu": 1})
    # One GPU becomes free: too little for the server, enough for the task that came later.
    await alice.post(f"tasks/{running[0]['id']}/stop")
    await alice.until(f"tasks/{running[0]['id']}", "stopped")
    await settled(site)
    assert (await alice.get(f"tasks/{small['id']}"))["queue"] == {
        "ahead": 0,
        "waiting_for": "waiting behind a notebook server that needs GPUs",
    }
    without = await alice.submit(resources={"gpu": 0})
    await alice.until(f"tasks/{without['id']}", "running")
    await alice.post(f"tasks/{running[1]['id']}/stop")
    await hub.until(f"internal/servers/{server}", "running")
    assert await states(alice, small) == ["queued"]
    await hub.http.post(f"internal/servers/{server}/stop")
    await alice.until(f"tasks/{small['id']}", "running")


async def test_a_build_waits_behind_a_server_that_waits_for_memory(site: Site) -> None:
    site.engine.script = WAITS
    alice, hub = site.user(), site.internal()
    first = await alice.submit(resources={"memory": 9000})
    await alice.until(f"tasks/{first['id']}", "running")
    server = await waiting_server(site, memory=9000)
    task = await alice.submit({**CODE, "environment.yml": BUILT})
    await settled(site)
    waits = (await alice.get(f"tasks/{task['id']}"))["queue"]["waiting_for"]
    assert "waiting behind a notebook server that needs memory" in waits
    await alice.post(f"tasks/{first['id']}/stop")
    await hub.until(f"internal/servers/{server}", "running")
    await until(lambda: any(name.startswith("build-") for name in site.engine.workloads))


async def test_no_more_runs_at_once_than_there_is(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    sent = [await alice.submit(resources={"gpu": 1}) for _ in range(6)]
    for _ in range(3):

        async def are_two_running() -> bool:
            return (await states(alice, *sent)).count("running") == 2

        await until(are_two_running)
        await settled(site)
        assert await are_two_running()
        pair = list(site.engine.workloads)
        assert len(pair) == 2
        for name in pair:
            await site.engine.finish(name)

        def are_gone(pair: list[str] = pair) -> bool:
            return not set(pair) & set(site.engine.workloads)

        await until(are_gone)
    assert await states(alice, *sent) == ["succeeded"] * 6


async def test_what_is_promised_and_what_waits_is_shown(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2, "memory": 1000, "cpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    await alice.submit(resources={"gpu": 1})
    found = await alice.get("capacity")
    assert found["gpu"] == {"limit": 2.0, "used": 2.0}
    assert found["memory"]["used"] == 1000
    assert found["cpu"]["used"] == 2
    assert found["cpu"]["limit"] == found["cores"] * site.context.options.cpu_overcommit
    assert (found["running_tasks"], found["queued_tasks"]) == (1, 1)


async def test_room_that_becomes_free_is_used_at_once(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(resources={"gpu": 2})
    await site.engine.finish(f"task-{first['id']}-1")
    await alice.until(f"tasks/{second['id']}", "running")
