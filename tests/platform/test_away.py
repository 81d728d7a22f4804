"""What the platform does while its engine does not say what there is: it goes on as far as it can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kpl_lab.engines.fake import Script, Stage
from kpl_lab.engines.spec import Capacity, Handle, Workload
from kpl_lab.errors import EngineError, Unavailable
from kpl_lab.platform import outlook
from tests.platform.running import BUILT, CODE, WAITS, Site, User, until
from tests.platform.test_controller import Cable
from tests.platform.test_services import running

NO_ANSWER = "nothing can start while the engine does not answer"
AWAY = "The runner does not answer."
BIG = {"gpu": 2}


class Door:
    """The question what there is, which waits before a door until that is opened."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self._open = asyncio.Event(), asyncio.Event()
        self.asked = 0
        self._open.set()
        real = site.engine.capacity

        async def capacity() -> Capacity:
            self.asked += 1
            self.reached.set()
            await self._open.wait()
            return await real()

        monkeypatch.setattr(site.engine, "capacity", capacity)

    def close(self) -> None:
        self._open.clear()
        self.reached.clear()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def door(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    found = Door(site, monkeypatch)
    yield found
    found.open()


async def with_a_queue(site: Site) -> tuple[User, Any]:
    """Return a user, and a task that waits behind another."""
    site.engine.script = WAITS
    alice = site.user()
    first = await alice.submit(resources=BIG)
    await alice.until(f"tasks/{first['id']}", "running")
    return alice, await alice.submit(resources=BIG)


async def test_queued_tasks_are_listed_while_the_engine_is_away_and_say_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, queued = await with_a_queue(site)
    last = await alice.submit(resources=BIG)
    cable = Cable(site, monkeypatch)
    cable.cut()
    listed = {one["id"]: one["queue"] for one in (await alice.get("tasks"))["items"]}
    assert listed[queued["id"]] == {"ahead": 0, "waiting_for": NO_ANSWER}
    assert listed[last["id"]] == {"ahead": 1, "waiting_for": f"{NO_ANSWER}; 1 ahead of you"}
    assert (await alice.get(f"tasks/{last['id']}"))["queue"] == listed[last["id"]]
    renamed = await alice.http.patch(f"tasks/{last['id']}", json={"name": "other"})
    assert renamed.json()["queue"] == listed[last["id"]]
    refused = await alice.http.post("tasks", json={"upload": await alice.code()})
    assert refused.status_code == 503
    assert "does not answer" in refused.text
    cable.mend()
    assert NO_ANSWER not in (await alice.get(f"tasks/{queued['id']}"))["queue"]["waiting_for"]


async def test_what_a_cluster_does_not_tell_is_told_with_what_to_do(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, queued = await with_a_queue(site)

    async def capacity() -> Capacity:
        raise EngineError("Nobody may see the nodes: let it.", code="no_capacity")

    monkeypatch.setattr(site.engine, "capacity", capacity)
    said = (await alice.get(f"tasks/{queued['id']}"))["queue"]["waiting_for"]
    assert said == "nothing can start: Nobody may see the nodes: let it"


async def test_pages_wait_a_moment_for_the_engine_and_share_one_question(
    site: Site, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, queued = await with_a_queue(site)
    await site.kill()
    monkeypatch.setattr(outlook, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(outlook, "KEPT_SECONDS", 0.0)  # what was said before is too old
    door.close()
    asked = door.asked
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(alice.get("tasks") for _ in range(10)))
        answers.append(await alice.get("tasks"))
    waits = {
        one["queue"]["waiting_for"] for page in answers for one in page["items"] if one["queue"]
    }
    assert waits == {NO_ANSWER}
    assert door.asked == asked + 1
    door.open()
    assert (await alice.get(f"tasks/{queued['id']}"))["queue"]["waiting_for"] == (
        "waiting for 2 GPUs (0 free)"
    )


async def test_pages_show_what_an_engine_said_that_always_takes_long(
    site: Site, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, queued = await with_a_queue(site)
    await site.kill()
    monkeypatch.setattr(outlook, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(outlook, "KEPT_SECONDS", 0.0)  # what was said before is too old
    door.close()
    assert (await alice.http.get("capacity")).status_code == 503
    asked = door.asked
    monkeypatch.setattr(outlook, "KEPT_SECONDS", 30.0)
    await asyncio.sleep(1)  # so long the answer takes, and is used for as long
    door.open()

    async def is_shown() -> bool:
        return (await alice.http.get("capacity")).status_code == 200

    await until(is_shown)
    door.close()
    page = await alice.get(f"tasks/{queued['id']}")
    assert page["queue"]["waiting_for"] == "waiting for 2 GPUs (0 free)"
    assert door.asked == asked, "an answer that came late was asked for again"

    async def is_asked_again() -> bool:
        assert await is_shown(), "the last answer does not stand in for the one that is late"
        return door.asked > asked

    await until(is_asked_again)
    assert await is_shown()
    assert door.asked == asked + 1
    monkeypatch.setattr(outlook, "KEPT_SECONDS", 0.0)
    assert not await is_shown()


@pytest.mark.parametrize("what", ["servers", "services", "builds"])
async def test_what_is_being_started_says_that_the_engine_is_away_and_goes_on_when_it_is_back(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await site.kill()
    cable = Cable(site, monkeypatch)
    cable.cut(knows_room=True)
    site.start()
    alice, hub = site.user(), site.internal()
    path = f"{what}/1"
    if what == "servers":
        limits = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64}
        body = {"user": "alice", "name": "", "image": "base", "resources": limits}
        await hub.post("internal/servers", body)
        launch = {"command": ["jupyterhub-singleuser"], "environment": {}}
        await hub.post("internal/servers/1/start", launch)
    else:
        code = {**CODE, "environment.yml": BUILT} if what == "builds" else CODE
        await alice.deploy(code)

    async def is_said(text: str | None) -> bool:
        return bool((await alice.get(path))["message"] == text)

    await until(lambda: is_said(AWAY))
    await asyncio.sleep(0.3)  # it is tried again, and told once
    with site.context.database.store(reads_only=True) as store:
        told = [one.level for one in store.events.of(what, 1) if one.message == AWAY]
    assert told == ["warning"]
    cable.mend()
    await alice.until(path, "running", "succeeded")
    await until(lambda: is_said(None))


async def test_a_task_that_the_engine_took_before_it_went_away_no_longer_waits_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.engine.script = Script(start_seconds=60)
    real = site.engine.run

    async def run(workload: Workload) -> AsyncIterator[Handle]:
        async for handle in real(workload):
            yield handle
        raise Unavailable(AWAY)

    monkeypatch.setattr(site.engine, "run", run)
    alice = site.user()
    task = await alice.submit()

    async def goes_on() -> bool:
        told = (await alice.get(f"tasks/{task['id']}/events"))["items"]
        now = await alice.get(f"tasks/{task['id']}")
        is_said = any(one["message"] == AWAY for one in told)
        return is_said and (now["state"], now["message"]) == ("preparing", None)

    await until(goes_on)


async def test_a_build_in_the_queue_says_that_the_engine_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    await site.kill()
    await alice.deploy({**CODE, "environment.yml": BUILT})
    Cable(site, monkeypatch).cut()
    site.start()

    async def is_said() -> bool:
        build = await alice.get("builds/1")
        return bool((build["state"], build["message"]) == ("queued", AWAY))

    await until(is_said)


@pytest.mark.parametrize("what", ["submit", "deploy", "revision", "scale", "roll back"])
async def test_others_write_while_somebody_waits_for_the_engine(
    site: Site, door: Door, what: str
) -> None:
    alice, _ = await running(site)
    task = await alice.submit(draft=True)
    body = {"upload": await alice.code(), "code_name": "digits"}
    asks = {
        "submit": ("POST", "tasks", body),
        "deploy": ("POST", "services", body | {"name": "another"}),
        "revision": ("POST", "services/digits/revisions", {}),
        "scale": ("PATCH", "services/digits", {"replicas": 2}),
        "roll back": ("POST", "services/digits/rollback", None),
    }
    method, path, wanted = asks[what]
    await site.kill()
    door.close()
    headers = {"Idempotency-Key": "once"}
    asking = asyncio.create_task(alice.http.request(method, path, json=wanted, headers=headers))
    await asyncio.wait_for(door.reached.wait(), 10)
    async with asyncio.timeout(5):  # half of what the database waits for its writer
        said = await alice.http.post(f"tasks/{task['id']}/stop")
    assert said.status_code == 200
    assert not asking.done()
    door.open()
    answer = await asking
    assert answer.status_code == (404 if what == "roll back" else 200 if what == "scale" else 201)


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        ({"running": False}, "stopping"),
        ({"replicas": 1}, "running"),
        ({"replicas": 2}, "running"),
        ({"description": "Digits.", "access": "public"}, "running"),
    ],
)
async def test_a_service_that_needs_no_more_is_changed_while_the_engine_says_nothing(
    site: Site, door: Door, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], state: str
) -> None:
    alice, _ = await running(site, replicas=2)
    await site.kill()
    monkeypatch.setattr(outlook, "LOOK_SECONDS", 0.2)
    door.close()
    async with asyncio.timeout(5):
        answer = await alice.http.patch("services/digits", json=wanted)
    assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert {name: answer.json().get(name) for name in wanted if name != "running"} == {
        name: value for name, value in wanted.items() if name != "running"
    }


async def test_a_service_that_has_failed_is_described_where_no_room_is_for_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    site.engine.fail_at = {Stage.CREATE}
    await alice.deploy()
    await alice.until("services/digits", "failed")
    Cable(site, monkeypatch).cut()
    answer = await alice.http.patch("services/digits", json={"description": "Digits."})
    assert (answer.status_code, answer.json()["state"]) == (200, "failed")
    refused = await alice.http.patch("services/digits", json={"running": True})
    assert refused.status_code == 503
