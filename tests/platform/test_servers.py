"""Notebook servers, the datasets in their file trees, and the way down."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.fake import Script, Stage
from kpl_lab.engines.spec import Cause
from kpl_lab.platform.domain import housekeeping, shutdown
from kpl_lab.platform.runtime.world import World
from tests.platform.conftest import tar_of
from tests.platform.running import WAITS, Site, User, until

LAUNCH = {"command": ["jupyterhub-singleuser"], "environment": {"JUPYTERHUB_API_TOKEN": "t"}}
RESOURCES = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64}


async def create(site: Site, **body: Any) -> int:
    wanted = {"user": "alice", "name": "", "image": "base", "resources": RESOURCES, **body}
    made = await site.internal().post("internal/servers", wanted)
    return int(made["id"])


async def started(site: Site, **body: Any) -> int:
    """Return a server that runs."""
    id = await create(site, **body)
    await site.internal().post(f"internal/servers/{id}/start", LAUNCH)
    await site.internal().until(f"internal/servers/{id}", "running")
    return id


async def dataset(user: User, name: str = "fruit") -> Any:
    content = tar_of({"a.txt": b"a"})
    await user.post("datasets", {"name": name, "upload": await user.upload(content, "f.tar")})
    return await user.until(f"datasets/{name}", "ready")


async def mounted(user: User, id: int) -> list[str]:
    items = (await user.get(f"servers/{id}/mounts"))["items"]
    return [m["path"] for m in items if m["state"] == "mounted"]


async def test_a_server_starts_has_an_address_and_the_contract_s_variables(site: Site) -> None:
    id = await started(site)
    status = await site.internal().get(f"internal/servers/{id}")
    assert status["address"].startswith("127.0.0.1:")
    workload = site.workload(f"server-{id}")
    assert (workload.home, workload.identity) == ("alice", "user:alice")
    found = workload.environment
    assert (found["KPL_ENV"], found["JUPYTERHUB_API_TOKEN"]) == ("notebook", "t")
    assert found["KPL_METRIC_API"] and found["KPL_METRIC_TOKEN"] and workload.secrets["token"]


async def test_it_waits_with_numbers_while_there_is_no_room_and_starts_when_there_is(
    site: Site,
) -> None:
    first = await started(site, resources={**RESOURCES, "gpu": 2})
    hub = site.internal()
    waiting = []
    for user in ("bob", "carol"):
        id = await create(site, user=user, resources={**RESOURCES, "gpu": 1})
        await hub.post(f"internal/servers/{id}/start", LAUNCH)
        waiting.append(await hub.get(f"internal/servers/{id}"))
    assert [(s["state"], s["reason"]) for s in waiting] == [("pending", "waiting")] * 2
    assert [s["message"] for s in waiting] == [
        "Waiting for 1 GPU (0 free).",
        "Waiting for 1 GPU (0 free); 1 ahead of you.",
    ]
    await hub.http.post(f"internal/servers/{first}/stop")
    for server in waiting:
        found = await hub.until(f"internal/servers/{server['id']}", "running")
        assert found["message"] is None


async def test_one_that_waits_is_not_overtaken_by_a_task_and_can_be_cancelled(site: Site) -> None:
    site.engine.script = WAITS
    first = await started(site, resources={**RESOURCES, "gpu": 1})
    hub, alice = site.internal(), site.user()
    id = await create(site, user="bob", resources={**RESOURCES, "gpu": 2})
    await hub.post(f"internal/servers/{id}/start", LAUNCH)
    later = await create(site, user="carol", resources={**RESOURCES, "gpu": 1})
    await hub.post(f"internal/servers/{later}/start", LAUNCH)
    assert (await hub.get(f"internal/servers/{later}"))["state"] == "pending", "bob came first"
    task = await alice.submit(resources={"gpu": 2})
    await hub.http.post(f"internal/servers/{id}/stop")
    await hub.until(f"internal/servers/{id}", "stopped")
    await hub.until(f"internal/servers/{later}", "running")
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "queued"
    assert (await hub.get(f"internal/servers/{first}"))["state"] == "running"


async def test_it_is_refused_with_numbers_when_it_could_never_fit(site: Site) -> None:
    id = await create(site, resources={**RESOURCES, "memory": 10**6})
    answer = await site.internal().http.post(f"internal/servers/{id}/start", json=LAUNCH)
    assert (answer.status_code, answer.json()["code"]) == (429, "never_fits")
    assert "1000000" in answer.text.replace("1e+06", "1000000")


async def test_a_start_that_is_refused_leaves_nothing_behind(site: Site) -> None:
    hub = site.internal()
    one = await started(site)
    await hub.http.post(f"internal/servers/{one}/stop")
    await hub.until(f"internal/servers/{one}", "stopped")
    id = await create(site, resources={**RESOURCES, "memory": 10**6})
    assert (await hub.http.post(f"internal/servers/{id}/start", json=LAUNCH)).status_code == 429
    # What the hub does next, and it finds no server to wait for.
    assert (await hub.http.post(f"internal/servers/{id}/stop")).status_code == 204
    assert (await hub.http.get(f"internal/servers/{id}")).status_code == 404
    for path in ("servers", "servers/history"):
        assert [s["id"] for s in (await site.user().get(path))["items"]] == [one]
    with site.context.database.store(reads_only=True) as store:
        told = store.events.of("servers", id)
    assert [event.kind for event in told] == ["deleted"]
    assert await create(site) == id + 1


async def test_one_that_was_never_asked_to_start_leaves_nothing_behind(site: Site) -> None:
    id = await create(site)
    await site.internal().http.post(f"internal/servers/{id}/stop")
    assert (await site.user().get("servers"))["items"] == []


async def test_it_stops_when_it_is_told_to(site: Site) -> None:
    id = await started(site)
    for _ in range(2):
        stopped = await site.internal().http.post(f"internal/servers/{id}/stop")
        assert stopped.status_code == 204
    status = await site.internal().until(f"internal/servers/{id}", "stopped")
    assert status["reason"] is None
    await until(lambda: not site.engine.workloads)


async def test_what_was_mounted_when_it_ended_is_known_for_the_next_start(site: Site) -> None:
    alice = site.user()
    for name in ("asked", "added"):
        await dataset(alice, name)
    id = await started(site, mounts=["asked"])
    await until(lambda: mounted(alice, id))
    await alice.post(f"servers/{id}/mounts", {"dataset": "added"})
    mounts = (await alice.get(f"servers/{id}/mounts"))["items"]
    [asked] = [mount["id"] for mount in mounts if mount["dataset"] == "asked"]
    await alice.http.delete(f"servers/{id}/mounts/{asked}")

    async def is_changed() -> bool:
        return await mounted(alice, id) == ["datasets/added"]

    await until(is_changed)
    assert (await alice.get(f"servers/{id}"))["wanted_mounts"] == ["asked"]
    await site.internal().http.post(f"internal/servers/{id}/stop")
    await site.internal().until(f"internal/servers/{id}", "stopped")
    assert (await alice.get(f"servers/{id}"))["wanted_mounts"] == ["added"]


async def test_one_that_ends_by_itself_in_peace_is_stopped(site: Site) -> None:
    id = await started(site)
    await site.engine.finish(f"server-{id}")
    await site.internal().until(f"internal/servers/{id}", "stopped")


async def test_one_that_needs_too_much_memory_says_so(site: Site) -> None:
    site.engine.script = Script(detail={"used_mb": 513, "limit_mb": 512})
    id = await started(site)
    await site.engine.finish(f"server-{id}", exit_code=-9, cause=Cause.OUT_OF_MEMORY)
    status = await site.internal().until(f"internal/servers/{id}", "failed")
    assert status["reason"] == "out_of_memory"
    assert "513 of 512 MiB" in status["message"]
    kept = site.context.files.path("logs", "servers", f"{id}.log")
    await until(kept.exists)


async def test_one_that_cannot_be_started_says_why(site: Site) -> None:
    site.engine.fail_at.add(Stage.START)
    id = await create(site)
    await site.internal().post(f"internal/servers/{id}/start", LAUNCH)
    status = await site.internal().until(f"internal/servers/{id}", "failed")
    assert status["reason"] == "start_failed"
    assert "told to fail at start" in status["message"]


async def test_one_that_vanished_says_so(site: Site) -> None:
    id = await started(site)
    await site.kill()
    await site.engine.forget(f"server-{id}")
    site.start()
    status = await site.internal().until(f"internal/servers/{id}", "failed")
    assert status["reason"] == "lost"


async def test_one_that_was_to_stop_and_vanished_is_stopped(site: Site) -> None:
    id = await started(site)
    await site.kill()
    await site.internal().http.post(f"internal/servers/{id}/stop")
    await site.engine.forget(f"server-{id}")
    site.start()
    await site.internal().until(f"internal/servers/{id}", "stopped")


async def test_a_controller_s_death_is_not_a_server_s(site: Site) -> None:
    id = await started(site)
    made = site.workload(f"server-{id}")
    for _ in range(3):
        await site.restart()
        await until(lambda: site.controller.world.is_synced)
        await site.controller.queue.settled()
    assert site.workload(f"server-{id}") is made
    assert (await site.internal().get(f"internal/servers/{id}"))["state"] == "running"


async def test_the_log_of_a_crashed_server_survives_a_controller_that_dies_over_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.engine.script = Script(log=b"Segmentation fault\n")
    id = await started(site)
    reached = asyncio.Event()

    async def die(*_given: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(World, "keep_log", die)
    await site.engine.finish(f"server-{id}", exit_code=-11, cause=Cause.SIGNAL)
    async with asyncio.timeout(30):
        await reached.wait()
    await site.kill()
    monkeypatch.undo()
    site.start()
    await site.internal().until(f"internal/servers/{id}", "failed")
    kept = site.context.files.path("logs", "servers", f"{id}.log")
    await until(kept.exists)
    assert kept.read_bytes() == b"Segmentation fault\n"


async def test_a_new_server_of_a_name_ends_what_is_left_of_the_old(site: Site) -> None:
    old = await started(site)
    new = await started(site)
    await site.internal().until(f"internal/servers/{old}", "stopped")
    await until(lambda: set(site.engine.workloads) == {f"server-{new}"})


async def test_a_server_that_the_hub_died_before_starting_is_ended_and_none_that_waits(
    site: Site, clock: ManualClock
) -> None:
    forgotten, other = await create(site), await started(site, user="bob")
    clean = partial(housekeeping.clean, files=site.context.files, options=site.context.options)
    hub = site.internal()
    for passed, state in ((0, "pending"), (3600, "stopped")):
        clock.advance(passed)
        with site.context.database.store() as store:
            clean(store)
        assert (await hub.get(f"internal/servers/{forgotten}"))["state"] == state
    assert (await hub.get(f"internal/servers/{other}"))["state"] == "running"


async def test_a_notebook_may_end_itself_and_nothing_else(site: Site) -> None:
    id, other = await started(site), await started(site, user="bob")
    runtime = site.runtime(f"server-{id}")
    refused = await runtime.post("task/stop", json={"task_id": other})
    assert refused.status_code == 403
    answer = await runtime.post("task/stop", json={"task_id": id})
    assert answer.json()["code"] == "Success"
    await site.internal().until(f"internal/servers/{id}", "stopped")
    assert (await site.internal().get(f"internal/servers/{other}"))["state"] == "running"


async def test_a_dataset_is_mounted_into_a_running_server_and_taken_out(site: Site) -> None:
    alice = site.user()
    await dataset(alice)
    id = await started(site)
    made = await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})
    assert made["path"] == "datasets/fruit"
    again = await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})
    assert again["id"] == made["id"]

    async def is_there() -> bool:
        return await mounted(alice, id) == ["datasets/fruit"]

    await until(is_there)
    assert (await alice.http.delete(f"servers/{id}/mounts/{made['id']}")).status_code == 204

    async def is_gone() -> bool:
        return bool((await alice.get(f"servers/{id}/mounts"))["items"] == [])

    await until(is_gone)


async def test_a_mount_that_fails_says_why_and_may_be_tried_again(site: Site) -> None:
    alice = site.user()
    await dataset(alice)
    id = await started(site)
    site.engine.fail_at.add(Stage.MOUNT)
    await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})

    async def has_failed() -> bool:
        (found,) = (await alice.get(f"servers/{id}/mounts"))["items"]
        return bool(found["state"] == "failed" and "fail at mount" in found["message"])

    await until(has_failed)
    site.engine.fail_at.clear()
    await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})

    async def is_there() -> bool:
        return await mounted(alice, id) == ["datasets/fruit"]

    await until(is_there)


async def test_datasets_chosen_on_the_start_page_are_mounted_and_a_wrong_one_is_told(
    site: Site,
) -> None:
    alice = site.user()
    await dataset(alice)
    id = await started(site, mounts=["nothing", "fruit:1"])

    async def is_there() -> bool:
        return await mounted(alice, id) == ["datasets/fruit"]

    await until(is_there)
    events = (await alice.get(f"servers/{id}/events"))["items"]
    assert any(e["kind"] == "warning" and "nothing" in e["message"] for e in events)


async def test_nothing_is_mounted_into_a_server_that_does_not_run(site: Site) -> None:
    alice = site.user()
    await dataset(alice)
    id = await create(site)
    answer = await alice.http.post(f"servers/{id}/mounts", json={"dataset": "fruit"})
    assert (answer.status_code, answer.json()["code"]) == (409, "server_not_running")


async def test_mounts_end_with_their_server(site: Site) -> None:
    alice = site.user()
    await dataset(alice)
    id = await started(site)
    await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})
    await site.internal().http.post(f"internal/servers/{id}/stop")
    await site.internal().until(f"internal/servers/{id}", "stopped")
    assert (await alice.get(f"servers/{id}/mounts"))["items"] == []


async def test_no_one_else_sees_a_server_or_mounts_into_it(site: Site) -> None:
    id = await started(site)
    bob = site.user("bob")
    assert (await bob.http.get(f"servers/{id}")).status_code == 404
    answer = await bob.http.post(f"servers/{id}/mounts", json={"dataset": "fruit"})
    assert answer.status_code == 404
    assert (await bob.get("servers"))["items"] == []


async def test_going_down_ends_tasks_and_servers_in_words_and_leaves_what_waits(
    site: Site,
) -> None:
    site.engine.script = WAITS
    alice = site.user()
    server = await started(site)
    task = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{task['id']}", "running")
    waiting = await alice.submit(resources={"gpu": 2})
    hub = site.internal()
    begun = await hub.post("internal/shutdown")
    assert begun == {"tasks": 1, "servers": 1}
    done = await alice.ended(task)
    assert (done["state"], done["reason"]) == ("stopped", "platform_down")
    assert "kpl-lab down" in done["message"]
    await hub.until(f"internal/servers/{server}", "stopped")
    await site.controller.queue.settled()
    assert (await alice.get(f"tasks/{waiting['id']}"))["state"] == "queued"


async def test_what_waits_starts_when_a_way_down_was_broken_off(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.internal().post("internal/shutdown")
    alice = site.user()
    task = await alice.submit()
    await site.controller.queue.settled()
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "queued"
    monkeypatch.setattr(shutdown, "CLOSING_SECONDS", 0.0)
    await alice.ended(task)
