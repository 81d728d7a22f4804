"""The front door's file: who may call, where calls go, and what a replica never sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from kpl_lab.clock import ManualClock
from kpl_lab.platform import auth
from kpl_lab.platform.auth import WorkloadKind
from kpl_lab.platform.runtime.frontdoor import NO_REPLICA_PATH, NO_SERVICE_PATH, write
from tests.platform.running import Site, until

FILE = "dynamic/platform.yml"


def file_of(site: Site) -> Path:
    return site.context.settings.home.frontdoor / FILE


def http(site: Site) -> Any:
    return yaml.safe_load(file_of(site).read_text("utf-8"))["http"]


async def until_written(site: Site, name: str) -> Any:
    await until(lambda: file_of(site).exists() and name in http(site)["routers"])
    return http(site)


async def until_served(site: Site, name: str, replicas: int) -> Any:
    def is_served() -> bool:
        found = http(site)["services"].get(name)
        return found is not None and len(found["loadBalancer"]["servers"]) == replicas

    await until(is_served)
    return http(site)


async def test_only_the_api_is_public_and_its_internal_part_is_closed(site: Site) -> None:
    found = await until_written(site, "kpl-platform")
    rules = {name: router["rule"] for name, router in found["routers"].items()}
    assert rules == {
        "kpl-platform": 'PathPrefix("/kpl/api")',
        "kpl-internal": 'PathPrefix("/kpl/api/v1/internal")',
        "kpl-no-service": 'PathPrefix("/svc/")',
    }
    closed, platform = found["routers"]["kpl-internal"], found["routers"]["kpl-platform"]
    assert closed["priority"] > platform["priority"]
    [guard] = closed["middlewares"]
    assert found["middlewares"][guard] == {"ipAllowList": {"sourceRange": ["255.255.255.255/32"]}}


async def test_calls_go_to_ready_replicas_in_a_sandbox_without_cookies(site: Site) -> None:
    alice = site.user()
    await alice.deploy(replicas=2)
    found = await until_served(site, "kpl-svc-1", 2)
    router = found["routers"]["kpl-svc-1"]
    assert 'PathPrefix("/svc/default/digits/")' in router["rule"]
    chain = router["middlewares"]
    # Who may call is asked while the token is still there; then it is taken off.
    # Last, so that another replica is tried and not the caller's right asked anew.
    assert chain == ["kpl-svc-1-sign-in", "kpl-sandbox", "kpl-svc-1-strip", "kpl-retry"]
    headers = found["middlewares"]["kpl-sandbox"]["headers"]
    assert headers["customRequestHeaders"] == {"Cookie": "", "Authorization": ""}
    answer = headers["customResponseHeaders"]
    assert answer["Content-Security-Policy"] == "sandbox allow-scripts allow-forms"
    assert answer["Set-Cookie"] == ""
    strip = found["middlewares"]["kpl-svc-1-strip"]
    assert strip == {"stripPrefix": {"prefixes": ["/svc/default/digits"]}}


async def test_while_no_replica_is_ready_the_platform_answers(site: Site) -> None:
    alice = site.user()
    await alice.deploy()
    await until_served(site, "kpl-svc-1", 1)
    stopped = await alice.http.patch("services/digits", json={"running": False})
    assert stopped.status_code == 200
    await until(lambda: "kpl-svc-1" not in http(site)["services"])
    found = http(site)
    router = found["routers"]["kpl-svc-1"]
    assert router["service"] == "kpl-platform"
    assert router["middlewares"] == ["kpl-svc-1-sign-in", "kpl-no-replica"]
    assert found["middlewares"]["kpl-no-replica"] == {"replacePath": {"path": NO_REPLICA_PATH}}
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await site.client("").request(method, f"http://platform{NO_REPLICA_PATH}")
        assert answer.status_code == 503
        assert "No replica" in answer.json()["message"]


async def test_below_svc_an_unknown_address_is_not_found_in_words(site: Site) -> None:
    alice = site.user()
    await alice.deploy()
    found = await until_written(site, "kpl-svc-1")
    catch_all = found["routers"]["kpl-no-service"]
    assert catch_all["service"] == "kpl-platform"
    assert catch_all["priority"] < found["routers"]["kpl-svc-1"]["priority"]
    assert found["middlewares"]["kpl-no-service"] == {"replacePath": {"path": NO_SERVICE_PATH}}
    for method in ("GET", "POST", "PUT", "DELETE"):
        answer = await site.client("").request(method, f"http://platform{NO_SERVICE_PATH}")
        assert answer.status_code == 404
        assert "No service has this address" in answer.json()["message"]


async def test_a_deleted_service_has_no_route_and_a_lost_file_is_written_again(site: Site) -> None:
    alice = site.user()
    await alice.deploy(access="public")
    found = await until_served(site, "kpl-svc-1", 1)
    assert "kpl-svc-1-sign-in" not in found["routers"]["kpl-svc-1"]["middlewares"]
    file_of(site).unlink()
    await until_written(site, "kpl-svc-1")
    assert (await alice.http.delete("services/digits")).status_code == 204
    await until(lambda: "kpl-svc-1" not in http(site)["routers"])


@pytest.mark.parametrize("name", ['a"b', "a`b", "名 前", "a{b}", "a$b"])
async def test_no_name_breaks_out_of_its_rule(site: Site, name: str) -> None:
    alice = site.user()
    body = {"name": name, "upload": await alice.code(), "code_name": "digits"}
    answer = await alice.http.post("services", json=body)
    if answer.status_code != 201:
        assert answer.status_code == 422, answer.text
        return
    found = await until_written(site, "kpl-svc-1")
    rule = found["routers"]["kpl-svc-1"]["rule"]
    quoted = name.replace('"', '\\"')
    assert rule.count(quoted) == 2
    assert rule.startswith('PathPrefix("/svc/default/')


def test_what_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    target = tmp_path / "dynamic" / "platform.yml"
    assert write(target, {"http": {"routers": {"a": 1}}})
    before = target.stat().st_mtime_ns
    assert not write(target, {"http": {"routers": {"a": 1}}})
    assert target.stat().st_mtime_ns == before
    assert write(target, {"http": {}})
    assert [p.name for p in target.parent.iterdir()] == ["platform.yml"]


@pytest.mark.parametrize(
    ("access", "name", "status"),
    [
        ("private", "alice", 200),
        ("private", "bob", 403),
        ("workspace", "bob", 200),
        ("public", "bob", 200),
    ],
)
async def test_the_front_door_learns_who_may_call(
    site: Site, access: str, name: str, status: int
) -> None:
    made = await site.user("alice").deploy(access=access)
    answer = await site.user(name).http.get(f"internal/authorize/{made['id']}")
    assert answer.status_code == status, answer.text


async def test_strangers_call_public_services_alone(site: Site) -> None:
    alice = site.user()
    made = await alice.deploy()
    question = f"internal/authorize/{made['id']}"
    stranger = site.client()
    assert (await stranger.get(question)).status_code == 401
    await alice.http.patch("services/digits", json={"access": "public"})
    assert (await stranger.get(question)).status_code == 200
    assert (await stranger.get("internal/authorize/99")).status_code == 404
    assert (await stranger.get("internal/authorize/x")).status_code == 422


@pytest.mark.parametrize("kind", ["task", "service", "notebook"])
async def test_code_that_runs_here_does_not_call_the_services_of_its_owner(
    site: Site, kind: WorkloadKind
) -> None:
    made = await site.user("alice").deploy(access="workspace")
    with site.context.database.store() as store:
        token = auth.issue(store, site.context.jwt_key, kind, 1, "alice")
    headers = {"Authorization": f"token {token}"}
    answer = await site.client().get(f"internal/authorize/{made['id']}", headers=headers)
    assert answer.status_code == 401, answer.text


async def test_a_yes_is_remembered_for_a_moment_and_for_that_token_alone(
    site: Site, clock: ManualClock
) -> None:
    alice = site.user()
    made = await alice.deploy(access="workspace")
    question = f"internal/authorize/{made['id']}"
    bob = site.user("bob")
    assert (await bob.http.get(question)).status_code == 200
    await alice.http.patch("services/digits", json={"access": "private"})
    assert (await bob.http.get(question)).status_code == 200, "a moment ago he might"
    assert (await site.user("carol").http.get(question)).status_code == 403
    assert (await site.client().get(question)).status_code == 401
    clock.advance(5)
    assert (await bob.http.get(question)).status_code == 403


class Door:
    """A front door that takes routes up when the test says so."""

    def __init__(self) -> None:
        self.is_quick = False
        self.asked = 0

    async def serves(self, name: str, urls: frozenset[str]) -> bool:
        assert name == "kpl-svc-1"
        assert len(urls) == 2
        self.asked += 1
        return self.is_quick


async def test_a_service_runs_only_when_calls_reach_it(site: Site) -> None:
    door = site.controller.world.front_door = Door()
    alice = site.user()
    made = await alice.deploy(replicas=2)
    await until(lambda: door.asked > 3)
    found = await alice.get(f"services/{made['id']}")
    assert (found["state"], found["ready"]) == ("deploying", 2)
    door.is_quick = True
    await alice.until(f"services/{made['id']}", "running")


async def test_a_front_door_that_says_nothing_is_not_waited_for_without_end(
    site: Site, clock: ManualClock
) -> None:
    door = site.controller.world.front_door = Door()
    alice = site.user()
    made = await alice.deploy(replicas=2)
    await until(lambda: door.asked > 3)
    clock.advance(10)
    await alice.until(f"services/{made['id']}", "running")
