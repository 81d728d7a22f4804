"""Revisions of a service: a candidate beside the current one, its share, changes of place, ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Cause, Replica, ReplicaState
from kpl_lab.errors import Conflict
from kpl_lab.platform.domain import service_revisions, service_states, services
from kpl_lab.platform.domain.ledgers import Amounts, Books, Ledger
from kpl_lab.platform.domain.service_plans import Room
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.census import CensusRepository
from kpl_lab.schemas.services import ServiceUpdate
from tests.platform.running import CODE, Site, User, until
from tests.platform.test_services import is_valid, running, token_of
from tests.platform.test_services import routes as written
from tests.platform.test_stream import reading

PATH = "services/digits"


async def revision(alice: User, role: str) -> Any:
    """Return a service's revision in a role, if there is one."""
    found = (await alice.get(PATH))["revisions"]
    return next((one for one in found if one["role"] == role), None)


async def until_revision(alice: User, role: str, state: str | None) -> Any:
    """Wait until the revision in a role is in a state; None: until there is none."""
    found: Any = None

    async def is_there() -> bool:
        nonlocal found
        found = await revision(alice, role)
        return bool((found and found["state"]) == state)

    await until(is_there, lambda: f"the {role} to be {state}; it is {found}")
    return found


async def with_candidate(site: Site, **body: Any) -> User:
    """Return the user of a service beside which a candidate runs."""
    alice, _ = await running(site)
    await alice.post(f"{PATH}/revisions", body)
    await until_revision(alice, "candidate", "running")
    return alice


def target(site: Site) -> Any:
    return written(site)["services"].get("kpl-svc-1")


def address_of(site: Site, workload: str) -> str:
    (one,) = site.controller.world.seen[workload].replicas
    return f"http://{one.address}"


async def test_a_candidate_runs_beside_the_current_revision_and_gets_no_calls(site: Site) -> None:
    alice = await with_candidate(site)
    assert set(site.engine.workloads) == {"service-1-1", "service-2-1"}
    assert token_of(site, "service-1-1") != token_of(site, "service-2-1")
    assert target(site)["loadBalancer"]["servers"] == [{"url": address_of(site, "service-1-1")}]
    assert list(written(site)["routers"]) == sorted(
        ["kpl-platform", "kpl-internal", "kpl-no-service", "kpl-svc-1"]
    )
    shown = [(r["number"], r["role"], r["weight"]) for r in (await alice.get(PATH))["revisions"]]
    assert shown == [(1, "current", 100), (2, "candidate", 0)]
    assert [s["name"] for s in (await alice.get("services"))["items"]] == ["digits"]
    assert (await alice.http.get("services/2")).status_code == 404
    with site.context.database.store(reads_only=True) as store:
        assert CensusRepository(store.session).services() == {"running": 1}


async def test_a_promotion_routes_first_and_ends_the_former_one_when_its_calls_are_answered(
    site: Site, clock: ManualClock
) -> None:
    alice = await with_candidate(site, parameters={"lr": 0.5})
    first, second = token_of(site, "service-1-1"), token_of(site, "service-2-1")
    promoted = await alice.post(f"{PATH}/promote")
    assert (promoted["id"], promoted["state"], promoted["parameters"]) == (
        1,
        "running",
        {"lr": 0.5},
    )
    wanted = [{"url": address_of(site, "service-2-1")}]
    await until(lambda: target(site)["loadBalancer"]["servers"] == wanted)
    assert "service-1-1" in site.engine.workloads, "calls may be on their way to it"
    clock.advance(10)
    await until(lambda: set(site.engine.workloads) == {"service-2-1"})
    previous = await until_revision(alice, "previous", "stopped")
    assert (previous["number"], previous["parameters"]) == (1, {"lr": 0.1})
    assert not await is_valid(site, first)
    assert await is_valid(site, second)
    await site.restart()
    await until(lambda: site.controller.world.is_synced)
    await site.controller.queue.settled()
    assert set(site.engine.workloads) == {"service-2-1"}
    assert (await alice.get(PATH))["state"] == "running"


async def test_a_roll_back_brings_the_former_revision_back(site: Site, clock: ManualClock) -> None:
    alice = await with_candidate(site, parameters={"lr": 0.5})
    await alice.post(f"{PATH}/promote")
    clock.advance(10)
    await until_revision(alice, "previous", "stopped")
    back = await alice.post(f"{PATH}/rollback")
    assert back["parameters"] == {"lr": 0.5}, "not before it is ready"

    async def is_back() -> bool:
        now = await alice.get(PATH)
        return bool(now["parameters"] == {"lr": 0.1} and now["state"] == "running")

    await until(is_back)
    clock.advance(10)
    await until(lambda: set(site.engine.workloads) == {"service-3-1"})
    found = await alice.get(PATH)
    assert [(r["number"], r["role"]) for r in found["revisions"]] == [
        (1, "current"),
        (2, "previous"),
    ]
    again = await alice.post(f"{PATH}/revisions", {})
    assert [r["number"] for r in again["revisions"]] == [1, 3, 2]


async def test_an_update_without_an_outage_is_one_request(site: Site, clock: ManualClock) -> None:
    alice, _ = await running(site)
    await alice.post(f"{PATH}/revisions", {"parameters": {"lr": 0.7}, "promote": True})

    async def is_promoted() -> bool:
        return bool((await alice.get(PATH))["parameters"] == {"lr": 0.7})

    await until(is_promoted)
    clock.advance(10)
    await until(lambda: set(site.engine.workloads) == {"service-2-1"})


async def test_a_failed_candidate_is_explained_and_never_touches_the_current_one(
    site: Site,
) -> None:
    alice, found = await running(site)
    site.engine.script = Script(start_seconds=60)
    await alice.post(f"{PATH}/revisions", {"weight": 50, "promote": True})
    await until(lambda: "service-2-1" in site.engine.workloads)
    facts: dict[str, Any] = {"cause": Cause.NEVER_LISTENED, "detail": {"port": 4242}}
    gone = Replica(index=0, state=ReplicaState.EXITED, exit_code=-9, **facts)
    await site.engine.set_replica("service-2-1", gone)
    failed = await until_revision(alice, "candidate", "failed")
    assert "4242" in failed["message"]
    assert failed["remedy"]["action"]
    now = await alice.get(PATH)
    assert (now["state"], now["instances"]) == ("running", found["instances"])
    assert target(site)["loadBalancer"]["servers"] == [{"url": address_of(site, "service-1-1")}]
    refused = await alice.http.post(f"{PATH}/promote")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_ready")
    told = (await alice.get(f"{PATH}/events"))["items"]
    assert any(e["message"].startswith("Revision 2 failed: ") for e in told)
    assert all(e["data"].get("state") != "failed" for e in told), "the service has not failed"
    assert (await alice.http.delete(f"{PATH}/revisions/candidate")).status_code == 204
    await until(lambda: set(site.engine.workloads) == {"service-1-1"})
    assert await revision(alice, "candidate") is None


async def test_there_is_one_candidate_at_a_time(site: Site) -> None:
    alice = await with_candidate(site)
    second = await alice.http.post(f"{PATH}/revisions", json={})
    assert (second.status_code, second.json()["code"]) == (409, "has_candidate")
    assert (await alice.http.post(f"{PATH}/rollback")).status_code == 404
    made_of = (*service_revisions._MADE_OF, "owner", "workspace_id", "description", "reason")
    columns = (*made_of, "message", "created_at", "updated_at", "handle", "ending")
    with (
        pytest.raises(Conflict, match="has a candidate already"),
        site.context.database.store() as store,
    ):
        service = store.services.get(1)
        assert service is not None
        values = {name: getattr(service, name) for name in columns}
        service_revisions._begin(store, service, values, 0, promotes=False)


@pytest.mark.parametrize("weight", [-1, 101, 2.5, None, "x"])
async def test_a_weight_is_a_whole_percentage(site: Site, weight: object) -> None:
    alice = await with_candidate(site)
    answer = await alice.http.put(f"{PATH}/traffic", json={"weight": weight})
    assert answer.status_code == 422
    assert (await alice.http.post(f"{PATH}/revisions", json={"weight": weight})).status_code == 422
    assert (await revision(alice, "candidate"))["weight"] == 0


async def test_what_is_not_there_cannot_be_changed(site: Site) -> None:
    alice, _ = await running(site)
    for method, path, body in (
        ("PUT", "traffic", {"weight": 5}),
        ("POST", "promote", None),
        ("POST", "rollback", None),
        ("DELETE", "revisions/candidate", None),
        ("DELETE", "revisions/previous", None),
    ):
        answer = await alice.http.request(method, f"{PATH}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_revision"), path
    assert (await alice.http.delete(f"{PATH}/revisions/current")).status_code == 404
    await alice.http.patch(PATH, json={"running": False})
    stopped = await alice.http.post(f"{PATH}/revisions", json={})
    assert (stopped.status_code, stopped.json()["code"]) == (409, "not_running")


async def test_revisions_are_their_owner_s(site: Site) -> None:
    alice, _ = await running(site, access="workspace")
    bob = site.user("bob")
    assert (await bob.http.post(f"{PATH}/revisions", json={})).status_code == 403
    await alice.post(f"{PATH}/revisions", {})
    assert (await bob.http.put(f"{PATH}/traffic", json={"weight": 5})).status_code == 403
    assert (await bob.http.post(f"{PATH}/promote")).status_code == 403
    assert (await bob.http.delete(f"{PATH}/revisions/candidate")).status_code == 403


async def test_a_stop_drops_the_candidate_and_a_start_does_not_bring_it_back(site: Site) -> None:
    alice = await with_candidate(site, weight=50)
    await alice.http.patch(PATH, json={"running": False})
    await alice.until(PATH, "stopped")
    await until(lambda: not site.engine.workloads)
    assert await revision(alice, "candidate") is None
    await alice.http.patch(PATH, json={"running": True})
    await alice.until(PATH, "running")
    assert set(site.engine.workloads) == {"service-1-2"}


async def test_a_deleted_service_takes_its_revisions_along(site: Site, clock: ManualClock) -> None:
    alice = await with_candidate(site)
    await alice.post(f"{PATH}/promote")
    await alice.post(f"{PATH}/revisions", {})
    assert (await alice.http.delete(PATH)).status_code == 204
    await until(lambda: not site.engine.workloads)

    def is_forgotten() -> bool:
        with site.context.database.store(reads_only=True) as store:
            return not store.services.every()

    await until(is_forgotten)
    assert (await alice.deploy())["id"] == 4


async def test_a_candidate_is_scaled_with_its_service(site: Site) -> None:
    alice = await with_candidate(site)
    await alice.http.patch(PATH, json={"replicas": 3})

    async def are_there() -> bool:
        found = await revision(alice, "candidate")
        return bool(found["state"] == "running" and found["ready"] == 3)

    await until(are_there)
    assert (await alice.until(PATH, "running"))["ready"] == 3


async def test_there_must_be_room_for_a_candidate_beside_the_current_one(site: Site) -> None:
    alice, _ = await running(site, resources={"gpu": 2})
    refused = await alice.http.post(f"{PATH}/revisions", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "no_capacity")
    made = await alice.http.post(f"{PATH}/revisions", json={"resources": {"gpu": 0}})
    assert made.status_code == 201


async def test_what_a_revision_leaves_out_is_as_it_was(site: Site) -> None:
    alice, _ = await running(
        site, parameters={"lr": 0.3}, environment={"A": "1", "B": "1"}, resources={"memory": 700}
    )
    body = {"environment": {"B": "2"}}
    await alice.post(f"{PATH}/revisions", body)
    made = await until_revision(alice, "candidate", "running")
    assert made["parameters"] == {"lr": 0.3}
    assert made["environment"] == {"A": "1", "B": "2"}
    assert made["resources"]["memory"] == 700
    await alice.http.delete(f"{PATH}/revisions/candidate")
    # Other code brings its own settings.
    upload = await alice.code({**CODE, "parameter.yml": "lr: 0.9\n"})
    await alice.post(f"{PATH}/revisions", {"upload": upload, "code_name": "other"})
    other = await until_revision(alice, "candidate", "running")
    assert (other["parameters"], other["environment"]) == ({"lr": 0.9}, {})
    assert (other["code_name"], other["resources"]["memory"]) == ("other", 512)


async def test_another_version_of_the_model_alone_makes_a_revision(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    alice = site.user()
    await alice.ended(await alice.submit())
    await alice.ended(await alice.submit())
    await alice.deploy(model="digits:1")
    await alice.until(PATH, "running")
    await alice.post(f"{PATH}/revisions", {"model": "digits:2"})
    made = await until_revision(alice, "candidate", "running")
    assert made["model"] == "digits:2"
    (given,) = site.workload("service-2-1").inputs
    assert given.source.endswith("/2")
    await alice.http.delete(f"{PATH}/revisions/candidate")
    kept = await alice.post(f"{PATH}/revisions", {"parameters": {"lr": 1.0}})
    assert [r["model"] for r in kept["revisions"]] == ["digits:1", "digits:1"]


async def test_a_repeated_request_makes_one_candidate(site: Site) -> None:
    alice, _ = await running(site)
    key = {"Idempotency-Key": "once"}
    for _ in range(2):
        answer = await alice.http.post(f"{PATH}/revisions", json={}, headers=key)
        assert answer.status_code == 201, answer.text


async def test_the_log_of_a_candidate_is_its_own(site: Site) -> None:
    alice, _ = await running(site)
    site.engine.script = Script(log=b"candidate here\n")
    assert (
        await alice.http.get(f"{PATH}/log", params={"revision": "candidate"})
    ).status_code == 404
    await alice.post(f"{PATH}/revisions", {})
    await until_revision(alice, "candidate", "running")
    page = await alice.get(f"{PATH}/log", revision="candidate")
    assert page["text"] == "candidate here\n"
    assert (await alice.get(f"{PATH}/log"))["text"] != page["text"]
    id = (await alice.get(PATH))["id"]
    async with reading(site.context, f"candidates:{id}:0:0", of=("models",)) as stream:
        await stream.next()
        kind, _, data = await stream.next()
        assert (kind, data["source"]) == ("log", f"candidates:{id}:0")
        assert data["text"] == "candidate here\n"
    async with reading(site.context, f"candidates:{id}:0:0", name="bob", of=("models",)) as stream:
        await stream.next()
        _, _, data = await stream.next()
        assert (data["text"], data["complete"]) == ("", True)


async def test_a_candidate_that_fails_as_it_is_promoted_is_the_service_s_failure_or_is_refused(
    site: Site,
) -> None:
    """Whichever is first: the late one finds that things are not as it has read them."""
    await with_candidate(site)
    await site.kill()
    with site.context.database.store() as store:
        service, candidate = store.services.get(1), store.services.get(2)
        assert service is not None
        assert candidate is not None
        seen = site.controller.world.seen["service-2-1"]
        (one,) = seen.replicas
        ended = replace(seen, replicas=(replace(one, state=ReplicaState.EXITED, exit_code=1),))
        service_revisions.promote(store, service)
        service_states.record_observation(store, candidate, ended, None)
        service_states.note_stopped(store, candidate)
        now = store.services.get(1)
        assert (now and now.state, now and now.run_id) == ("running", 2)
        assert (getattr(store.services.get(2), "state", None)) == "stopping"
        room = Room(site.context, Reader(name="alice"), lambda: _ENDLESS)
        for change in (
            lambda: service_revisions._exchange(store, service, candidate),
            lambda: service_revisions._drop(store, candidate),
            lambda: services.update(store, service, ServiceUpdate(running=False), room),
        ):
            with pytest.raises(Conflict, match="at this very moment"):
                change()


_ENDLESS = Books(Ledger(Amounts(cpu=99, memory=10**9, gpu=9)), {}, {}, {})


async def test_no_candidate_is_added_to_a_service_that_is_deleted_at_that_moment(
    site: Site,
) -> None:
    await with_candidate(site)
    with site.context.database.store() as store:
        service = store.services.get(1)
        assert service is not None
        services.delete(store, service)
        with pytest.raises(Conflict):
            service_revisions._begin(store, service, {}, 0, promotes=False)
    await until(lambda: not site.engine.workloads)


async def test_a_revision_that_its_service_has_left_behind_goes_too(site: Site) -> None:
    await with_candidate(site)
    await site.kill()
    with site.context.database.store() as store:
        store.services.delete(1)
    await site.restart()

    def is_gone() -> bool:
        with site.context.database.store(reads_only=True) as store:
            return store.services.get(2) is None

    await until(is_gone)
    await until(lambda: not site.engine.workloads)
