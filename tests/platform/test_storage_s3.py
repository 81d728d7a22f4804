"""Files in a bucket, on a real S3 server: whole or not at all, fetched once, checked, forgotten here."""

from __future__ import annotations

import datetime as dt
import gc
import multiprocessing
import os
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.errors import Conflict, Invalid, KplError, NotFound, StorageFull, Unavailable
from kpl_lab.platform.api.downloads import COPY_BYTES, _tar_parts
from kpl_lab.platform.domain import kept_files
from kpl_lab.platform.domain.kept_files import Known
from kpl_lab.platform.storage import bucket as buckets
from kpl_lab.platform.storage import claims, upgrade
from kpl_lab.platform.storage.bucket import Bucket
from kpl_lab.platform.storage.cached import RECENT_SECONDS, WAITERS, CachedFiles
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.files import make_read_only, remove_tree
from kpl_lab.platform.storage.manifests import PACK_BYTES
from kpl_lab.platform.storage.remote import Owner, Remote
from kpl_lab.settings import load
from kpl_lab.supervisor.control import check_storage
from tests.object_storage import KEY, READER, READER_SECRET, SECRET, S3Server

BUCKET = "kpl"
LARGE = PACK_BYTES + 3
SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(s3: S3Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of the test's own."""
    for name, value in s3.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture
def files(tmp_path: Path, url: str) -> CachedFiles:
    return opened(tmp_path / "storage", url)


def opened(root: Path, url: str) -> CachedFiles:
    return CachedFiles(root, Remote(Bucket(url, attempts=2)))


def fill(folder: Path, seed: bytes = b"x") -> None:
    """Make a folder with all kinds of files in it."""
    (folder / "deep" / "empty").mkdir(parents=True)
    (folder / "deep" / "a b\udcff.bin").write_bytes(seed * 100)
    (folder / "none").touch()
    (folder / "large").write_bytes(os.urandom(LARGE))
    (folder / "run.sh").write_text("exit 0\n")
    make_read_only(folder)
    (folder / "run.sh").chmod(0o555)
    folder.chmod(0o755)


def publish(files: CachedFiles, target: Path, seed: bytes = b"x") -> dict[str, object]:
    with files.incoming() as folder:
        (folder / "it").mkdir()
        fill(folder / "it", seed)
        files.publish(folder / "it", target)
    target.chmod(0o555)
    return seen(target)


def seen(folder: Path) -> dict[str, object]:
    """What there is in a folder: names, modes, times, bytes."""
    return {
        str(path.relative_to(folder)): (
            oct(path.stat().st_mode),
            (int(path.stat().st_mtime), path.read_bytes()) if path.is_file() else None,
        )
        for path in (folder, *folder.rglob("*"))
    }


def age(files: CachedFiles) -> None:
    """Let everything have been used long ago, by another process."""
    long_ago = time.time() - 2 * RECENT_SECONDS
    for note in (files.root / "kept").rglob("*"):
        os.utime(note, (long_ago, long_ago))


def keys(s3: S3Server, files: CachedFiles) -> list[str]:
    prefix = files.remote.bucket.url.removeprefix(f"s3://{BUCKET}/")
    return [key for key in s3.keys(BUCKET) if key.startswith(f"{prefix}/")]


def test_what_was_published_comes_back_as_it_was(files: CachedFiles) -> None:
    target = files.dataset(1, 1)
    before = publish(files, target)
    shutil.rmtree(files.root)
    assert files.at_hand(target) == target
    assert seen(target) == before
    assert list(files.path("incoming").iterdir()) == []


def test_a_file_alone_is_kept_too(files: CachedFiles) -> None:
    log = files.task_log(7)
    log.parent.mkdir(parents=True)
    log.write_text("what it said\n")
    files.keep(log)
    files.catch_up()
    assert files.is_sent(log)
    assert not files.pending
    shutil.rmtree(files.root)
    assert files.has(log)
    assert log.read_text() == "what it said\n"


def test_what_was_never_kept_is_not_there(files: CachedFiles) -> None:
    assert not files.has(files.task_log(1))
    with pytest.raises(NotFound, match="models/1/1 is neither"):
        files.at_hand(files.model(1, 1))


def test_the_same_code_is_sent_once(files: CachedFiles, s3: S3Server) -> None:
    for _ in range(2):
        with files.incoming() as folder:
            (folder / "it").mkdir()
            (folder / "it" / "train.py").write_text("print()\n")
            files.publish_same(folder / "it", files.code("digest"))
    assert len(keys(s3, files)) == 2
    assert files.code("digest").stat().st_mode & 0o777 == 0o555


def test_removing_leaves_nothing_and_takes_no_neighbour(files: CachedFiles, s3: S3Server) -> None:
    for number in (3, 30):
        publish(files, files.dataset(number, 1))
    files.remove(files.path("datasets", 3))
    opened(files.root, files.remote.bucket.url).catch_up()  # another process than it was asked of
    assert {key.split("/")[3] for key in keys(s3, files)} == {"30"}
    assert not files.path("kept", "datasets", "3").exists()
    files.remove(files.path("datasets", 30))
    files.catch_up()
    assert keys(s3, files) == []


def test_what_is_refused_at_the_end_leaves_things_as_they_were(
    files: CachedFiles, s3: S3Server
) -> None:
    target = files.model(1, 1)
    before = publish(files, target)
    there = keys(s3, files)

    def refuse() -> None:
        raise Conflict("Another controller acts.")

    with files.incoming() as folder:
        fill(folder / "it", b"y")
        with pytest.raises(Conflict):
            files.publish(folder / "it", target, refuse)
    assert seen(target) == before
    assert keys(s3, files) == there


def test_a_replaced_try_is_garbage_that_goes_when_it_is_old(
    files: CachedFiles, s3: S3Server
) -> None:
    publish(files, files.model(1, 1))
    after = publish(files, files.model(1, 1), b"y")
    assert len(keys(s3, files)) == 5
    now = dt.datetime.now(dt.UTC)
    assert files.remote.remove_garbage(now - dt.timedelta(hours=1)) == 0
    assert files.remote.remove_garbage(now + dt.timedelta(hours=1)) == 2
    shutil.rmtree(files.root)
    files.at_hand(files.model(1, 1))
    assert seen(files.model(1, 1)) == after


def test_half_sent_uploads_are_given_up(files: CachedFiles, s3: S3Server) -> None:
    bucket = files.remote.bucket
    key = f"{bucket.url.removeprefix(f's3://{BUCKET}/')}/trees/datasets/1/1/aa/000000"
    begun = s3.client.create_multipart_upload(Bucket=BUCKET, Key=key)
    s3.client.upload_part(
        Bucket=BUCKET, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * (5 << 20)
    )
    now = dt.datetime.now(dt.UTC)
    files.remote.remove_garbage(now - dt.timedelta(hours=1))
    assert [one.id for one in bucket.half_sent()] == [begun["UploadId"]]
    files.remote.remove_garbage(now + dt.timedelta(hours=1))
    assert list(bucket.half_sent()) == []


def spoil_object(s3: S3Server, key: str) -> None:
    data = bytearray(s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    data[50] ^= 1
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=bytes(data))


def cut_object(s3: S3Server, key: str) -> None:
    data = s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    s3.client.put_object(Bucket=BUCKET, Key=key, Body=data[:-2])


def lose_object(s3: S3Server, key: str) -> None:
    s3.client.delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.parametrize("which", [0, 1], ids=["large", "small"])
@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (spoil_object, "the content of .* has changed"),
        (cut_object, "has [0-9]+ bytes in place of"),
        (lose_object, "is missing"),
    ],
)
def test_damage_is_told_and_nothing_damaged_is_used(
    harm: Callable[[S3Server, str], None],
    words: str,
    which: int,
    files: CachedFiles,
    s3: S3Server,
) -> None:
    target = files.dataset(1, 1)
    publish(files, target)
    trees = [key for key in keys(s3, files) if "/trees/" in key]
    harm(s3, trees[which])
    shutil.rmtree(files.root)
    with pytest.raises(Conflict, match=f"datasets/1/1 is damaged in the object storage: .*{words}"):
        files.at_hand(target)
    assert not target.exists()
    assert list(files.path("incoming").iterdir()) == []


def test_a_manifest_that_leads_out_is_refused(files: CachedFiles) -> None:
    target = files.model(1, 1)
    publish(files, target)
    found = files.remote.bucket.get("manifests/models/1/1.json")
    assert found is not None
    files.remote.bucket.put("manifests/models/1/1.json", found.replace(b'"none"', b'"../../none"'))
    shutil.rmtree(files.root)
    with pytest.raises(Conflict, match="leads out of the folder"):
        files.at_hand(target)


def fetch(root: Path, url: str, done: multiprocessing.Queue[str]) -> None:
    try:
        opened(root, url).at_hand(root / "datasets" / "1" / "1", None)
    except KplError as error:
        done.put(error.message)
    else:
        done.put("here")


def test_processes_that_want_the_same_fetch_it_once(
    files: CachedFiles, url: str, s3: S3Server
) -> None:
    target = files.dataset(1, 1)
    before = publish(files, target)
    shutil.rmtree(files.root)
    done: multiprocessing.Queue[str] = SPAWN.Queue()
    several = [SPAWN.Process(target=fetch, args=(files.root, url, done)) for _ in range(3)]
    for one in several:
        one.start()
    assert [done.get(timeout=60) for _ in several] == ["here"] * 3
    for one in several:
        one.join()
    assert seen(target) == before
    assert list(files.path("incoming").iterdir()) == []
    assert list(files.path("locks").iterdir()) == []


def test_threads_that_want_the_same_fetch_it_once(
    files: CachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = files.dataset(1, 1)
    publish(files, target)
    shutil.rmtree(files.root)
    counted: list[str] = []
    real = files.remote.fetch

    def counting(name: str, *rest: object) -> None:
        counted.append(name)
        real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(files.remote, "fetch", counting)
    several = [threading.Thread(target=files.at_hand, args=(target, t)) for t in (None, 30, 30)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    assert counted == ["datasets/1/1"]


def test_who_cannot_wait_is_told_how_far_it_is(
    files: CachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = files.dataset(1, 1)
    before = publish(files, target)
    shutil.rmtree(files.root)
    may_go_on = threading.Event()
    real = files.remote.bucket.get

    def slow(key: str) -> bytes | None:
        if key.startswith("trees/"):
            may_go_on.wait(30)
        return real(key)

    monkeypatch.setattr(files.remote.bucket, "get", slow)
    with pytest.raises(Unavailable, match="are being fetched") as caught:
        files.at_hand(target, 1.0)
    assert caught.value.code == "being_fetched"
    assert "of 8 MiB" in files.progress(target)
    may_go_on.set()
    files.at_hand(target, 30)
    assert seen(target) == before


def test_what_was_not_used_for_the_longest_time_is_removed_first(files: CachedFiles) -> None:
    from kpl_lab.platform.domain.kept_files import shrink

    before = [publish(files, files.dataset(number, 1)) for number in (1, 2, 3, 4)]
    age(files)
    notes = [files.path("kept", "datasets", number, 1) for number in (1, 2, 3, 4)]
    for older, note in zip((9000, 8000, 7000, 1), notes, strict=True):
        os.utime(note, (time.time() - older,) * 2)
    assert shrink(files, frozenset({"datasets/2/1"}), 2 * LARGE + 5000, lambda: None) > 2 * LARGE
    here = [number for number in (1, 2, 3, 4) if files.dataset(number, 1).exists()]
    assert here == [2, 4], "2 is in use, 4 was just used"
    assert seen(files.at_hand(files.dataset(1, 1))) == before[0]


def test_what_is_not_in_the_bucket_is_never_removed_here(files: CachedFiles) -> None:
    from kpl_lab.platform.domain.kept_files import shrink

    publish(files, files.dataset(1, 1))
    only_here = files.dataset(2, 1)
    shutil.copytree(files.dataset(1, 1), only_here)
    files.remote.remove("datasets/1/1")
    age(files)
    assert shrink(files, frozenset(), 1, lambda: None) == 0
    assert files.dataset(1, 1).exists()
    assert only_here.exists()


def test_the_notes_of_another_bucket_do_not_count(files: CachedFiles, url: str) -> None:
    publish(files, files.dataset(1, 1))
    other = opened(files.root, f"{url}-other")
    assert list(other.cached()) == []


def test_what_is_removed_in_the_very_moment_is_not_at_hand(
    files: CachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = files.dataset(1, 1)
    publish(files, target)
    real = os.utime

    def removed(path: Path, *rest: Any, **more: Any) -> None:
        remove_tree(target)
        real(path, *rest, **more)

    monkeypatch.setattr("kpl_lab.platform.storage.cached.os.utime", removed)
    assert not files.is_at_hand(target)


def test_a_long_download_is_a_use_all_along(files: CachedFiles) -> None:
    target = files.dataset(1, 1)
    publish(files, target)
    parts = _tar_parts(files, target)
    while len(next(parts)) < COPY_BYTES:
        pass
    age(files)
    files._noted.clear()  # a minute later
    next(parts)
    (found,) = files.cached()
    assert time.time() - found.used < 60


def test_whoever_uses_it_in_the_very_moment_keeps_it(files: CachedFiles) -> None:
    target = files.dataset(1, 1)
    before = publish(files, target)
    (found,) = files.cached()
    age(files)
    real = files.remote.manifest

    def used(name: str) -> object:
        opened(files.root, files.remote.bucket.url).at_hand(target)
        return real(name)

    files.remote.manifest = used  # type: ignore[method-assign, assignment]
    assert not files.evict(found)
    assert seen(target) == before


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'kpl.sqlite'}"
    upgrade.upgrade(url)
    made = Database(url)
    yield made
    made.close()


def test_another_installation_is_kept_out(files: CachedFiles, database: Database) -> None:
    claims.claim(database, files.remote, "aaaaaaaa")
    claims.claim(database, files.remote, "aaaaaaaa")
    with pytest.raises(Conflict, match="holds the files of the installation aaaaaaaa"):
        claims.claim(database, files.remote, "bbbbbbbb")


def test_a_bucket_claimed_without_a_word_gets_one(files: CachedFiles, database: Database) -> None:
    files.remote.bucket.put("kpl-lab.json", b'{"instance": "aaaaaaaa"}')
    claims.claim(database, files.remote, "aaaaaaaa")
    with database.store() as store:
        assert files.remote.owner() == Owner("aaaaaaaa", store.marks.get(claims.MARK) or "none")
    files.remote.bucket.put("kpl-lab.json", b"[]")
    with pytest.raises(Conflict, match=r"kpl-lab.json is damaged"):
        claims.check(database, files.remote, "aaaaaaaa")


def test_keys_that_are_not_ours_stay_and_harm_nothing(files: CachedFiles, s3: S3Server) -> None:
    publish(files, files.dataset(1, 1))
    foreign = ["trees/", "trees/datasets/", "trees/notes.txt", "manifests/", "manifests/datasets/x"]
    for key in foreign:
        files.remote.bucket.put(key, b"")
    before = keys(s3, files)
    files.remote.remove_garbage(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert keys(s3, files) == before
    assert files.remote.names().keys() == {"datasets/1/1"}


def everything(files: CachedFiles) -> Known:
    none: frozenset[int] = frozenset()
    owners = {"datasets": frozenset({1, 2, 3}), "models": none, "logs/tasks": frozenset({7})}
    ready = frozenset(f"datasets/{number}/1" for number in (1, 2, 3))
    return Known(owners=owners, ready=ready, used=frozenset())


def test_one_thing_that_cannot_be_sent_keeps_nothing_else_back(
    files: CachedFiles, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        fill(files.dataset(number, 1))
    publish(files, files.dataset(4, 1))
    files.remove(files.path("datasets", 4))
    real = files.remote.send

    def fails(source: Path, name: str, *rest: Any, **more: Any) -> object:
        if name == "datasets/2/1":
            raise StorageFull("No room for this one.")
        return real(source, name, *rest, **more)

    monkeypatch.setattr(files.remote, "send", fails)
    now = dt.datetime.now(dt.UTC)
    with pytest.raises(StorageFull, match="No room for this one"):
        kept_files.tidy(files, lambda: everything(files), now, 0, lambda: None)
    assert files.remote.names().keys() == {"datasets/1/1", "datasets/3/1"}


def test_what_has_come_into_use_meanwhile_is_not_evicted(
    files: CachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(files, files.dataset(1, 1))
    age(files)
    in_use: set[str] = set()

    def ask() -> Known:
        return replace(everything(files), used=frozenset(in_use))

    monkeypatch.setattr(files.remote, "remove_garbage", lambda _before: in_use.add("datasets/1/1"))
    monkeypatch.setattr(kept_files, "MIB", 1)
    kept_files.tidy(files, ask, dt.datetime.now(dt.UTC), 1, lambda: None)
    assert files.dataset(1, 1).exists()


@pytest.mark.parametrize("harm", ["", "{", "[]", '{"url": "s3://another/one", "bytes": 1}'])
def test_a_note_that_was_lost_is_written_again(harm: str, files: CachedFiles, s3: S3Server) -> None:
    publish(files, files.dataset(1, 1))
    before = keys(s3, files)
    files.path("kept", "datasets", 1, 1).write_text(harm)
    assert list(files.cached()) == []
    kept_files.tidy(files, lambda: everything(files), dt.datetime.now(dt.UTC), 0, lambda: None)
    assert [one.name for one in files.cached()] == ["datasets/1/1"]
    assert keys(s3, files) == before, "nothing was sent once more"


def test_a_store_that_is_closed_gives_up_what_it_sends_and_fetches(
    files: CachedFiles, s3: S3Server, url: str
) -> None:
    target = files.dataset(1, 1)
    publish(files, target)
    other = opened(files.root / "other", url)
    other.close()
    fill(other.model(1, 1))
    with warnings.catch_warnings():
        # A connection in the middle of an upload is left to the garbage collector: here, and now.
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(Unavailable, match="The platform ends"):
            other.send(other.model(1, 1))
        with pytest.raises(Unavailable, match="The platform ends"):
            other.at_hand(other.dataset(1, 1), None)
        gc.collect()
    assert files.remote.names().keys() == {"datasets/1/1"}
    assert not [key for key in keys(s3, files) if "models" in key]


def fetch_and_die(root: Path, url: str) -> None:
    files = opened(root, url)
    with files._locked(files.dataset(1, 1)), files._fetching("datasets/1/1") as folder:
        (folder / "part").touch()
        os._exit(9)


def test_what_a_dead_process_has_fetched_in_part_is_cleared(files: CachedFiles, url: str) -> None:
    dead = SPAWN.Process(target=fetch_and_die, args=(files.root, url))
    dead.start()
    dead.join()
    with files._locked(files.dataset(2, 1)), files._fetching("datasets/2/1") as alive:
        assert len(list(files.path("incoming").iterdir())) == 2
        files.clear_fetches()
        assert list(files.path("incoming").iterdir()) == [alive]


def test_few_requests_wait_for_fetches_and_others_are_told_at_once(
    files: CachedFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(files, files.dataset(1, 1))
    shutil.rmtree(files.root / "datasets")
    may_go_on = threading.Event()
    real = files.remote.fetch

    def slow(*args: Any) -> None:
        may_go_on.wait(60)
        real(*args)

    monkeypatch.setattr(files.remote, "fetch", slow)
    waiting = [
        threading.Thread(target=files.at_hand, args=(files.dataset(1, 1), 60))
        for _ in range(WAITERS)
    ]
    for one in waiting:
        one.start()
    while files._waiters._value:
        time.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        files.at_hand(files.dataset(1, 1), 30)
    assert caught.value.code == "being_fetched"
    assert not files.is_here(files.dataset(1, 1))
    assert time.monotonic() - began < 5
    may_go_on.set()
    for one in waiting:
        one.join()
    assert files.is_here(files.dataset(1, 1))


def test_an_address_that_is_none_is_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(Invalid, match="begin with http://") as caught:
        Bucket(url).check()
    assert caught.value.code == "storage_address"


def test_up_tries_the_credentials_that_the_processes_will_have(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    mine = tmp_path / "me" / ".aws"
    mine.mkdir(parents=True)
    words = f"[default]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n"
    (mine / "credentials").write_text(words)
    monkeypatch.setenv("HOME", str(mine.parent))
    Bucket(url).check()  # who starts it could use it
    settings = replace(load({"KPL_HOME": str(tmp_path / "home")}), storage_url=url)
    with pytest.raises(Unavailable, match="does not accept the credentials"):
        check_storage(settings)
    assert os.environ["HOME"] == str(mine.parent)


def test_who_asks_a_silent_server_is_told_so_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that takes connections and says nothing: one waits for it, and no other."""
    monkeypatch.setattr(buckets, "READ_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(100)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        bucket = Bucket(url, attempts=2)
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(Unavailable, match="does not answer"):
                bucket.get("x")
        assert time.monotonic() - began < buckets.AWAY_SECONDS


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "storage_credentials", "does not accept the cred"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "storage_credentials", "does not accept the cred"),
        (
            {"AWS_ACCESS_KEY_ID": READER, "AWS_SECRET_ACCESS_KEY": READER_SECRET},
            "storage_denied",
            "needs to list, read, write and delete",
        ),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "storage_unreachable", "does not answer"),
    ],
)
def test_each_failure_has_words_of_its_own(
    change: dict[str, str], code: str, words: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Unavailable, match=words) as caught:
        Bucket(url, attempts=2).check()
    assert caught.value.code == code


def test_no_keys_at_all_are_told(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(Unavailable) as caught:
        Bucket(url, attempts=1).check()
    assert caught.value.code == "storage_credentials"


def test_a_bucket_that_is_not_there_is_told(url: str) -> None:
    with pytest.raises(Unavailable, match="has no bucket for s3://nobodys/x") as caught:
        Bucket("s3://nobodys/x", attempts=1).check()
    assert caught.value.code == "storage_no_bucket"
    with pytest.raises(Unavailable) as caught:
        Remote(Bucket("s3://nobodys/x", attempts=1)).manifest("datasets/1/1")
    assert caught.value.code == "storage_no_bucket"


@pytest.fixture
def fragile(
    own_s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CachedFiles]:
    """A store on a server that this test may kill."""
    for name, value in own_s3.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(buckets, "READ_SECONDS", 2.0)
    monkeypatch.setattr(buckets, "AWAY_SECONDS", 0.0)
    yield opened(tmp_path / "storage", f"s3://{BUCKET}/fragile")


def start_again(server: S3Server) -> None:
    server.start()
    server.make_bucket(BUCKET)


@pytest.mark.slow
def test_a_server_that_dies_half_way_leaves_all_or_nothing(
    fragile: CachedFiles, own_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, target = fragile, fragile.dataset(1, 1)
    real = files.remote.bucket.put

    def dies(key: str, data: bytes) -> None:
        if key.startswith("manifests/"):
            own_s3.kill()
        real(key, data)

    with files.incoming() as folder:
        fill(folder / "it")
        monkeypatch.setattr(files.remote.bucket, "put", dies)
        with pytest.raises(Unavailable, match="does not answer"):
            files.publish(folder / "it", target)
        assert not target.exists()
        monkeypatch.setattr(files.remote.bucket, "put", real)
        start_again(own_s3)
        assert files.remote.names() == {}
        files.publish(folder / "it", target)
    before = seen(target)
    shutil.rmtree(files.root)

    real_get = files.remote.bucket.get

    def dies_too(key: str) -> bytes | None:
        if key.startswith("trees/"):
            own_s3.kill()
        return real_get(key)

    monkeypatch.setattr(files.remote.bucket, "get", dies_too)
    with pytest.raises(Unavailable, match="does not answer"):
        files.at_hand(target, None)
    assert not target.exists()
    monkeypatch.setattr(files.remote.bucket, "get", real_get)
    start_again(own_s3)
    files.at_hand(target, None)
    assert {k: v for k, v in seen(target).items() if k != "."} == {
        k: v for k, v in before.items() if k != "."
    }
    files.remote.remove_garbage(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    assert len(own_s3.keys(BUCKET)) == 3


@pytest.mark.slow
def test_a_server_that_says_nothing_is_given_up(fragile: CachedFiles, own_s3: S3Server) -> None:
    publish(fragile, fragile.dataset(1, 1))
    shutil.rmtree(fragile.root)
    own_s3.pause()
    try:
        with pytest.raises(Unavailable, match="does not answer"):
            fragile.at_hand(fragile.dataset(1, 1), None)
    finally:
        own_s3.resume()
    assert fragile.at_hand(fragile.dataset(1, 1), None).exists()
