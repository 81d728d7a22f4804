"""Resource pools: who may use which, what waits for what, and the quota of each user."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.engines.spec import Capacity
from tests.platform.running import WAITS, Site, User
from tests.platform.test_tasks_queue import settled, states

POOLS = """
version: 1
pools:
  - {name: shared, title: Shared, limits: {gpu: 2}, per_user: {gpu: 1}}
  - {name: large, title: Large, limits: {gpu: 2, cpu: 4}}
  - {name: vision, title: Vision, users: [bob], limits: {gpu: 1}}
"""


@pytest.fixture
def pooled(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A platform with three pools; the machine has five GPUs."""
    write(site, POOLS)
    monkeypatch.setattr(site.engine, "_capacity", Capacity(cpu=8.0, memory_mb=16384, gpu=5))
    site.engine.script = WAITS
    return site


def write(site: Site, text: str) -> None:
    (site.context.settings.home.root / "pools.yml").write_text(text)


async def refused(user: User, **body: Any) -> dict[str, Any]:
    """Return the refusal of a task."""
    wanted = {"upload": await user.code(), **body}
    answer = await user.http.post("tasks", json=wanted)
    assert answer.status_code >= 400, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_first_pool_that_is_for_somebody_is_theirs(pooled: Site) -> None:
    alice = pooled.user()
    assert (await alice.submit())["pool"] == "shared"
    assert (await alice.submit(pool="large"))["pool"] == "large"
    named = [one["name"] for one in (await alice.get("capacity"))["pools"]]
    assert named == ["shared", "large"]
    of_bob = [one["name"] for one in (await pooled.user("bob").get("capacity"))["pools"]]
    assert of_bob == ["shared", "large", "vision"]


async def test_a_pool_of_others_is_as_one_that_is_not_there(pooled: Site) -> None:
    alice = pooled.user()
    for name in ("vision", "nowhere"):
        found = await refused(alice, pool=name)
        assert found["code"] == "unknown_pool"
        assert found["message"] == (
            f"There is no resource pool '{name}' for you; you may use shared, large."
        )


async def test_without_a_file_there_are_no_pools(site: Site) -> None:
    alice = site.user()
    assert (await alice.submit())["pool"] == ""
    assert (await alice.get("capacity"))["pools"] == []
    assert (await refused(alice, pool="x"))["code"] == "no_pool"


async def test_who_waits_in_one_pool_holds_up_nobody_in_another(pooled: Site) -> None:
    alice = pooled.user()
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(pool="large", resources={"gpu": 1})
    third = await alice.submit(pool="shared", resources={"gpu": 1})
    await alice.until(f"tasks/{third['id']}", "running")
    waits = (await alice.get(f"tasks/{second['id']}"))["queue"]
    assert waits["waiting_for"] == "waiting for 1 GPU (0 free) in the pool large"


async def test_who_has_used_up_a_quota_waits_and_holds_up_nobody_else(pooled: Site) -> None:
    alice, bob = pooled.user(), pooled.user("bob")
    first = await alice.submit(resources={"gpu": 1})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(resources={"gpu": 1})
    of_bob = await bob.submit(resources={"gpu": 1})
    await bob.until(f"tasks/{of_bob['id']}", "running")
    await settled(pooled)
    waits = (await alice.get(f"tasks/{second['id']}"))["queue"]
    assert waits["waiting_for"] == "waiting for 1 GPU (0 free) of your quota in the pool shared"
    (view,) = [p for p in (await alice.get("capacity"))["pools"] if p["name"] == "shared"]
    assert view["gpu"] == {"limit": 2, "used": 2}
    assert view["quota"] == {"gpu": {"limit": 1, "used": 1}}
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{second['id']}", "running")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"resources": {"gpu": 2}}, "your quota in the pool shared is 1"),
        ({"pool": "large", "resources": {"gpu": 3}}, "the pool large has 2"),
        ({"pool": "large", "resources": {"gpu": 1}, "nodes": 3}, "the pool large has 2"),
        ({"pool": "large", "resources": {"cpu": 5}}, "the pool large has 4"),
        ({"resources": {"memory": 99999}}, "the pool shared has 16384"),
    ],
)
async def test_what_can_never_fit_is_refused_at_once(
    pooled: Site, body: dict[str, Any], said: str
) -> None:
    found = await refused(pooled.user(), **body)
    assert found["code"] == "never_fits"
    assert said in found["message"]


async def test_servers_and_services_count_in_their_pool_too(pooled: Site) -> None:
    alice, hub = pooled.user(), pooled.internal()
    limits = {"cpu": 1, "memory": 512, "gpu": 1, "shm": 64}
    body = {"user": "alice", "image": "base", "resources": limits, "pool": "shared"}
    id = (await hub.post("internal/servers", body))["id"]
    await hub.post(f"internal/servers/{id}/start", {"command": ["x"], "environment": {}})
    assert (await hub.get(f"internal/servers/{id}"))["state"] != "pending"
    found = await alice.http.post(
        "services",
        json={"name": "s", "upload": await alice.code(), "resources": {"gpu": 1}},
    )
    assert found.status_code == 409
    assert "of your quota in the pool shared" in found.json()["message"]
    made = await alice.post(
        "services",
        {"name": "s", "upload": await alice.code(), "resources": {"gpu": 1}, "pool": "large"},
    )
    assert made["pool"] == "large"


async def test_the_engine_is_told_of_the_pool(pooled: Site) -> None:
    alice = pooled.user()
    task = await alice.submit(pool="large")
    await alice.until(f"tasks/{task['id']}", "running")
    assert "large" in [one.pool for one in pooled.engine.workloads.values()]


async def test_a_pool_with_machines_of_its_own_has_what_they_have(
    pooled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Capacity(cpu=1.0, memory_mb=2048, gpu=1)
    there = Capacity(cpu=8.0, memory_mb=16384, gpu=5, pools={"large": own})
    monkeypatch.setattr(pooled.engine, "_capacity", there)
    found = await refused(pooled.user(), pool="large", resources={"gpu": 2})
    assert "the pool large has 1" in found["message"]


async def test_a_file_that_is_gone_for_a_moment_ends_nothing(pooled: Site) -> None:
    alice = pooled.user()
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(pool="large", resources={"gpu": 1})
    (pooled.context.settings.home.root / "pools.yml").unlink()
    await settled(pooled)
    assert await states(alice, second) == ["queued"]
    write(pooled, POOLS)
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{second['id']}", "running")


async def test_without_a_file_what_was_in_a_pool_goes_on_in_none(
    pooled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = pooled.user()
    made = await alice.post(
        "services", {"name": "s", "upload": await alice.code(), "pool": "large"}
    )
    await alice.until(f"services/{made['id']}", "running")
    monkeypatch.setattr(pooled.context.pools, "_good", ())
    (pooled.context.settings.home.root / "pools.yml").unlink()
    scaled = await alice.http.patch(f"services/{made['id']}", json={"replicas": 2})
    assert scaled.status_code == 200, scaled.text
    revised = await alice.http.post(f"services/{made['id']}/revisions", json={})
    assert revised.status_code == 201, revised.text


async def test_machines_that_are_away_for_a_while_end_nothing_that_waits(
    pooled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def there(gpus: int) -> Capacity:
        own = Capacity(cpu=4.0 if gpus else 0.0, memory_mb=8192 if gpus else 0, gpu=gpus)
        return Capacity(cpu=8.0, memory_mb=16384, gpu=gpus, pools={"large": own}, varies=True)

    monkeypatch.setattr(pooled.engine, "_capacity", there(2))
    alice = pooled.user()
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(pool="large", resources={"gpu": 2})
    monkeypatch.setattr(pooled.engine, "_capacity", there(0))
    await alice.post(f"tasks/{first['id']}/stop")
    await settled(pooled)
    assert await states(alice, second) == ["queued"]
    assert (await refused(alice, pool="large", resources={"gpu": 1}))["code"] == "never_fits"
    monkeypatch.setattr(pooled.engine, "_capacity", there(2))
    await alice.until(f"tasks/{second['id']}", "running")


async def test_where_machines_are_added_for_it_more_may_be_asked_for_than_there_is(
    pooled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = Capacity(cpu=8.0, memory_mb=16384, gpu=0, varies=True, grows=True)
    monkeypatch.setattr(pooled.engine, "_capacity", none)
    alice = pooled.user()
    task = await alice.submit(pool="large", resources={"gpu": 2})
    await settled(pooled)
    assert await states(alice, task) == ["queued"]
    found = await refused(alice, pool="large", resources={"gpu": 3})
    assert "the pool large has 2" in found["message"]


async def test_one_s_own_small_tasks_do_not_starve_one_s_large_one(pooled: Site) -> None:
    write(pooled, "version: 1\npools: [{name: p, title: P, per_user: {gpu: 2}}]")
    alice, bob = pooled.user(), pooled.user("bob")
    first = await alice.submit(resources={"gpu": 1})
    await alice.until(f"tasks/{first['id']}", "running")
    large = await alice.submit(resources={"gpu": 2})
    small = await alice.submit(resources={"gpu": 1})
    of_bob = await bob.submit(resources={"gpu": 1})
    await bob.until(f"tasks/{of_bob['id']}", "running")
    await settled(pooled)
    assert await states(alice, large, small) == ["queued", "queued"]
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{large['id']}", "running")


async def test_a_server_behind_another_says_what_there_is_too_little_of(pooled: Site) -> None:
    write(pooled, "version: 1\npools: [{name: p, title: P, per_user: {gpu: 5}, limits: {cpu: 4}}]")
    hub = pooled.internal()
    told = []
    for user, cores in (("a", 3), ("b", 2), ("c", 1)):
        limits = {"cpu": cores, "memory": 512, "gpu": 0, "shm": 64}
        body = {"user": user, "image": "base", "resources": limits}
        id = (await hub.post("internal/servers", body))["id"]
        await hub.post(f"internal/servers/{id}/start", {"command": ["x"], "environment": {}})
        told.append((await hub.get(f"internal/servers/{id}"))["message"])
    assert told[1:] == [
        "Waiting for 2 CPU cores (1 free) in the pool p.",
        "Waiting for 1 CPU core (1 free) in the pool p; 1 ahead of you.",
    ]


async def test_who_may_not_use_a_pool_any_longer_gets_no_more_of_it_but_may_stop(
    pooled: Site,
) -> None:
    bob = pooled.user("bob")
    body = {"name": "s", "upload": await bob.code(), "pool": "vision"}
    made = await bob.post("services", body)
    await bob.until(f"services/{made['id']}", "running")
    write(pooled, POOLS.replace("users: [bob]", "users: [dora]"))
    more = await bob.http.patch(f"services/{made['id']}", json={"replicas": 2})
    assert more.json()["code"] == "unknown_pool"
    stopped = await bob.http.patch(f"services/{made['id']}", json={"running": False})
    assert stopped.status_code == 200, stopped.text


async def test_a_file_that_is_wrong_from_the_start_stops_submissions_alone(
    pooled: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = pooled.user()
    made = await alice.post("services", {"name": "s", "upload": await alice.code()})
    await alice.until(f"services/{made['id']}", "running")
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    queued = await alice.submit(pool="large", resources={"gpu": 2})
    await settled(pooled)
    monkeypatch.setattr(pooled.context.pools, "_good", None)
    write(pooled, "version: 2")
    found = (await alice.get("tasks"))["items"][0]
    assert (found["id"], found["state"], found["queue"]) == (queued["id"], "queued", None)
    stopped = await alice.http.patch(f"services/{made['id']}", json={"running": False})
    assert stopped.status_code == 200, stopped.text
    assert "pools.yml, line 1" in (await refused(alice))["message"]


async def test_a_task_whose_pool_is_gone_fails_and_says_so(pooled: Site) -> None:
    alice = pooled.user()
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(pool="large", resources={"gpu": 1})
    await settled(pooled)
    assert await states(alice, second) == ["queued"]
    write(pooled, "version: 1\npools: [{name: shared, title: Shared}]")
    await alice.post(f"tasks/{first['id']}/stop")
    done = await alice.ended(second)
    assert (done["state"], done["reason"]) == ("failed", "pool_gone")
    assert "Its resource pool large is no longer there" in done["message"]


async def test_a_task_for_which_its_pool_became_too_small_fails(pooled: Site) -> None:
    alice = pooled.user()
    first = await alice.submit(pool="large", resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    second = await alice.submit(pool="large", resources={"gpu": 2})
    await settled(pooled)
    write(pooled, POOLS.replace("limits: {gpu: 2, cpu: 4}", "limits: {gpu: 1}"))
    await alice.post(f"tasks/{first['id']}/stop")
    done = await alice.ended(second)
    assert (done["state"], done["reason"]) == ("failed", "pool_never_fits")
    assert "the pool large has only 1 GPU for its owner" in done["message"]


async def test_only_the_hub_may_ask_for_somebody_elses_pools(pooled: Site) -> None:
    hub, alice = pooled.internal(), pooled.user()
    of_bob = await hub.get("capacity", user="bob")
    assert [one["name"] for one in of_bob["pools"]] == ["shared", "large", "vision"]
    of_carol = await hub.get("capacity", user="carol")
    assert [one["name"] for one in of_carol["pools"]] == ["shared", "large"]
    answer = await alice.http.get("capacity", params={"user": "bob"})
    assert answer.status_code == 403
