"""What the hub's regular look at each server costs, and what it finds."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from kpl_lab.hub import platform_client
from kpl_lab.hub.platform_client import PlatformClient
from kpl_lab.hub.spawners import platform as module
from kpl_lab.hub.spawners.platform import PlatformSpawner
from kpl_lab.schemas.servers import ServerStatus

URL, TOKEN = "http://platform", "t"


class Platform:
    """Answers what the spawners ask; ``states`` are of all servers that it knows."""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}
        self.asked: Counter[str] = Counter()
        self.is_away = False

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked[path] += 1
        if self.is_away:
            return httpx.Response(503)
        if path == "/internal/servers":
            ended = ("stopped", "failed")
            ids = [id for id, state in self.states.items() if state not in ended]
            running = [id for id in ids if self.states[id] == "running"]
            return httpx.Response(200, json={"ids": ids, "running": running})
        found = re.fullmatch("/internal/servers/([0-9]+)", path)
        assert found is not None
        id = int(found[1])
        if id not in self.states:
            problem = {"code": "not_found", "message": "There is none.", "request_id": "x"}
            return httpx.Response(404, json=problem)
        return httpx.Response(200, json={"id": id, "state": self.states[id]})


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setattr(platform_client, "RESTART_SECONDS", 0.0)
    found = Platform()
    client = PlatformClient(URL, TOKEN, transport=httpx.MockTransport(found.answer))
    monkeypatch.setitem(platform_client._clients, (URL, TOKEN), client)
    yield found


def spawner(server: int | None) -> PlatformSpawner:
    return PlatformSpawner(platform_url=URL, platform_token=TOKEN, server_id=server)


async def test_polls_of_all_servers_that_run_are_one_question(platform: Platform) -> None:
    platform.states = dict.fromkeys(range(1, 301), "running")
    assert {await spawner(id).poll() for id in platform.states} == {None}
    assert platform.asked == {"/internal/servers": 1}


@pytest.mark.parametrize(("state", "code"), [("failed", 1), ("stopped", 0), ("stopping", None)])
async def test_one_that_has_ended_is_noticed(
    platform: Platform, state: str, code: int | None
) -> None:
    platform.states = {1: "running", 2: state}
    assert await spawner(1).poll() is None
    assert await spawner(2).poll() == code


async def test_one_that_nobody_knows_has_ended(platform: Platform) -> None:
    assert await spawner(9).poll() == 0
    assert await spawner(None).poll() == 0


async def test_one_that_began_a_moment_ago_is_asked_for_itself(platform: Platform) -> None:
    platform.states = {1: "running"}
    assert await spawner(1).poll() is None
    platform.states[2] = "starting"
    assert await spawner(2).poll() is None
    assert platform.asked == {"/internal/servers": 1, "/internal/servers/2": 1}


async def test_a_silent_platform_ends_no_server(platform: Platform) -> None:
    platform.is_away = True
    assert await spawner(1).poll() is None


async def test_all_who_wait_for_a_start_ask_together_and_hear_of_it_at_once(
    platform: Platform,
) -> None:
    platform.states = dict.fromkeys(range(1, 101), "starting")
    client = platform_client.client_of(URL, TOKEN)
    waiting = [asyncio.create_task(client.until_running(id, 20.0)) for id in platform.states]
    await asyncio.sleep(0.5)
    assert not any(one.done() for one in waiting)
    platform.states[7] = "running"
    async with asyncio.timeout(2.0):
        await waiting[6]
    assert sum(one.done() for one in waiting) == 1
    assert platform.asked.keys() == {"/internal/servers"}
    assert platform.asked["/internal/servers"] < 25
    for one in waiting:
        one.cancel()


async def test_whoever_waits_for_a_start_is_not_held_up_longer_than_wanted(
    platform: Platform,
) -> None:
    client = platform_client.client_of(URL, TOKEN)
    platform.is_away = True
    async with asyncio.timeout(2.0):
        await client.until_running(1, 0.3)


async def test_a_start_that_waits_for_hours_is_asked_for_rarely(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOON_SECONDS", 0.0)
    platform.states = {1: "starting"}
    following = asyncio.create_task(spawner(1)._follow(1, ServerStatus(id=1, state="starting")))
    await asyncio.sleep(3 * module.PATIENT_SECONDS / 2)
    assert platform.asked == {"/internal/servers/1": 1}
    following.cancel()
