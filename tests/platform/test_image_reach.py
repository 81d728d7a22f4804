"""A daemon gives what it has to all; the platform lets nobody ask for what is not theirs."""

from __future__ import annotations

from kpl_lab.engines.spec import RegistryLogin
from tests.platform.running import Site
from tests.platform.test_image_builds import built, registered


async def test_what_only_the_daemon_knows_is_registered_by_nobody(docker: Site) -> None:
    alice, bob = docker.user(), docker.user("bob")
    body = {"name": "mine", "dockerfile": {"text": "FROM debian\n"}}
    made = await built(alice, await alice.post("builds", body))
    image = await alice.until(f"images/{made['image_id']}", "ready")
    for reference in ("kpl-environment/x:1", "docker.io/kpl-environment/x:1", "0" * 64, "ab"):
        answer = await bob.http.post("images", json={"name": "stolen", "reference": reference})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), reference
        assert "kpl image set" in answer.text
    assert (await alice.http.post(f"images/{image['id']}/look")).status_code == 200


async def test_an_image_behind_a_password_is_registered_by_who_has_one(docker: Site) -> None:
    alice, bob = docker.user(), docker.user("bob")
    reference = "corp.example/team/secret:1"
    before = await registered(docker, bob, "mine", reference)
    login = {"username": "ada", "password": "w0rd"}
    await registered(docker, alice, "secret", reference, credentials=login)
    for name in (reference, reference.replace(":1", ":2")):
        answer = await bob.http.post("images", json={"name": "other", "reference": name})
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "--password-stdin" in answer.text
    assert (await bob.http.post(f"images/{before['id']}/look")).status_code == 403
    await registered(docker, bob, "other", reference, credentials=login)
    assert docker.engine.logins[reference] == RegistryLogin(**login), "the registry is asked"
