"""Which revisions of a service the front door sends calls to, and how many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.platform.runtime.frontdoor import routes
from kpl_lab.platform.runtime.world import Key
from kpl_lab.platform.storage.records.work import ServiceRecord
from tests.platform.running import Site, until
from tests.platform.test_service_revisions import (
    PATH,
    address_of,
    revision,
    target,
    with_candidate,
)
from tests.platform.test_services import routes as written


async def test_calls_are_split_by_the_weight(site: Site) -> None:
    alice = await with_candidate(site, weight=10)
    await alice.http.put(f"{PATH}/traffic", json={"weight": 25})
    await until(lambda: "weighted" in target(site))
    weights = [{"name": "kpl-svc-1-1", "weight": 75}, {"name": "kpl-svc-1-2", "weight": 25}]
    await until(lambda: target(site)["weighted"]["services"] == weights)
    for id in (1, 2):
        servers = written(site)["services"][f"kpl-svc-1-{id}"]["loadBalancer"]["servers"]
        assert servers == [{"url": address_of(site, f"service-{id}-1")}]
    assert (await revision(alice, "current"))["weight"] == 75


class Door:
    """A front door that takes a route up when the test says so."""

    def __init__(self) -> None:
        self.is_quick = True

    async def serves(self, name: str, urls: frozenset[str]) -> bool:
        del name, urls
        return self.is_quick


async def test_the_former_revision_answers_until_the_front_door_has_gone_over(
    site: Site, clock: ManualClock
) -> None:
    door = site.controller.world.front_door = Door()
    alice = await with_candidate(site)
    await until(lambda: 1 in site.controller.world.routed)
    door.is_quick = False
    await alice.post(f"{PATH}/promote")
    with site.context.database.store() as store:
        # It was promoted long ago; but the front door still sends calls to the former one.
        previous = store.services.in_role(1, "previous")
        assert previous is not None
        long_ago = store.now().replace(year=2000)
        store.services.update(previous.id, updated_at=long_ago)
    for _ in range(3):
        site.controller.add(Key("services", previous.id))
        await asyncio.sleep(0.2)
    assert "service-1-1" in site.engine.workloads
    door.is_quick = True
    await until(lambda: set(site.engine.workloads) == {"service-2-1"})


async def test_a_dropped_candidate_with_calls_answers_them_first(
    site: Site, clock: ManualClock
) -> None:
    alice = await with_candidate(site, weight=50)
    await alice.http.delete(f"{PATH}/revisions/candidate")
    await until(lambda: "loadBalancer" in target(site))
    await site.controller.queue.settled()
    assert "service-2-1" in site.engine.workloads
    clock.advance(10)
    await until(lambda: set(site.engine.workloads) == {"service-1-1"})


def record(id: int, ready: int, **facts: Any) -> ServiceRecord:
    """Return a row of a service with so many ready replicas."""
    names = ServiceRecord.__dataclass_fields__
    values: dict[str, Any] = dict.fromkeys(names) | {
        "id": id,
        "workspace_id": 1,
        "name": "s",
        "access": "public",
    }
    ports = range(id * 10, id * 10 + ready)
    instances = [{"state": "ready", "address": f"r:{port}"} for port in ports]
    values |= {"is_wanted": True, "is_deleted": False, "role": "current", "weight": 0}
    return ServiceRecord(**(values | {"instances": instances} | facts))


CURRENT = [{"url": "http://r:70"}]
THEIRS = [{"url": "http://r:90"}, {"url": "http://r:91"}]


@pytest.mark.parametrize(
    ("current", "candidate", "weight", "shares"),
    [
        (1, 2, 0, [CURRENT]),
        (1, 2, 30, [(70, CURRENT), (30, THEIRS)]),
        (1, 2, 100, [THEIRS]),
        (1, 0, 30, [CURRENT]),
        (1, 0, 100, [CURRENT]),
        (0, 2, 30, [THEIRS]),
        (0, 2, 0, []),
        (0, 0, 30, []),
    ],
)
def test_who_gets_calls(current: int, candidate: int, weight: int, shares: list[Any]) -> None:
    found = [
        record(9, candidate, service_id=7, role="candidate", name="s#candidate", weight=weight),
        record(8, 1, service_id=7, role="previous", name="s#previous", is_wanted=False),
        record(7, current),
    ]
    http = routes(found, {1: "default"}, "http://p/kpl/api/v1")["http"]
    assert [name for name in http["routers"] if name.startswith("kpl-svc")] == ["kpl-svc-7"]
    target = http["services"].get("kpl-svc-7")
    if not shares:
        assert target is None
        assert "kpl-no-replica" in http["routers"]["kpl-svc-7"]["middlewares"]
    elif len(shares) == 1:
        assert target == {"loadBalancer": {"servers": shares[0]}}
    else:
        parts = target["weighted"]["services"]
        told = [
            (part["weight"], http["services"][part["name"]]["loadBalancer"]["servers"])
            for part in parts
        ]
        assert told == shares
