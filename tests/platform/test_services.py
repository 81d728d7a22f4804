"""Services: deployed, watched, scaled, stopped with their address kept, started, deleted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kpl_lab.engines.fake import Script, Stage
from kpl_lab.engines.spec import Cause, Replica, ReplicaState
from kpl_lab.platform import auth
from tests.platform.running import BUILT, CODE, Site, User, until

URL = "/svc/default/digits/"


def routes(site: Site) -> Any:
    """Return what the front door is told."""
    path = site.context.settings.home.frontdoor / "dynamic" / "platform.yml"
    return yaml.safe_load(path.read_text())["http"] if path.exists() else {"routers": {}}


def addresses(site: Site, id: int) -> list[str]:
    service = routes(site)["services"].get(f"kpl-svc-{id}", {"loadBalancer": {"servers": []}})
    return [s["url"] for s in service["loadBalancer"]["servers"]]


async def running(site: Site, **body: Any) -> tuple[User, Any]:
    alice = site.user()
    made = await alice.deploy(**body)
    found = await alice.until(f"services/{made['id']}", "running")
    return alice, found


async def see(site: Site, name: str, index: int, **facts: Any) -> None:
    await site.engine.set_replica(name, Replica(index=index, **facts))


async def test_a_service_runs_with_all_its_replicas_behind_one_address(site: Site) -> None:
    _, found = await running(site, replicas=2)
    assert (found["url"], found["ready"], found["replicas"]) == (URL, 2, 2)
    assert [i["state"] for i in found["instances"]] == ["ready", "ready"]
    await until(lambda: len(addresses(site, found["id"])) == 2)
    rule = routes(site)["routers"][f"kpl-svc-{found['id']}"]["rule"]
    assert '"/svc/default/digits/"' in rule


async def test_a_service_without_a_replica_is_ready_to_be_started(site: Site) -> None:
    alice = site.user()
    made = await alice.deploy(replicas=0)
    await alice.until(f"services/{made['id']}", "stopped")
    assert not site.engine.workloads
    await alice.http.patch(f"services/{made['id']}", json={"running": True})
    await alice.until(f"services/{made['id']}", "running")


async def test_a_sick_replica_degrades_it_and_gets_no_calls(site: Site) -> None:
    alice, found = await running(site, replicas=2)
    name = f"service-{found['id']}-1"
    await see(site, name, 1, state=ReplicaState.UNHEALTHY, address="127.0.0.1:20001")
    await alice.until(f"services/{found['id']}", "degraded")
    await until(lambda: len(addresses(site, found["id"])) == 1)
    await see(site, name, 1, state=ReplicaState.READY, address="127.0.0.1:20001")
    await alice.until(f"services/{found['id']}", "running")
    await until(lambda: len(addresses(site, found["id"])) == 2)


async def test_a_service_that_never_listens_fails_and_says_why(site: Site) -> None:
    site.engine.script = Script(start_seconds=60)
    alice = site.user()
    made = await alice.deploy()
    name = f"service-{made['id']}-1"
    await until(lambda: name in site.engine.workloads)
    facts = {"exit_code": -9, "cause": Cause.NEVER_LISTENED, "detail": {"port": 4242}}
    await see(site, name, 0, state=ReplicaState.EXITED, **facts)
    found = await alice.until(f"services/{made['id']}", "failed")
    assert found["reason"] == "never_listened"
    assert "4242" in found["message"]
    assert found["remedy"]["action"]
    assert addresses(site, made["id"]) == []


async def test_a_failed_service_is_started_again_by_its_user(site: Site) -> None:
    site.engine.fail_at.add(Stage.START)
    alice = site.user()
    made = await alice.deploy()
    found = await alice.until(f"services/{made['id']}", "failed")
    assert "told to fail at start" in found["message"]
    site.engine.fail_at.clear()
    again = await alice.http.patch(f"services/{made['id']}", json={"running": True})
    assert (again.status_code, again.json()["reason"]) == (200, None)
    await alice.until(f"services/{made['id']}", "running")


async def test_it_is_scaled_up_and_down(site: Site) -> None:
    alice, found = await running(site)
    for count in (3, 1):
        await alice.http.patch(f"services/{found['id']}", json={"replicas": count})

        async def is_there(count: int = count) -> bool:
            now = await alice.get(f"services/{found['id']}")
            return bool(now["state"] == "running" and now["ready"] == count)

        await until(is_there)

        def is_routed(count: int = count) -> bool:
            return len(addresses(site, found["id"])) == count

        await until(is_routed)
    told = [e["message"] for e in (await alice.get(f"services/{found['id']}/events"))["items"]]
    assert "Scaled from 1 to 3 replicas." in told
    assert "Scaled from 3 to 1 replica." in told


async def test_a_stopped_service_keeps_its_address_and_starts_again(site: Site) -> None:
    alice, found = await running(site)
    stopping = await alice.http.patch(f"services/{found['id']}", json={"running": False})
    assert stopping.json()["state"] == "stopping"
    stopped = await alice.until(f"services/{found['id']}", "stopped")
    assert (stopped["url"], stopped["instances"]) == (URL, [])
    await until(lambda: not site.engine.workloads)
    await until(lambda: addresses(site, found["id"]) == [])
    router = routes(site)["routers"][f"kpl-svc-{found['id']}"]
    assert "kpl-no-replica" in router["middlewares"]
    await alice.http.patch(f"services/{found['id']}", json={"running": True})
    again = await alice.until(f"services/{found['id']}", "running")
    assert again["url"] == URL
    await until(lambda: len(addresses(site, found["id"])) == 1)


async def test_a_running_service_cannot_be_started(site: Site) -> None:
    alice, found = await running(site)
    answer = await alice.http.patch(f"services/{found['id']}", json={"running": True})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_running")


async def test_a_deleted_service_leaves_nothing_and_its_name_is_free(site: Site) -> None:
    alice, found = await running(site)
    assert (await alice.http.delete(f"services/{found['id']}")).status_code == 204
    assert (await alice.http.get("services/digits")).status_code == 404
    await until(lambda: not site.engine.workloads)
    await until(lambda: f"kpl-svc-{found['id']}" not in routes(site)["routers"])
    again = await alice.deploy()
    assert again["id"] != found["id"]
    await alice.until("services/digits", "running")


async def test_services_being_deleted_cut_no_list_short(site: Site) -> None:
    alice = site.user()
    names = [f"number-{n}" for n in range(4)]
    for name in names:
        await alice.deploy(name=name, replicas=0)
    await site.kill()
    for name in ("number-1", "number-2"):
        assert (await alice.http.delete(f"services/{name}")).status_code == 204
    page = await alice.get("services", limit=1)
    assert [s["name"] for s in page["items"]] == ["number-3"]
    page = await alice.get("services", limit=1, cursor=page["next"])
    assert ([s["name"] for s in page["items"]], page["next"]) == (["number-0"], None)


def token_of(site: Site, workload: str) -> str:
    return str(site.workload(workload).secrets["token"])


async def is_valid(site: Site, token: str) -> bool:
    """Say whether the surface for workloads still knows a token."""
    with site.context.database.store(reads_only=True) as store:
        found = store.tokens.by_digest(auth.digest(token))
        return found is not None and not found.revoked


@pytest.mark.parametrize("end", ["stopped", "failed", "started anew", "replaced"])
async def test_the_token_of_a_start_ends_with_it(site: Site, end: str) -> None:
    alice, found = await running(site)
    path, name = f"services/{found['id']}", f"service-{found['id']}-1"
    token = token_of(site, name)
    assert await is_valid(site, token)
    if end == "stopped":
        await alice.http.patch(path, json={"running": False})
        await alice.until(path, "stopped")
    elif end == "failed":
        await site.engine.finish(name, exit_code=1, cause=Cause.EXIT)
        await alice.until(path, "failed")
    elif end == "started anew":
        await site.engine.finish(name, exit_code=-9, cause=Cause.LOST)
        await until(lambda: f"service-{found['id']}-2" in site.engine.workloads)
        await alice.until(path, "running")
        assert await is_valid(site, token_of(site, f"service-{found['id']}-2"))
    else:
        await site.kill()
        await alice.http.patch(path, json={"running": False})
        await alice.http.patch(path, json={"running": True})
    assert not await is_valid(site, token)


async def test_a_start_that_fails_leaves_no_token(site: Site) -> None:
    site.engine.fail_at.add(Stage.START)
    alice = site.user()
    made = await alice.deploy()
    await alice.until(f"services/{made['id']}", "failed")
    with site.context.database.store(reads_only=True) as store:
        assert [t.revoked for t in store.tokens.find() if t.kind == "service"] == [True]


async def test_a_service_whose_build_failed_as_it_was_deployed_fails(site: Site) -> None:
    """The end of the build was told before there was a service to be told of it."""
    alice = site.user()
    await site.kill()
    made = await alice.deploy({**CODE, "environment.yml": BUILT})
    with site.context.database.store() as store:
        (build,) = store.builds.active()
        store.builds.update(build.id, state="failed", message="No such package.")
    site.start()
    found = await alice.until(f"services/{made['id']}", "failed")
    assert (found["reason"], found["message"]) == ("build_failed", "No such package.")


async def test_a_name_is_taken_once(site: Site) -> None:
    alice, _ = await running(site)
    upload = await alice.code()
    body = {"name": "digits", "upload": upload, "code_name": "digits"}
    answer = await alice.http.post("services", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")
    assert "kpl service delete digits" in answer.text


async def test_there_must_be_room_for_it(site: Site) -> None:
    alice, found = await running(site, resources={"gpu": 2})
    upload = await alice.code()
    body = {"name": "more", "upload": upload, "code_name": "d", "resources": {"gpu": 1}}
    answer = await alice.http.post("services", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_capacity")
    more = await alice.http.patch(f"services/{found['id']}", json={"replicas": 2})
    assert (more.status_code, more.json()["code"]) == (429, "never_fits")


async def test_a_service_lost_with_its_machine_comes_back(site: Site) -> None:
    alice, found = await running(site, replicas=2)
    await site.kill()
    await site.engine.forget(f"service-{found['id']}-1")
    site.start()

    async def is_back() -> bool:
        now = await alice.get(f"services/{found['id']}")
        return bool(site.engine.workloads and now["state"] == "running" and now["ready"] == 2)

    await until(is_back)


async def test_a_command_that_ends_well_is_told_that_a_service_goes_on(site: Site) -> None:
    alice, found = await running(site)
    await site.engine.finish(f"service-{found['id']}-1", exit_code=0)
    found = await alice.until(f"services/{found['id']}", "failed")
    assert found["reason"] == found["remedy"]["code"] == "service_ended"
    assert found["message"].startswith(
        "The command ended by itself and without an error; a service"
    )


async def test_what_the_log_says_explains_a_command_that_ends_well_too(site: Site) -> None:
    site.engine.script = Script(log=b"OSError: [Errno 98] Address already in use\n")
    alice, found = await running(site)
    await site.engine.finish(f"service-{found['id']}-1", exit_code=0)
    found = await alice.until(f"services/{found['id']}", "failed")
    assert found["reason"] == "address_in_use"


@pytest.mark.parametrize("cause", [Cause.LOST, Cause.KILLED, Cause.STOPPED])
async def test_replicas_that_others_ended_are_started_again(site: Site, cause: Cause) -> None:
    alice, found = await running(site)
    await site.engine.finish(f"service-{found['id']}-1", exit_code=-9, cause=cause)
    await until(lambda: f"service-{found['id']}-2" in site.engine.workloads)
    await alice.until(f"services/{found['id']}", "running")
    await until(lambda: set(site.engine.workloads) == {f"service-{found['id']}-2"})


async def test_killed_and_restarted_controllers_leave_a_running_service_alone(site: Site) -> None:
    alice, found = await running(site, replicas=2)
    made = site.workload(f"service-{found['id']}-1")
    before = await alice.get(f"services/{found['id']}")
    for _ in range(5):
        await site.restart()
        await until(lambda: site.controller.world.is_synced)
        await site.controller.queue.settled()
    assert site.workload(made.name) is made
    assert (await alice.get(f"services/{found['id']}"))["instances"] == before["instances"]


async def test_a_late_observation_does_not_undo_what_the_user_wants(site: Site) -> None:
    """The controller has read the service; before it writes, the user starts it anew."""
    from kpl_lab.platform.domain import service_states

    _, found = await running(site)
    await site.kill()
    database = site.context.database
    with database.store() as store:
        stale = store.services.get(found["id"])
        assert stale is not None
        service_states.start_anew(store, stale)
        seen = site.controller.world.seen[f"service-{found['id']}-1"]
        service_states.record_observation(store, stale, seen, None)
        service_states.note_stopped(store, stale)
        told = len(store.events.of("services", found["id"]))
        service_states.start_anew(store, stale)
        assert len(store.events.of("services", found["id"])) == told, "nothing was changed"
        now = store.services.get(found["id"])
        assert now is not None
        assert (now.state, now.instances, now.revision) == ("deploying", [], 2)
        store.services.update(found["id"], is_wanted=False, state="stopping")
        service_states.start_anew(store, now)
        assert (store.services.get(found["id"]) or now).state == "stopping", "its user stopped it"


async def test_the_log_of_a_replica_is_its_owner_s(site: Site) -> None:
    site.engine.script = Script(log=b"listening\n")
    alice, found = await running(site, access="workspace")
    page = await alice.get(f"services/{found['id']}/log", replica=0)
    assert page["text"] == "listening\n"
    bob = site.user("bob")
    assert (await bob.http.get(f"services/{found['id']}")).status_code == 200
    assert (await bob.http.get(f"services/{found['id']}/log")).status_code == 403


async def test_a_model_fills_the_input_and_is_named(site: Site) -> None:
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    alice = site.user()
    task = await alice.ended(await alice.submit())
    made = await alice.deploy(model="digits:1")
    assert (made["model"], made["task_id"]) == ("digits:1", task["id"])
    await alice.until(f"services/{made['id']}", "running")
    (given,) = site.workload(f"service-{made['id']}-1").inputs
    assert given.key == "model"
    assert given.source.endswith(f"models/{made['model_id']}/1")


async def test_who_may_call_is_changed_at_the_front_door(site: Site) -> None:
    alice, found = await running(site)
    name = f"kpl-svc-{found['id']}"
    await until(lambda: f"{name}-sign-in" in routes(site)["routers"][name]["middlewares"])
    answer = await alice.http.patch(f"services/{found['id']}", json={"access": "public"})
    assert answer.json()["access"] == "public"
    await until(lambda: f"{name}-sign-in" not in routes(site)["routers"][name]["middlewares"])


async def test_a_service_says_what_its_replicas_wait_for_and_no_longer_once_they_run(
    site: Site,
) -> None:
    alice, found = await running(site)
    path, name = f"services/{found['id']}", f"service-{found['id']}-1"
    text = "No node of the cluster takes it yet: 1 of 1 has too few GPUs free."
    waits = {"code": "insufficient_gpu", "text": text, "is_progress": False}

    async def told(text: str | None) -> bool:
        service = await alice.get(path)
        (instance,) = service["instances"]
        return bool((service["message"], instance["message"]) == (text, text))

    await see(site, name, 0, state=ReplicaState.STARTING, detail={"waits": waits})
    await until(lambda: told(text))
    events = (await alice.get(f"{path}/events"))["items"]
    assert [(e["level"], e["message"]) for e in events if e["message"] == text]
    on_the_way = {**waits, "text": "The node n1 is pulling the image x.", "is_progress": True}
    await see(site, name, 0, state=ReplicaState.STARTING, detail={"waits": on_the_way})
    await until(lambda: told("The node n1 is pulling the image x."))
    await see(site, name, 0, state=ReplicaState.READY, address="127.0.0.1:20000")
    await until(lambda: told(None))


async def test_a_replica_that_waits_says_so_beside_one_that_runs(site: Site) -> None:
    alice, found = await running(site, replicas=2)
    waits = {"code": "x", "text": "The quota q is reached.", "is_progress": False}
    await see(
        site,
        f"service-{found['id']}-1",
        1,
        state=ReplicaState.STARTING,
        detail={"waits": waits},
    )
    service = await alice.until(f"services/{found['id']}", "degraded")
    assert service["message"] == "The quota q is reached."
    assert [i["message"] for i in service["instances"]] == [None, "The quota q is reached."]
    events = (await alice.get(f"services/{found['id']}/events"))["items"]
    assert [e["kind"] for e in events if e["message"] == "The quota q is reached."] == ["state"]
