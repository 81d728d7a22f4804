"""Ways past the front door: which an engine is asked for, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.routing import Route, RouteState
from kpl_lab.errors import Unavailable
from kpl_lab.platform.runtime.world import Key
from kpl_lab.platform.storage.repositories.base import Reader
from tests.platform.running import Site, until
from tests.platform.test_service_revisions import PATH, with_candidate
from tests.platform.test_services import running


class Ways:
    """The ways of an engine: they are as the test says."""

    def __init__(self) -> None:
        self.wanted: dict[str, Route] = {}
        self.still: tuple[str, ...] = ()
        self.message, self.is_taken, self.is_away = "", True, False
        self.is_known = True

    async def route(self, wanted: Sequence[Route]) -> list[RouteState]:
        if self.is_away:
            raise Unavailable("The runner does not answer.")
        self.wanted = {one.name: one for one in wanted}
        return [
            RouteState(
                name=one.name,
                is_taken=self.is_taken,
                leads_to=(*one.shares, *self.still),
                message=self.message,
                is_known=self.is_known,
                is_settled=self.is_known,
            )
            for one in wanted
        ]


@pytest.fixture
def ways(site: Site, monkeypatch: pytest.MonkeyPatch) -> Ways:
    found = Ways()
    monkeypatch.setattr(site.engine, "route", found.route)
    return found


def told(site: Site) -> list[tuple[str, str]]:
    with site.context.database.store() as store:
        found = store.events.after(0, Reader(name="root", sees_all=True))
    return [(one.level, one.message) for one in found if one.kind == "route"]


async def test_the_engine_is_asked_for_public_services_alone(site: Site, ways: Ways) -> None:
    alice, _ = await running(site)
    await site.controller.queue.settled()
    assert ways.wanted == {}
    await alice.http.patch(PATH, json={"access": "public"})
    await until(lambda: "route-1" in ways.wanted)
    found = ways.wanted["route-1"]
    assert found.shares == {"service-1-1": 100}
    assert found.path == "/svc/default/digits"
    assert found.request_without == ("Cookie", "Authorization")
    assert found.answer_without == ("Set-Cookie",)
    assert found.answer_with["Content-Security-Policy"].startswith("sandbox ")
    await alice.http.patch(PATH, json={"access": "workspace"})
    await until(lambda: ways.wanted == {})


async def test_addresses_that_differ_in_capitals_alone_stay_with_the_front_door(
    site: Site, ways: Ways
) -> None:
    alice, _ = await running(site, access="public")
    await until(lambda: "route-1" in ways.wanted)
    await alice.deploy(name="Digits")
    await until(lambda: ways.wanted == {})


async def test_a_stopped_service_has_no_way(site: Site, ways: Ways) -> None:
    alice, _ = await running(site, access="public")
    await until(lambda: "route-1" in ways.wanted)
    await alice.http.patch(PATH, json={"running": False})
    await until(lambda: ways.wanted == {})


async def test_calls_are_divided_by_weight(site: Site, ways: Ways) -> None:
    alice = await with_candidate(site, weight=25)
    await alice.http.patch(PATH, json={"access": "public"})
    await until(
        lambda: (
            [one.shares for one in ways.wanted.values()] == [{"service-1-1": 75, "service-2-1": 25}]
        )
    )


TAKEN = ("normal", "Calls reach the service by a route of its own.")


async def test_it_is_told_once_how_calls_go(site: Site, ways: Ways) -> None:
    await running(site, access="public")
    await until(lambda: told(site) == [TAKEN])
    await site.restart()
    ways.wanted = {}
    await until(lambda: ways.wanted)
    await site.controller.queue.settled()
    ways.is_taken, ways.message = False, "The gateway is gone."
    await until(lambda: told(site) == [TAKEN, ("warning", "The gateway is gone.")])
    ways.is_taken, ways.message = True, ""
    await until(lambda: told(site)[2:] == [TAKEN])


async def test_an_engine_without_ways_is_no_news(site: Site) -> None:
    await running(site, access="public")
    await site.controller.queue.settled()
    assert told(site) == []
    assert site.controller.world.led == {}


async def test_a_former_revision_answers_while_calls_may_come_past_the_front_door(
    site: Site, ways: Ways, clock: ManualClock
) -> None:
    alice = await with_candidate(site)
    await alice.http.patch(PATH, json={"access": "public"})
    await until(lambda: "route-1" in ways.wanted)
    ways.still = ("service-1-1",)
    await alice.post(f"{PATH}/promote")
    await until(lambda: ways.wanted["route-1"].shares == {"service-2-1": 100})
    clock.advance(100)
    with site.context.database.store() as store:
        previous = store.services.in_role(1, "previous")
        assert previous is not None
    for _ in range(3):
        site.controller.add(Key("services", previous.id))
        await asyncio.sleep(0.2)
    assert "service-1-1" in site.engine.workloads
    ways.still = ()
    await until(lambda: set(site.engine.workloads) == {"service-2-1"})


@pytest.mark.parametrize("what", ["is_away", "is_known"])
async def test_a_controller_that_knows_no_ways_yet_ends_no_former_revision(
    site: Site, ways: Ways, clock: ManualClock, what: str
) -> None:
    alice = await with_candidate(site)
    await alice.http.patch(PATH, json={"access": "public"})
    await until(lambda: "route-1" in ways.wanted)
    ways.still = ("service-1-1",)
    await alice.post(f"{PATH}/promote")
    await until(lambda: ways.wanted["route-1"].shares == {"service-2-1": 100})
    await site.controller.queue.settled()
    setattr(ways, what, not getattr(ways, what))
    ways.still = ()  # what has not been read is not told
    await site.restart()
    clock.advance(100)
    with site.context.database.store() as store:
        previous = store.services.in_role(1, "previous")
        assert previous is not None
    for _ in range(3):
        site.controller.add(Key("services", previous.id))
        await asyncio.sleep(0.2)
    assert "service-1-1" in site.engine.workloads
    setattr(ways, what, not getattr(ways, what))
    await until(lambda: set(site.engine.workloads) == {"service-2-1"})


async def test_the_front_door_goes_on_while_the_engine_does_not_answer(
    site: Site, ways: Ways
) -> None:
    ways.is_away = True
    alice, _ = await running(site, access="public")
    assert (await alice.get(PATH))["state"] == "running"
    ways.is_away = False
    await until(lambda: "route-1" in ways.wanted)
