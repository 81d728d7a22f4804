"""What a mount tells: how far it is, and which way it was made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kpl_lab.engines.fake import FakeEngine
from kpl_lab.engines.spec import Handle, MountResult
from kpl_lab.errors import EngineError
from kpl_lab.platform.runtime.reconcilers import servers
from tests.platform.conftest import zip_of
from tests.platform.running import Site, until
from tests.platform.test_second_tries import LAUNCH, create_server


@pytest.mark.parametrize("fails", [False, True])
async def test_a_mount_tells_how_far_it_is_and_which_way_it_went(
    site: Site, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    alice, hub = site.user(), site.internal()
    body = {"name": "fruit", "upload": await alice.upload(zip_of({"a.txt": b"a"}), "f.zip")}
    await alice.post("datasets", body)
    await alice.until("datasets/fruit", "ready")
    id = await create_server(site)
    await hub.post(f"internal/servers/{id}/start", LAUNCH)
    await hub.until(f"internal/servers/{id}", "running")
    go, asked = asyncio.Event(), [EngineError("The runner is away.")]

    async def mount(self: FakeEngine, handle: Handle, source: Any, name: str) -> MountResult:
        await go.wait()
        if fails:
            raise EngineError("No room.")
        return MountResult(path="x", enforced=True, note="This way.")

    async def mounting(self: FakeEngine, handle: Handle, name: str) -> tuple[int, int]:
        if asked:
            raise asked.pop()
        return 3 << 20, 7 << 20

    monkeypatch.setattr(servers, "_PROGRESS_SECONDS", 0.05)
    monkeypatch.setattr(FakeEngine, "mount", mount)
    monkeypatch.setattr(FakeEngine, "mounting", mounting)
    await alice.post(f"servers/{id}/mounts", {"dataset": "fruit"})

    async def says(state: str, message: str) -> bool:
        [found] = (await alice.get(f"servers/{id}/mounts"))["items"]
        return bool((found["state"], found["message"]) == (state, message))

    await until(lambda: says("mounting", "3 of 7 MiB are on its node."))
    go.set()
    end = ("failed", "No room.") if fails else ("mounted", "This way.")
    await until(lambda: says(*end))
    assert asked == []
