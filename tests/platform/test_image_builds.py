"""Images that users build: what they are made from, what may stand below them, how they end."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.fake import Script
from kpl_lab.engines.spec import Handle, ImageFacts, Push, Recipe, RegistryLogin
from kpl_lab.errors import EngineError
from kpl_lab.platform.domain import housekeeping, image_builds
from kpl_lab.platform.runtime.reconcilers import builds
from tests.platform.running import CODE, WAITS, Site, User
from tests.platform.test_builds import CODE_BUILT

DOCKERFILE = "FROM base\nCOPY a.txt /a.txt\n"
REQUIREMENTS = {"name": "mine", "requirements": "six==1.16\n"}


def context_tar(mode: str = "w", **files: str) -> bytes:
    """Return a packed context."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


async def refused(user: User, body: Any, code: str, status: int = 422) -> Any:
    answer = await user.http.post("builds", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


async def built(user: User, build: Any, state: str = "succeeded") -> Any:
    return await user.until(f"builds/{build['id']}", state)


async def registered(site: Site, user: User, name: str, reference: str, **more: Any) -> Any:
    made = await user.post("images", {"name": name, "reference": reference, **more})
    return await user.until(f"images/{made['id']}", "ready")


async def test_requirements_become_an_image_of_the_catalog(site: Site) -> None:
    alice = site.user()
    made = await alice.post("builds", {**REQUIREMENTS, "description": "with six"})
    assert (made["name"], made["kind"], made["for_catalog"]) == ("mine", "requirements", True)
    done = await built(alice, made)
    image = await alice.until(f"images/{done['image_id']}", "ready")
    assert (image["name"], image["owner"], image["source"]) == ("mine", "alice", "built")
    assert (image["description"], image["visibility"]) == ("with six", "private")
    assert image["reference"] == site.engine.images[done["digest"]]
    recipe = site.engine.recipes[f"build-{made['id']}"]
    assert recipe.files == {"requirements.txt": "six==1.16\n"}
    assert recipe.runs == ("pip install --requirement requirements.txt",)


async def test_the_same_requirements_are_made_once(site: Site) -> None:
    alice = site.user()
    await built(alice, await alice.post("builds", REQUIREMENTS))
    again = await built(alice, await alice.post("builds", {**REQUIREMENTS, "name": "other"}))
    assert again["cached"]
    assert f"build-{again['id']}" not in site.engine.recipes


async def test_a_name_that_is_there_gets_the_new_content_and_keeps_its_id(site: Site) -> None:
    alice = site.user()
    first = await built(alice, await alice.post("builds", REQUIREMENTS))
    changed = {**REQUIREMENTS, "requirements": "six==1.17\n"}
    second = await built(alice, await alice.post("builds", changed))
    assert first["image_id"] == second["image_id"]
    assert first["digest"] != second["digest"]
    image = await alice.until(f"images/{second['image_id']}", "ready")
    assert image["reference"] == site.engine.images[second["digest"]]


async def test_the_image_section_of_environment_yml_is_enough(site: Site) -> None:
    alice = site.user()
    text = "version: 1\nimage:\n  from_image: python:3.11\n  runs: [pip install six]\n"
    made = await alice.post("builds", {"name": "mine", "environment_yml": text})
    await built(alice, made)
    assert site.engine.recipes[f"build-{made['id']}"].runs == ("pip install six",)


async def test_a_dockerfile_needs_an_engine_with_images(site: Site) -> None:
    body = {"name": "mine", "dockerfile": {"text": DOCKERFILE}}
    told = await refused(site.user(), body, "no_images")
    assert "environment.yml or requirements.txt" in told["message"]


async def test_a_dockerfile_is_built_with_its_context_and_secrets(docker: Site) -> None:
    alice = docker.user()
    await registered(docker, alice, "base", "corp.example/base:1")
    upload = await alice.upload(context_tar(**{"a.txt": "a"}))
    source = {
        "text": DOCKERFILE,
        "upload": upload,
        "arguments": {"A": "b"},
        "secrets": {"pw": "s3cr3t-word"},
    }
    docker.engine.script = WAITS
    made = await alice.post("builds", {"name": "mine", "dockerfile": source})
    await alice.until(f"builds/{made['id']}", "running")
    recipe = docker.engine.recipes[f"build-{made['id']}"]
    assert recipe.dockerfile is not None
    assert recipe.dockerfile.text == "FROM corp.example/base:1\nCOPY a.txt /a.txt\n"
    assert recipe.dockerfile.secrets == {"pw": "s3cr3t-word"}
    context = str(recipe.dockerfile.context)
    assert _content(context) == context_tar(**{"a.txt": "a"})
    with docker.context.database.store() as store:
        record = store.builds.get(made["id"])
        assert record is not None
        assert "s3cr3t-word" not in repr(record)
    await docker.engine.finish(f"build-{made['id']}")
    await built(alice, made)
    assert _content(context) is None
    with docker.context.database.store() as store:
        record = store.builds.get(made["id"])
        assert record is not None
        assert record.sealed is None


async def test_nobody_builds_on_what_they_may_not_use(docker: Site) -> None:
    alice, bob = docker.user(), docker.user("bob")
    login = {"username": "ada", "password": "pw"}
    await registered(docker, alice, "secret", "corp.example/secret:1", credentials=login)
    for line in (
        "FROM corp.example/secret:1",
        "FROM corp.example/secret:2",
        "ARG B=corp.example/secret:1\nFROM $B",
        "FROM debian\nCOPY --from=corp.example/secret:1 / /",
        "FROM kpl-environment/test:abc",
        "FROM 49339d1101a4",
    ):
        body = {"name": "mine", "dockerfile": {"text": line + "\n"}}
        await refused(bob, body, "unknown_image")
    made = await bob.post("builds", {"name": "mine", "dockerfile": {"text": "FROM debian:12\n"}})
    await built(bob, made)


async def test_an_image_is_sent_with_a_password_that_is_forgotten_at_the_end(docker: Site) -> None:
    alice = docker.user()
    push = {
        "reference": "corp.example/team/mine:1",
        "credentials": {"username": "ada", "password": "w0rd"},
    }
    body = {"name": "mine", "dockerfile": {"text": "FROM debian\n"}, "push": push}
    made = await alice.post("builds", body)
    assert made["pushed_to"] == "corp.example/team/mine:1"
    await built(alice, made)
    login = RegistryLogin(username="ada", password="w0rd")
    wanted = Push(reference="corp.example/team/mine:1", login=login)
    assert docker.engine.recipes[f"build-{made['id']}"].push == wanted


@pytest.mark.parametrize(
    "reference",
    # The third one is how the base image of all servers may be called.
    ["mine", "-x/y:1", "kpl-lab/base:1", "corp.example/a@sha256:" + "0" * 64],
)
async def test_what_cannot_be_sent_to_is_refused(docker: Site, reference: str) -> None:
    body = {
        "name": "mine",
        "dockerfile": {"text": "FROM debian\n"},
        "push": {"reference": reference},
    }
    await refused(docker.user(), body, "invalid_reference")


async def test_an_archive_becomes_an_image(docker: Site) -> None:
    alice = docker.user()
    upload = await alice.upload(context_tar(**{"manifest.json": "[]"}), "image.tar")
    made = await alice.post("builds", {"name": "mine", "archive": upload})
    done = await built(alice, made)
    image = await alice.until(f"images/{done['image_id']}", "ready")
    assert image["source"] == "loaded"
    assert docker.engine.recipes[f"build-{made['id']}"].archive is not None


async def test_a_context_that_is_no_plain_tar_is_refused_and_leaves_nothing(docker: Site) -> None:
    alice = docker.user()
    for content in (b"nonsense" * 1000, context_tar("w:gz", a="b")):
        upload = await alice.upload(content, "context.tar")
        body = {"name": "mine", "dockerfile": {"text": "FROM debian\n", "upload": upload}}
        await refused(alice, body, "bad_archive")
    upload = await alice.upload(context_tar(a="b"))
    body = {"name": "mine", "dockerfile": {"text": "FROM\n", "upload": upload}}
    await refused(alice, body, "bad_dockerfile")
    folder = docker.context.files.path(image_builds.FOLDER)
    assert list(folder.iterdir()) == []
    body["dockerfile"] = {"text": "FROM debian\n", "upload": upload}  # its bytes are still there
    await built(alice, await alice.post("builds", body))


async def test_two_builds_of_one_name_at_once_are_refused(site: Site) -> None:
    site.engine.script = WAITS
    alice, bob = site.user(), site.user("bob")
    made = await alice.post("builds", REQUIREMENTS)
    told = await refused(alice, REQUIREMENTS, "build_running", 409)
    assert f"kpl build stop {made['id']}" in told["message"]
    await bob.post("builds", REQUIREMENTS)  # his is another one


async def test_exactly_one_source_is_wanted(site: Site) -> None:
    alice = site.user()
    for body in ({"name": "mine"}, {**REQUIREMENTS, "archive": 1}):
        answer = await alice.http.post("builds", json=body)
        assert answer.status_code == 422
        assert "exactly one of" in answer.json()["message"]


async def test_a_build_is_stopped_while_it_waits_and_while_it_runs(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    runs = await alice.post("builds", REQUIREMENTS)
    await alice.until(f"builds/{runs['id']}", "running")
    await alice.post(f"builds/{runs['id']}/stop")
    done = await built(alice, runs, "stopped")
    assert (done["reason"], done["message"]) == ("stopped", "The build was stopped.")
    assert done["image_id"] is None
    again = await alice.post("builds", REQUIREMENTS)
    assert again["digest"] == runs["digest"]
    await alice.until(f"builds/{again['id']}", "running")


async def test_what_code_waits_for_is_not_stopped(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    await alice.submit(CODE_BUILT)
    await alice.until("builds/1", "running")
    answer = await alice.http.post("builds/1/stop")
    assert (answer.status_code, answer.json()["code"]) == (409, "build_needed")


async def test_a_build_that_fails_says_why_and_leaves_the_image_of_its_name(site: Site) -> None:
    alice = site.user()
    first = await built(alice, await alice.post("builds", REQUIREMENTS))
    site.engine.script = Script(
        exit_code=1, log=b"ERROR: No matching distribution found for thing\n"
    )
    made = await alice.post("builds", {**REQUIREMENTS, "requirements": "thing\n"})
    done = await built(alice, made, "failed")
    assert "pip found no version that satisfies thing" in done["message"]
    image = await alice.get(f"images/{first['image_id']}")
    assert (image["state"], image["reference"]) == ("ready", site.engine.images[first["digest"]])
    assert "No matching distribution" in (await alice.get(f"builds/{made['id']}/log"))["text"]


async def test_a_build_is_its_owners_and_the_administrators(site: Site) -> None:
    alice, bob = site.user(), site.user("bob")
    made = await alice.post("builds", REQUIREMENTS)
    for path in (f"builds/{made['id']}", f"builds/{made['id']}/log"):
        assert (await bob.http.get(path)).status_code == 404
    assert (await bob.http.post(f"builds/{made['id']}/stop")).status_code == 404
    assert (await bob.get("builds"))["items"] == []
    assert [one["id"] for one in (await alice.get("builds"))["items"]] == [made["id"]]


async def test_what_another_build_is_making_already_is_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "AGAIN_SECONDS", 0.05)
    alice = site.user()
    whole, refusals = site.engine.build, iter([True, True])

    async def build(name: str, recipe: Recipe) -> AsyncIterator[Handle]:
        if next(refusals, False):
            raise EngineError("build-7 builds this environment already.", code="build_running")
        async for handle in whole(name, recipe):
            yield handle

    monkeypatch.setattr(site.engine, "build", build)
    await built(alice, await alice.post("builds", REQUIREMENTS))


async def test_code_does_not_wait_for_what_somebody_may_stop(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    text = CODE_BUILT["environment.yml"]
    made = await alice.post("builds", {"name": "mine", "environment_yml": text})
    await alice.until(f"builds/{made['id']}", "running")
    task = await alice.submit(CODE_BUILT)
    assert (await alice.get("builds"))["items"][0]["id"] != made["id"]
    await alice.post(f"builds/{made['id']}/stop")
    await built(alice, made, "stopped")
    assert (await alice.get(f"tasks/{task['id']}"))["state"] == "queued"


async def test_a_build_survives_the_controller(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    made = await alice.post("builds", REQUIREMENTS)
    await alice.until(f"builds/{made['id']}", "running")
    await site.restart()
    await site.engine.finish(f"build-{made['id']}")
    done = await built(alice, made)
    await alice.until(f"images/{done['image_id']}", "ready")


async def test_an_environment_is_saved_from_ones_own_running_server(site: Site) -> None:
    alice, bob = site.user(), site.user("bob")
    site.engine.catalog["/saved"] = ImageFacts(packages={"python": "3.11.7"})
    body = {**REQUIREMENTS, "server": 1}
    await refused(alice, body, "no_server", 404)
    await refused(bob, body, "no_server", 404)


async def test_what_a_crash_left_of_a_context_is_removed(docker: Site) -> None:
    alice = docker.user()
    docker.engine.script = WAITS
    upload = await alice.upload(context_tar(a="b"))
    body = {"name": "mine", "dockerfile": {"text": "FROM debian\n", "upload": upload}}
    await alice.post("builds", body)
    folder = docker.context.files.path(image_builds.FOLDER)
    (kept,) = folder.iterdir()
    left = folder / "left"
    left.write_text("x")
    for path in (kept, left):
        _age(path)
    with docker.context.database.store() as store:
        housekeeping.clean(store, docker.context.files, docker.context.options)
    assert list(folder.iterdir()) == [kept]


def _content(path: str) -> bytes | None:
    return Path(path).read_bytes() if Path(path).exists() else None


def _age(path: Path) -> None:
    os.utime(path, (0, 0))


async def test_a_from_image_that_is_spelt_wrongly_is_asked_for_and_its_neighbour_named(
    docker: Site,
) -> None:
    alice = docker.user()
    await registered(docker, alice, "base", "corp.example/base:1", aliases=["python:3.11"])
    docker.engine.script = WAITS
    task = await alice.submit(renamed("pyhton:3.11"))
    (notice,) = task["notices"]
    assert "its registry is asked for it. Did you mean 'python:3.11'?" in notice
    await alice.until(f"tasks/{task['id']}", "running")
    assert docker.workload(f"task-{task['id']}-1").image == "pyhton:3.11"
    assert (await alice.submit(renamed("corp.example/other:1")))["notices"] == []
    body = {"upload": await alice.code(renamed("Some Image"))}
    answer = await alice.http.post("tasks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_image")


def renamed(image: str) -> dict[str, str]:
    """Return code that asks for an image."""
    return {
        name: text.replace("python:3.11", image) if name == "environment.yml" else text
        for name, text in CODE.items()
    }
