"""What interrupted work leaves behind is found later; what is in use never is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from httpx import Client

from kpl_lab.clock import ManualClock
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import housekeeping
from kpl_lab.platform.storage.files import make_read_only
from tests.platform.conftest import create


def clean(context: Context) -> None:
    with context.database.store() as store:
        housekeeping.clean(store, context.files, context.options)


def make_old(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def several(context: Context, alice: Client, kind: str) -> list[Any]:
    """Return three of them, with rising ids."""
    names = ("first", "second", "third")
    made = [create(context, alice, kind, "a.csv", b"1", name=name) for name in names]
    assert [one["id"] for one in made] == sorted({one["id"] for one in made})
    return made


@pytest.mark.parametrize("kind", ["datasets", "models"])
def test_folders_that_no_row_knows_are_removed_once_they_are_old(
    kind: str, alice: Client, context: Context
) -> None:
    gone, brief, made = several(context, alice, kind)
    for one in (gone, brief):
        assert alice.delete(f"{kind}/{one['id']}").status_code == 204
    orphan, fresh = (context.files.path(kind, one["id"]) for one in (gone, brief))
    later = context.files.path(kind, made["id"] + 1)
    for folder in (orphan, fresh, later):
        (folder / "1").mkdir(parents=True)
        (folder / "1" / "a").write_text("x")
    make_read_only(orphan / "1")
    for folder in (orphan, later):
        make_old(folder, 2 * housekeeping.ORPHAN_SECONDS)
    make_old(context.files.path(kind, made["id"]), 10 * housekeeping.ORPHAN_SECONDS)
    clean(context)
    assert not orphan.exists()
    assert fresh.exists(), "somebody may be at it"
    assert later.exists(), "a database that was restored from a backup does not know it"
    assert context.files.path(kind, made["id"]).exists()


def test_half_done_work_is_removed_when_nobody_can_be_at_it(context: Context) -> None:
    incoming = context.files.path("incoming")
    for name in ("old", "new"):
        (incoming / name).mkdir(parents=True)
    make_old(incoming / "old", 2 * housekeeping.INCOMING_SECONDS)
    clean(context)
    assert [p.name for p in incoming.iterdir()] == ["new"]


def test_bytes_of_no_upload_are_removed(context: Context) -> None:
    uploads = context.files.path("uploads")
    uploads.mkdir(parents=True)
    for name in ("7", "8"):
        (uploads / name).write_text("x")
    make_old(uploads / "7", 2 * housekeeping.ORPHAN_SECONDS)
    clean(context)
    assert [p.name for p in uploads.iterdir()] == ["8"]


def test_nothing_is_removed_while_the_database_is_held(alice: Client, context: Context) -> None:
    """A large tree takes minutes, and every other write would wait for it."""
    gone, *_ = several(context, alice, "datasets")
    assert alice.delete(f"datasets/{gone['id']}").status_code == 204
    places = [context.files.path("datasets", gone["id"]), context.files.path("incoming", 999)]
    for place in places:
        place.mkdir(parents=True)
        make_old(place, 2 * housekeeping.INCOMING_SECONDS)
    loose = context.files.path("uploads", "999")
    loose.parent.mkdir(parents=True, exist_ok=True)
    loose.write_text("x")
    make_old(loose, 2 * housekeeping.ORPHAN_SECONDS)
    with context.database.store() as store:
        housekeeping.clean(store, context.files, context.options)
        assert all(place.exists() for place in (*places, loose))
    assert not any(place.exists() for place in (*places, loose))


def announced(client: Client, context: Context, filename: str) -> Path:
    """Announce an upload, send the first of its bytes, and return their file."""
    id = client.post("uploads", json={"filename": filename, "size": 3}).json()["id"]
    client.put(f"uploads/{id}", params={"offset": 0}, content=b"a")
    path = context.files.upload(id)
    then = context.clock.now().timestamp()
    os.utime(path, (then, then))
    return path


def test_an_upload_of_which_nothing_was_made_is_kept_for_a_day(
    alice: Client, context: Context, clock: ManualClock
) -> None:
    given_up, slow = announced(alice, context, "a"), announced(alice, context, "b")
    clock.advance(23 * 3600)
    clean(context)
    assert given_up.exists()
    # Bytes of the other one still arrive.
    os.utime(slow, (clock.now().timestamp(),) * 2)
    clock.advance(2 * 3600)
    clean(context)
    assert not given_up.exists()
    assert slow.exists()
    assert [u["id"] for u in (alice.get(f"uploads/{p.name}").json() for p in (slow,))]


def test_old_events_are_forgotten(alice: Client, context: Context, clock: ManualClock) -> None:
    create(context, alice, "models", "a.bin", b"1")
    clock.advance(29 * 24 * 3600)
    clean(context)
    with context.database.store() as store:
        assert store.events.of("models", 1)
    clock.advance(2 * 24 * 3600)
    clean(context)
    with context.database.store() as store:
        assert store.events.of("models", 1) == []


def test_a_store_that_is_still_empty_is_no_trouble(context: Context) -> None:
    clean(context)
