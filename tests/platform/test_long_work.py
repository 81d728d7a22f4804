"""Imports and collections take minutes: beside them everything else goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.fake import FakeEngine, Script
from kpl_lab.platform.runtime.reconcilers.imports import ImportReconciler
from tests.platform.conftest import tar_of
from tests.platform.running import WAITS, Site, User, until

MANY = 10


class Gate:
    """Holds up whoever comes to it, and counts them."""

    def __init__(self) -> None:
        self.waiting = self.most_waiting = 0
        self._is_open = asyncio.Event()

    async def __call__(self) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await self._is_open.wait()
        finally:
            self.waiting -= 1

    def open(self) -> None:
        self._is_open.set()


@contextmanager
def held_up(owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Hold up every call of a method before it begins."""
    gate, real = Gate(), getattr(owner, name)

    async def wait_and_go_on(*given: Any, **named: Any) -> Any:
        await gate()
        return await real(*given, **named)

    monkeypatch.setattr(owner, name, wait_and_go_on)
    yield gate
    gate.open()


def importers_of(upload: Path) -> list[str]:
    """Return the processes that import an upload."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"kpl_lab.platform.importers" in command and f'"{upload}"'.encode() in command:
                found.append(process.name)
    return found


async def send_datasets(alice: User, count: int) -> None:
    for number in range(count):
        upload = await alice.upload(b"a,b\n", "table.csv")
        await alice.post("datasets", {"name": f"table {number}", "upload": upload})


async def test_many_imports_at_once_hold_up_no_task_and_no_more_than_two_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    site.engine.script = WAITS
    with held_up(ImportReconciler, "_run", monkeypatch) as gate:
        await send_datasets(alice, MANY)
        await until(lambda: gate.waiting == 2)
        task = await alice.submit()
        await alice.until(f"tasks/{task['id']}", "running")
        await alice.post(f"tasks/{task['id']}/stop")
        assert (await alice.ended(task))["state"] == "stopped"
    for number in range(MANY):
        await alice.until(f"datasets/table {number}", "ready")
    assert gate.most_waiting == 2


async def test_many_large_outputs_hold_up_no_service_and_no_more_than_two_are_collected(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    site.engine.script = Script(outputs={"save": {"m": b"1"}})
    with held_up(FakeEngine, "collect", monkeypatch) as gate:
        sent = [await alice.submit() for _ in range(MANY)]
        await until(lambda: gate.waiting == 2)
        service = await alice.deploy(name="beside")
        await alice.until(f"services/{service['id']}", "running")
        assert {(await alice.get(f"tasks/{t['id']}"))["state"] for t in sent} <= {
            "queued",
            "preparing",
            "running",
        }
    for task in sent:
        done = await alice.ended(task)
        assert (done["state"], done["message"]) == ("succeeded", None)
    assert gate.most_waiting == 2


async def test_a_task_that_is_deleted_while_its_outputs_are_collected_leaves_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    site.engine.script = Script(outputs={"out": {"report.txt": b"1"}})
    with held_up(FakeEngine, "collect", monkeypatch) as gate:
        task = await alice.submit(function="test")
        await until(lambda: gate.waiting == 1)
        assert (await alice.http.delete(f"tasks/{task['id']}")).status_code in (202, 204)
        await site.controller.queue.settled()
        assert gate.waiting == 1
    await alice.gone(f"tasks/{task['id']}")
    await until(lambda: not site.engine.workloads)
    await until(lambda: not site.context.files.path("outputs", task["id"]).exists())


async def test_a_model_of_very_many_files_becomes_ready(site: Site) -> None:
    """What there is to tell of it is more than goes into a pipe, or into a line of one."""
    alice = site.user()
    folders = "/".join(letter * 200 for letter in "abcdef")
    packed = tar_of({f"{folders}/{number}": b"" for number in range(6000)})
    upload = await alice.upload(packed, "model.tar")
    await alice.post("models", {"name": "many", "upload": upload})
    found = await alice.until("models/many", "ready", "failed")
    assert found["state"] == "ready", found
    assert len(found["versions"][0]["files"]) == 6000
    assert not any(site.context.files.path("incoming").iterdir())


async def test_the_controller_ends_without_waiting_for_an_import(site: Site) -> None:
    """The upload is a pipe into which nobody writes: its import never gets on."""
    await site.kill()
    alice = site.user()
    upload = await alice.upload(b"a", "data.tar")
    await alice.post("datasets", {"name": "slow", "upload": upload})
    stored = site.context.files.upload(upload)
    stored.unlink()
    os.mkfifo(stored)
    site.start()
    await until(lambda: importers_of(stored))
    async with asyncio.timeout(10):
        await site.kill()
    assert importers_of(stored) == []
    with site.context.database.store(reads_only=True) as store:
        assert [v.state for v in store.dataset_versions.in_state("preparing")] == ["preparing"]
