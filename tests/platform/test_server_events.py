"""The history of notebook servers: named events, the log's end, and how long both are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from kpl_lab.engines.fake import Script, Stage
from kpl_lab.engines.spec import Cause, Replica, ReplicaState
from kpl_lab.hub.progress import Progress
from kpl_lab.platform.domain import housekeeping, server_events
from kpl_lab.schemas.servers import ServerStatus
from tests.platform.running import Site, until
from tests.platform.test_servers import LAUNCH, RESOURCES, create, started

SLOW = Script(start_seconds=3600.0)


async def history(site: Site, id: int) -> list[tuple[str, str]]:
    """Return names and levels of what happened, oldest first."""
    items = (await site.internal().get(f"servers/{id}/events"))["items"]
    return [(e["data"]["event"], e["level"]) for e in items[::-1] if "event" in e["data"]]


async def starting(site: Site, **body: Any) -> int:
    """Return a server that the engine is starting."""
    site.engine.script = SLOW
    id = await create(site, **body)
    await site.internal().post(f"internal/servers/{id}/start", LAUNCH)
    await until(lambda: f"server-{id}" in site.engine.workloads)
    return id


async def end(site: Site, id: int, cause: Cause, **detail: object) -> None:
    await site.engine.set_replica(
        f"server-{id}",
        Replica(index=0, state=ReplicaState.EXITED, cause=cause, exit_code=1, detail=detail),
    )
    await site.internal().until(f"internal/servers/{id}", "failed")


def test_every_event_of_ours_has_a_rank_of_the_manual_and_a_name_of_its_own() -> None:
    assert {event.rank for event in server_events.EVENTS} == {"info", "important", "urgent"}
    names = {event.name for event in server_events.EVENTS}
    assert {
        "Scheduled",
        "PullingImage",
        "PulledImage",
        "NotebookHealthy",
        "NotebookUnhealthy",
        "CreateNotebookFailed",
        "PullImageFailed",
        "FailedToStartContainer",
        "StartNotebookFailed",
        "EphemeralStorageExceeded",
        "StopNotebook",
        "StopNotebookResourceIdle",
        "UpdateFlavor",
        "UpdateImage",
        "OutOfMemory",
        "JupyterProcessKilled",
        "DynamicMountStorage",
        "DynamicUnmountStorage",
        "MountVolumeFailed",
    } <= names


async def test_a_start_and_a_stop_are_told_step_by_step(site: Site) -> None:
    id = await started(site)
    await site.internal().http.post(f"internal/servers/{id}/stop")
    await site.internal().until(f"internal/servers/{id}", "stopped")
    assert await history(site, id) == [
        ("CreateNotebook", "normal"),
        ("Scheduled", "normal"),
        ("NotebookHealthy", "normal"),
        ("StoppingNotebook", "normal"),
        ("StopNotebook", "normal"),
    ]


async def test_a_wait_for_room_is_told_once_with_what_it_waits_for(site: Site) -> None:
    await started(site, resources={**RESOURCES, "gpu": 2})
    id = await create(site, user="bob", resources={**RESOURCES, "gpu": 1})
    for _ in range(3):
        await site.internal().post(f"internal/servers/{id}/start", LAUNCH)
    items = (await site.internal().get(f"servers/{id}/events"))["items"]
    queued = [e for e in items if e["data"]["event"] == "Queued"]
    assert [e["message"] for e in queued] == ["Waiting for 1 GPU (0 free)."]


async def test_pulling_an_image_is_told_with_how_much_of_it_is_there(site: Site) -> None:
    id = await starting(site)
    replica = Replica(index=0, state=ReplicaState.STARTING)
    for done in (1, 2):
        pull = {"pull": {"done": done, "total": 5}}
        await site.engine.set_replica(f"server-{id}", replace(replica, detail=pull))

    async def is_told() -> bool:
        status = await site.internal().get(f"internal/servers/{id}")
        is_pulling = (status["state"], status["reason"]) == ("starting", "pulling_image")
        return is_pulling and status["message"] == "Pulling the image: 40 % (2 of 5 layers)."

    await until(is_told)
    ready = replace(replica, state=ReplicaState.READY, address="127.0.0.1:20000")
    await site.engine.set_replica(f"server-{id}", ready)
    await site.internal().until(f"internal/servers/{id}", "running")
    names = [name for name, _ in await history(site, id)]
    assert names[1:] == ["Scheduled", "PullingImage", "PulledImage", "NotebookHealthy"]


# What a cluster says of one start: the step, the sentence, whether all goes well, then the reason.
ON_ITS_WAY = [
    ("queued", "No node of the cluster takes it yet.", False, "no_place"),
    ("queued", "No node of the cluster takes it yet.", False, "no_place"),
    ("scheduled", "It has a place on the node n1.", True, "being_set_up"),
    ("image", "The node n1 is pulling the image x.", True, "pulling_image"),
    ("image", "The node cannot reach the registry of the image x.", False, "pulling_image"),
    ("starting", "The image is on the node n1.", True, None),
]


async def test_what_a_start_waits_for_is_told_of_its_step_and_stands_in_the_history_once(
    site: Site,
) -> None:
    id = await starting(site)
    replica = Replica(index=0, state=ReplicaState.STARTING)
    for step, text, is_progress, reason in ON_ITS_WAY:
        waits = {"code": "x", "text": text, "is_progress": is_progress, "step": step}
        await site.engine.set_replica(f"server-{id}", replace(replica, detail={"waits": waits}))

        async def is_told(text: str = text, reason: str | None = reason) -> bool:
            status = await site.internal().get(f"internal/servers/{id}")
            return (status["message"], status["reason"]) == (text, reason)

        await until(is_told)
    names = [name for name, _ in await history(site, id)]
    assert names[names.index("Scheduled") :] == [
        *("Scheduled", "Queued", "Scheduled", "PullingImage", "StartDelayed", "PulledImage"),
    ]
    events = (await site.internal().get(f"internal/servers/{id}"))["events"]
    shown = Progress()
    shown.tell_status(ServerStatus(id=id, state="starting", events=events))
    shown.finish()
    told = [(event["event"], event["step"]) async for event in shown.follow()]
    assert told[told.index(("Scheduled", "scheduled")) :] == [
        ("Scheduled", "scheduled"),
        ("Queued", "queued"),
        ("Scheduled", "scheduled"),
        ("PullingImage", "image"),
        ("StartDelayed", "image"),
        ("PulledImage", "image"),
        ("", "starting"),
    ]


@pytest.mark.parametrize(
    ("cause", "detail", "name"),
    [
        (Cause.OUT_OF_MEMORY, {"used_mb": 513, "limit_mb": 512}, "OutOfMemory"),
        (Cause.DISK_FULL, {}, "EphemeralStorageExceeded"),
        (Cause.KILLED, {}, "JupyterProcessKilled"),
        (Cause.LOST, {}, "NotebookUnhealthy"),
        (Cause.START_FAILED, {"error": "no such file"}, "FailedToStartContainer"),
        (Cause.START_FAILED, {"error": "no basic auth credentials"}, "PullImageFailed"),
        (Cause.START_FAILED, {"error": "toomanyrequests: later"}, "PullImageFailed"),
        (
            Cause.START_FAILED,
            {"error": "exec jupyterhub-singleuser failed: …"},
            "FailedToStartContainer",
        ),
        (Cause.EXIT, {}, "StartNotebookFailed"),
    ],
)
async def test_every_bad_end_of_a_start_has_the_manual_s_name(
    site: Site, cause: Cause, detail: dict[str, Any], name: str
) -> None:
    id = await starting(site)
    await end(site, id, cause, **detail)
    assert (await history(site, id))[-1] == (name, "error")


async def test_a_start_that_fails_while_its_image_comes_is_the_image_s_failure(site: Site) -> None:
    id = await starting(site)
    pull = Replica(index=0, state=ReplicaState.STARTING, detail={"pull": {"done": 0, "total": 3}})
    await site.engine.set_replica(f"server-{id}", pull)

    async def is_pulling() -> bool:
        status = await site.internal().get(f"internal/servers/{id}")
        return bool(status["reason"] == "pulling_image")

    await until(is_pulling)
    await end(site, id, Cause.START_FAILED, error="manifest unknown")
    assert (await history(site, id))[-1] == ("PullImageFailed", "error")
    status = await site.internal().get(f"internal/servers/{id}")
    assert status["reason"] == "image_missing"


async def test_one_that_ran_and_died_is_unhealthy(site: Site) -> None:
    id = await started(site)
    await site.engine.finish(f"server-{id}", exit_code=3)
    await site.internal().until(f"internal/servers/{id}", "failed")
    assert (await history(site, id))[-1] == ("NotebookUnhealthy", "error")


async def test_other_limits_than_the_last_time_are_an_update(site: Site) -> None:
    await started(site)
    id = await create(site, resources={**RESOURCES, "memory": 1024})
    items = (await site.internal().get(f"servers/{id}/events"))["items"]
    (told,) = [e["message"] for e in items if e["data"]["event"] == "UpdateFlavor"]
    assert told == "The limits are 1 CPU, 1024 MiB now; they were 1 CPU, 512 MiB."


async def test_the_end_of_the_log_is_there_after_the_server_in_whole_lines(site: Site) -> None:
    site.engine.script = Script(log=b"first line\nsecond line\nlast words\n")
    id = await started(site)
    alice = site.user()
    while_it_runs = await alice.get(f"servers/{id}/log", tail=20)
    assert (while_it_runs["text"], while_it_runs["offset"]) == ("last words\n", 23)
    await site.engine.finish(f"server-{id}", exit_code=1)
    await site.internal().until(f"internal/servers/{id}", "failed")
    kept = await alice.get(f"servers/{id}/log", tail=20)
    assert (kept["text"], kept["complete"]) == ("last words\n", True)
    whole = await alice.get(f"servers/{id}/log")
    assert whole["text"].startswith("first line")


async def test_a_log_of_one_long_line_is_cut_rather_than_left_out(site: Site) -> None:
    site.engine.script = Script(log=b"x" * 100)
    id = await started(site)
    assert (await site.user().get(f"servers/{id}/log", tail=10))["text"] == "x" * 10


async def test_nobody_else_reads_log_or_history(site: Site) -> None:
    id = await started(site)
    bob = site.user("bob")
    for path in (f"servers/{id}/log", f"servers/{id}/events"):
        assert (await bob.http.get(path)).status_code == 404
    assert (await bob.get("servers", user="alice"))["items"] == []


async def test_a_server_that_never_got_an_engine_has_an_empty_log(site: Site) -> None:
    site.engine.fail_at.add(Stage.CREATE)
    id = await create(site)
    assert (await site.user().get(f"servers/{id}/log", tail=100))["text"] == ""


async def test_earlier_starts_of_one_server_are_listed_apart_from_those_of_others(
    site: Site,
) -> None:
    ids = [await started(site) for _ in range(3)]
    await create(site, name="other")
    await create(site, user="bob")
    found = (await site.internal().get("servers", user="alice", name=""))["items"]
    assert [server["id"] for server in found] == ids[::-1]


async def test_the_history_has_every_start_of_one_s_own_with_its_events(site: Site) -> None:
    first = await started(site)
    second = await create(site)
    await create(site, user="bob")
    await site.internal().until(f"internal/servers/{first}", "stopped")
    found = (await site.user().get("servers/history", name=""))["items"]
    assert [start["id"] for start in found] == [second, first]
    assert [e["data"]["event"] for e in found[1]["events"]] == [
        name for name, _ in await history(site, first)
    ]


async def test_only_so_many_starts_are_kept_with_events_and_log(site: Site) -> None:
    context = site.context
    context.options.server_starts_kept = 2
    ids = [await started(site) for _ in range(4)]
    await site.internal().until(f"internal/servers/{ids[2]}", "stopped")
    others = await create(site, name="other")
    log = context.files.path("logs", "servers", f"{ids[0]}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("old")
    for _ in range(2):
        with context.database.store() as store:
            housekeeping.clean(store, context.files, context.options)
    with context.database.store(reads_only=True) as store:
        assert [store.servers.get(id) is not None for id in ids] == [False, False, True, True]
        assert store.servers.get(others) is not None
        assert store.events.of("servers", ids[1]) == []
        assert store.events.of("servers", ids[2]) != []
    assert not log.exists()


async def test_a_start_that_still_runs_is_kept_however_old_it_is(site: Site) -> None:
    context = site.context
    context.options.server_starts_kept = 1
    running = await started(site)
    with context.database.store() as store:
        record = store.servers.get(running)
        assert record is not None
        values = {k: v for k, v in vars(record).items() if k != "id"}
        newer = store.servers.add(**{**values, "state": "failed"})
        housekeeping.clean(store, context.files, context.options)
        assert store.servers.get(running) is not None
        assert store.servers.get(newer.id) is not None


async def test_events_hold_nothing_that_json_cannot(site: Site) -> None:
    id = await started(site)
    items = (await site.internal().get(f"servers/{id}/events"))["items"]
    assert json.loads(json.dumps(items)) == items


async def test_a_part_that_memory_has_cost_a_running_server_is_told_once(site: Site) -> None:
    id = await started(site)
    name = f"server-{id}"
    runs = site.controller.world.seen[name].replicas[0]

    async def lose(kills: int) -> None:
        detail = {"oom_kills": kills, "limit_mb": 512, "used_mb": 512}
        await site.engine.set_replica(name, replace(runs, detail=detail))

    async def told() -> list[dict[str, Any]]:
        items = (await site.internal().get(f"servers/{id}/events"))["items"]
        return [e for e in items[::-1] if e["data"].get("event") == "OutOfMemory"]

    async def are_told(number: int) -> bool:
        return len(await told()) == number

    await lose(1)
    await until(lambda: are_told(1))
    [event] = await told()
    assert event["message"] == (
        "A kernel or program of the server was ended: its 512 MiB of memory were used up. "
        "The server itself runs on."
    )
    assert (event["level"], event["data"]["rank"], event["data"]["kills"]) == (
        "warning",
        "urgent",
        1,
    )
    # A controller that is started again sees the same count, and has nothing to tell.
    await site.kill()
    site.start()
    await until(lambda: site.controller.world.is_synced)
    await lose(2)
    await until(lambda: are_told(2))
    assert (await site.internal().get(f"internal/servers/{id}"))["state"] == "running"
