"""What is asked for again: after a failure, by a caller who lost the answer, or too early."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.engines.spec import Cause, Handle, MountResult
from kpl_lab.errors import Unavailable
from kpl_lab.platform.domain import code, uploads
from kpl_lab.platform.domain.code import Code
from tests.platform.conftest import zip_of
from tests.platform.running import BUILT, CODE, Site, until

LAUNCH = {"command": ["jupyterhub-singleuser"], "environment": {}}
BUILT_CODE = CODE | {"environment.yml": BUILT}


async def create_server(site: Site, **facts: Any) -> int:
    limits = {"cpu": 1, "memory": 12000, "gpu": 0, "shm": 64}
    body = {"user": "alice", "name": "", "image": "base", "resources": limits, **facts}
    return int((await site.internal().post("internal/servers", body))["id"])


async def test_a_server_that_is_started_twice_is_not_refused_for_itself(site: Site) -> None:
    hub = site.internal()
    id = await create_server(site)
    await hub.post(f"internal/servers/{id}/start", LAUNCH)
    again = await hub.post(f"internal/servers/{id}/start", LAUNCH)
    assert again["state"] in ("starting", "running")
    await hub.until(f"internal/servers/{id}", "running")


async def test_wishes_of_the_start_page_that_cannot_be_do_not_hold_a_server_back(
    site: Site,
) -> None:
    hub = site.internal()
    id = await create_server(site, mounts=["nobodys", "a:b:c", "x:latest", ""])
    await hub.post(f"internal/servers/{id}/start", LAUNCH)
    await hub.until(f"internal/servers/{id}", "running")
    said = (await site.user().get(f"servers/{id}/events"))["items"]
    assert any(e["level"] == "warning" and "nobodys" in e["message"] for e in said)


async def test_a_mount_waits_for_an_engine_that_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, hub = site.user(), site.internal()
    body = {"name": "fruit", "upload": await alice.upload(zip_of({"a.txt": b"a"}), "f.zip")}
    await alice.post("datasets", body)
    await alice.until("datasets/fruit", "ready")
    id = await create_server(site)
    await hub.post(f"internal/servers/{id}/start", LAUNCH)
    await hub.until(f"internal/servers/{id}", "running")
    whole, failures = FakeEngine.mount, [1, 1]

    async def mount(self: FakeEngine, handle: Handle, source: Any, name: str) -> MountResult:
        if failures:
            failures.pop()
            raise Unavailable("The runner does not answer.")
        return await whole(self, handle, source, name)

    monkeypatch.setattr(FakeEngine, "mount", mount)
    await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})

    async def is_mounted() -> bool:
        [found] = (await alice.get(f"servers/{id}/mounts"))["items"]
        assert found["state"] != "failed", found
        return bool(found["state"] == "mounted")

    await until(is_mounted)
    assert failures == []


async def test_starting_a_service_builds_its_failed_environment_anew(site: Site) -> None:
    scripts = {"build-1": Script(exit_code=1, log=b"ERROR: ResolutionImpossible\n")}
    site.engine.script = lambda workload: scripts.get(workload.name, Script())
    alice = site.user()
    await alice.deploy(BUILT_CODE)
    failed = await alice.until("services/digits", "failed")
    assert failed["reason"] == "build_failed"
    started = await alice.http.patch("services/digits", json={"running": True})
    assert started.status_code == 200, started.text
    await alice.until("services/digits", "running")
    assert (await alice.get("builds/2"))["state"] == "succeeded"


async def test_a_failed_service_that_is_scaled_begins_anew(site: Site) -> None:
    site.engine.script = Script()
    alice = site.user()
    await alice.deploy()
    await alice.until("services/digits", "running")
    await site.engine.finish("service-1-1", exit_code=1, cause=Cause.EXIT)
    await alice.until("services/digits", "failed")
    scaled = await alice.http.patch("services/digits", json={"replicas": 2})
    assert scaled.status_code == 200, scaled.text
    found = await alice.until("services/digits", "running")
    assert (found["ready"], found["replicas"]) == (2, 2)
    await until(lambda: set(site.engine.workloads) == {"service-1-2"})


async def test_an_import_that_is_interrupted_as_it_ends_leaves_no_upload(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, whole, failures = site.user(), uploads.discard, [1]

    def discard(*given: Any) -> None:
        if failures:
            failures.pop()
            raise Unavailable("The database does not answer.")
        whole(*given)

    monkeypatch.setattr(uploads, "discard", discard)
    upload = await alice.upload(zip_of({"a.txt": b"a"}), "f.zip")
    await alice.post("datasets", {"name": "fruit", "upload": upload})
    found = await alice.until("datasets/fruit", "ready")
    assert [version["number"] for version in found["versions"]] == [1]
    assert failures == []
    assert not site.context.files.upload(upload).exists()
    with site.context.database.store() as store:
        assert store.uploads.get(upload) is None


async def test_a_try_whose_upload_another_one_has_used_meanwhile_gets_the_same_task(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, key = site.user(), {"Idempotency-Key": "one"}
    body = {"upload": await alice.code(), "code_name": "digits"}
    whole, is_first = code.store_code, iter([True])
    entered, made = threading.Event(), threading.Event()

    def late(*given: Any) -> Code:
        if next(is_first, False):
            entered.set()
            assert made.wait(30)
        return whole(*given)

    monkeypatch.setattr(code, "store_code", late)
    slow = asyncio.create_task(alice.post("tasks", body, **key))
    assert await asyncio.to_thread(entered.wait, 30)
    fast = await alice.post("tasks", body, **key)
    made.set()
    assert (await slow)["id"] == fast["id"]
    refused = await alice.http.post("tasks", json=body)
    assert refused.status_code == 404, refused.text
