"""The whole platform with its files in a bucket, on a real S3 server, and with that away."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kpl_dataset import WriteOnlyDataset
from kpl_lab.engines.fake import Script
from kpl_lab.errors import Conflict, Unavailable
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import kept_files
from kpl_lab.platform.storage import claims, upgrade
from kpl_lab.platform.storage.cached import RECENT_SECONDS, CachedFiles
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.remote import Owner
from kpl_lab.settings import Settings
from tests.object_storage import S3Server
from tests.platform.conftest import tar_of
from tests.platform.running import WAITS, Site, User, until

BUCKET = "kpl"


@pytest.fixture
def settings(
    settings: Settings,
    s3: S3Server,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Settings:
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    prefix = f"site-{abs(hash(request.node.nodeid)):x}"
    return replace(settings, storage_url=f"s3://{BUCKET}/{prefix}")


def files_of(context: Context) -> CachedFiles:
    assert isinstance(context.files, CachedFiles)
    return context.files


def keys(s3: S3Server, context: Context) -> list[str]:
    prefix = files_of(context).remote.bucket.url.removeprefix(f"s3://{BUCKET}/")
    found = [key.removeprefix(f"{prefix}/") for key in s3.keys(BUCKET) if key.startswith(prefix)]
    return [key for key in found if key != "kpl-lab.json"]


def forget_folder(context: Context) -> None:
    """Lose the local folder, but for uploads: what a new machine has."""
    for kind in ("datasets", "models", "code", "outputs", "logs", "kept"):
        shutil.rmtree(context.files.path(kind), ignore_errors=True)


def kpl_dataset(folder: Path) -> bytes:
    with WriteOnlyDataset(str(folder), "root", {"n": "Int"}) as writer:
        for n in range(3):
            writer.write({"n": n})
    return tar_of({path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


async def dataset(alice: User, folder: Path) -> None:
    upload = await alice.upload(kpl_dataset(folder))
    made = await alice.post("datasets", {"name": "thing", "upload": upload})
    done = await alice.until(f"datasets/{made['id']}", "ready", "failed")
    assert done["state"] == "ready", done["message"]


async def train(site: Site, alice: User) -> dict[str, object]:
    site.engine.script = Script(outputs={"save": {"m": b"1"}}, log=b"it said so\n")
    done: dict[str, object] = await alice.ended(await alice.submit())
    assert done["state"] == "succeeded", done["message"]
    return done


async def test_everything_still_works_when_the_folder_is_lost(
    site: Site, context: Context, tmp_path: Path, s3: S3Server
) -> None:
    alice = site.user()
    await dataset(alice, tmp_path / "d")
    first = await train(site, alice)
    await until(lambda: not files_of(context).pending, lambda: "the log to be sent")
    forget_folder(context)
    assert (await alice.get("datasets/thing/versions/1/records"))["total"] == 3
    answer = await alice.http.get("models/digits/versions/1/download")
    assert answer.status_code == 200
    assert b"model" in answer.content or len(answer.content) > 1024
    assert "it said so" in (await alice.get(f"tasks/{first['id']}/log"))["text"]

    async def has_code() -> bool:  # nobody waits for it; it is fetched for the next who looks
        return "train.py" in (await alice.get(f"tasks/{first['id']}"))["files"]

    await until(has_code)
    forget_folder(context)
    inputs = [{"key": "model", "kind": "model", "name": "digits"}]
    site.engine.script = WAITS
    task = await alice.submit(function="infer", inputs=inputs)
    await alice.until(f"tasks/{task['id']}", "running")
    (source,) = [i.source for i in site.workload(f"task-{task['id']}-1").inputs]
    assert (Path(source) / "m").read_bytes() == b"1"
    code = site.workload(f"task-{task['id']}-1").code or ""
    assert code == str(context.files.code(Path(code).name))
    assert context.files.is_at_hand(context.files.code(Path(code).name))


async def test_what_is_deleted_leaves_the_bucket(
    site: Site, context: Context, tmp_path: Path, s3: S3Server
) -> None:
    alice = site.user()
    await dataset(alice, tmp_path / "d")
    done = await train(site, alice)
    await until(lambda: not files_of(context).pending, lambda: "the log to be sent")
    found = {key.split("/")[1] for key in keys(s3, context) if key.startswith("manifests/")}
    assert found == {"datasets", "models", "code", "logs"}
    for path in ("datasets/thing", "models/digits", f"tasks/{done['id']}"):
        assert (await alice.http.delete(path)).status_code == 204
    await alice.gone(f"tasks/{done['id']}")

    def is_empty() -> bool:
        return all("/code/" in key for key in keys(s3, context))

    await until(is_empty, lambda: str(keys(s3, context)))


async def test_a_folder_of_before_is_sent_and_its_versions_stay_usable(
    site: Site, context: Context, tmp_path: Path, s3: S3Server
) -> None:
    """What was made on a folder alone is sent when a bucket is named."""
    await site.kill()
    plain = replace(context, files=FileStore(context.settings.home.storage))
    before = Site(plain, site.hub)
    before.start()
    alice = before.user()
    await dataset(alice, tmp_path / "d")
    site.engine = before.engine
    await train(before, alice)
    await before.kill()
    assert keys(s3, context) == []
    site.start()
    await until(lambda: kept_files.only_here(files_of(context)) == 0)
    forget_folder(context)
    after = site.user()
    assert (await after.get("datasets/thing/versions/1/records"))["total"] == 3


async def test_a_small_cache_keeps_what_is_in_use(
    site: Site, context: Context, tmp_path: Path
) -> None:
    alice = site.user()
    await dataset(alice, tmp_path / "d")
    await train(site, alice)
    site.engine.script = WAITS
    inputs = [{"key": "model", "kind": "model", "name": "digits"}]
    task = await alice.submit(function="infer", inputs=inputs)
    await alice.until(f"tasks/{task['id']}", "running")
    files = files_of(context)
    old = time.time() - 2 * RECENT_SECONDS
    for note in files.path("kept").rglob("*"):
        os.utime(note, (old, old))
    with context.database.store() as store:
        known = kept_files.known(store, files)
    await asyncio.to_thread(kept_files.shrink, files, known.used, 1, lambda: None)
    assert files.model(1, 1).exists(), "a running task reads it"
    assert not files.dataset(1, 1).exists()
    assert files.code(site.workload(f"task-{task['id']}-1").code or "").exists()
    assert (await alice.get("datasets/thing/versions/1/records"))["total"] == 3


async def test_orphans_of_the_bucket_go_and_others_stay(
    site: Site, context: Context, tmp_path: Path, s3: S3Server
) -> None:
    alice = site.user()
    await dataset(alice, tmp_path / "d")
    for _ in range(3):
        await train(site, alice)
    assert (await alice.http.delete("tasks/2")).status_code == 204
    await alice.gone("tasks/2")
    await until(lambda: not files_of(context).pending)
    await site.kill()
    files = files_of(context)
    kept = files.remote.names()
    gone = ("outputs/2/out", "logs/tasks/2-1.log")
    later = ("datasets/77/1", "outputs/4/out", "logs/servers/1.log", "outputs/x/y")
    for name in (*gone, *later):
        files.remote.send(tmp_path / "d", name)

    tidy(context, dt.timedelta())
    assert len(files.remote.names()) == len(kept) + 6, "they are young"
    tidy(context, dt.timedelta(hours=2))
    assert files.remote.names().keys() == {*kept, *later}, "later ones are of a newer database"


def tidy(context: Context, later: dt.timedelta, cache_mb: int = 0) -> None:
    """Do what the controller does now and then, so much later."""
    files = files_of(context)

    def ask() -> kept_files.Known:
        with context.database.store() as store:
            return kept_files.known(store, files)

    kept_files.tidy(files, ask, dt.datetime.now(dt.UTC) + later, cache_mb, lambda: None)


async def test_an_empty_database_removes_nothing(
    site: Site,
    context: Context,
    tmp_path: Path,
    settings: Settings,
    s3: S3Server,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The home and its database were lost; the bucket holds all that is left."""
    alice = site.user()
    await dataset(alice, tmp_path / "d")
    await train(site, alice)
    await until(lambda: not files_of(context).pending)
    await site.kill()
    before = keys(s3, context)
    url = f"sqlite:///{tmp_path / 'fresh.sqlite'}"
    upgrade.upgrade(url)
    fresh = replace(context, database=Database(url))
    tidy(fresh, dt.timedelta(days=3))
    assert keys(s3, context) == before
    assert "the database has no datasets" in caplog.text
    remote = files_of(context).remote
    for refused in (claims.claim, claims.check):
        with pytest.raises(Conflict, match="filled with another database") as caught:
            refused(fresh.database, remote, settings.instance)
        assert caught.value.code == "storage_of_another_database"
    claims.claim(context.database, remote, settings.instance)  # the right one is let in
    remote.bucket.delete(["kpl-lab.json"])
    claims.claim(fresh.database, remote, settings.instance)  # adopted knowingly
    with pytest.raises(Conflict, match="filled with another database"):
        claims.check(context.database, remote, settings.instance)
    fresh.database.close()


async def test_a_controller_on_another_database_touches_nothing(
    site: Site, context: Context, s3: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await until(lambda: files_of(context).remote.owner() is not None)
    await site.kill()
    files = files_of(context)
    for number in (1, 2, 3):
        files.remote.send(tmp_path, f"datasets/{number}/1")
    files.remote.own(Owner(context.settings.instance, "another"))
    before = keys(s3, context)
    site.start()
    await until(lambda: "filled with another database" in caplog.text)
    assert keys(s3, context) == before


async def test_a_log_of_a_former_installation_is_not_taken_for_ones_own(
    site: Site, context: Context, tmp_path: Path
) -> None:
    files = files_of(context)
    (tmp_path / "old").write_text("of another task\n")
    files.remote.send(tmp_path / "old", "logs/tasks/1.log")
    alice = site.user()
    done = await train(site, alice)
    assert done["id"] == 1
    await until(lambda: not files.pending)
    forget_folder(context)
    assert (await alice.get("tasks/1/log"))["text"] == "it said so\n"


@pytest.mark.slow
async def test_an_import_and_a_task_wait_for_a_server_that_is_away_and_say_why(
    own_s3: S3Server,
    site: Site,
    context: Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in own_s3.variables.items():
        monkeypatch.setenv(name, value)
    alice = site.user()
    bucket = files_of(context).remote.bucket
    bucket._attempts, bucket._made = 1, None
    await train(site, alice)
    upload = await alice.upload(kpl_dataset(tmp_path / "d"))
    site.engine.script = WAITS
    shutil.rmtree(context.files.path("models"))
    own_s3.kill()
    made = await alice.post("datasets", {"name": "thing", "upload": upload})
    inputs = [{"key": "model", "kind": "model", "name": "digits"}]
    task = await alice.submit(function="infer", inputs=inputs)

    async def both_say_why() -> bool:
        dataset = await alice.get(f"datasets/{made['id']}")
        said = (
            dataset["versions"][0]["message"],
            (await alice.get(f"tasks/{task['id']}"))["message"],
        )
        return all("does not answer" in (text or "") for text in said)

    await until(both_say_why)
    own_s3.start()
    own_s3.make_bucket(BUCKET)
    done = await alice.until(f"datasets/{made['id']}", "ready", "failed")
    assert (done["state"], done["versions"][0]["message"]) == ("ready", None)
    running = await alice.until(f"tasks/{task['id']}", "running", "failed")
    assert (running["state"], running["message"]) == ("running", None)


async def test_nothing_waits_for_a_silent_bucket_inside_a_transaction(
    site: Site, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = site.user()
    site.engine.script = WAITS
    running = await alice.submit()
    await alice.until(f"tasks/{running['id']}", "running")
    draft = await alice.submit(draft=True)
    service = await alice.deploy()
    ended = await alice.post(f"tasks/{draft['id']}/stop")
    files = files_of(context)
    may_answer = threading.Event()

    def silent(_key: str) -> None:
        may_answer.wait(60)
        raise Unavailable("The object storage does not answer.")

    monkeypatch.setattr(files.remote.bucket, "get", silent)
    forget_folder(context)
    try:
        began = time.monotonic()
        stopped = await alice.post(f"tasks/{running['id']}/stop")
        assert (stopped["command"], stopped["files"]) == ("", [])
        assert (await alice.get(f"services/{service['id']}"))["interface"] == []
        changed = await alice.http.patch(f"services/{service['id']}", json={"description": "less"})
        assert changed.status_code == 200, changed.text
        assert (await alice.http.delete(f"tasks/{ended['id']}")).status_code == 204
        assert time.monotonic() - began < 10
        done = await alice.ended(running)
        assert done["state"] == "stopped"
    finally:
        may_answer.set()


async def test_a_task_whose_input_is_damaged_fails_and_says_so(
    site: Site, context: Context, s3: S3Server
) -> None:
    alice = site.user()
    await train(site, alice)
    bucket = files_of(context).remote.bucket
    (key,) = [one.key for one in bucket.list("trees/models/")]
    bucket.put(key, b"2")
    shutil.rmtree(context.files.path("models"))
    inputs = [{"key": "model", "kind": "model", "name": "digits"}]
    done = await alice.ended(await alice.submit(function="infer", inputs=inputs))
    assert done["state"] == "failed"
    assert "models/1/1 is damaged in the object storage" in done["message"]
