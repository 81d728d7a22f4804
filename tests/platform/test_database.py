"""One transaction per unit of work, on SQLite and, where one is named, PostgreSQL."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from kpl_lab.clock import ManualClock
from kpl_lab.errors import Conflict, KplError, StorageFull, Unavailable
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store

THING = Subject(resource="datasets", id=1, owner="alice")


class Boom(Exception):
    """Something that goes wrong inside a unit of work."""


def add_workspace(store: Store, name: str) -> int:
    return store.workspaces.add(name=name, created_at=store.now()).id


def test_what_ends_well_is_there_and_what_ends_badly_never_was(database: Database) -> None:
    with database.store() as store:
        add_workspace(store, "one")
    with pytest.raises(Boom), database.store() as store:
        add_workspace(store, "two")
        raise Boom
    with database.store(reads_only=True) as store:
        assert set(store.workspaces.names().values()) == {"one"}


def test_times_come_back_aware_and_in_utc(database: Database, clock: ManualClock) -> None:
    with database.store() as store:
        id = add_workspace(store, "one")
    with database.store() as store:
        found = store.workspaces.get(id)
    assert found is not None
    assert found.created_at == clock.now()
    assert found.created_at.tzinfo is dt.UTC


def test_naive_times_are_refused(database: Database) -> None:
    with pytest.raises(Exception, match="aware"), database.store() as store:
        store.workspaces.add(name="x", created_at=dt.datetime(2026, 1, 1))  # noqa: DTZ001


def test_two_who_make_the_same_get_a_conflict_and_no_crash(database: Database) -> None:
    with database.store() as store:
        add_workspace(store, "one")
    with pytest.raises(Conflict, match="try again"), database.store() as store:
        add_workspace(store, "one")


def test_a_change_under_a_condition_happens_once(database: Database) -> None:
    with database.store() as store:
        id = add_workspace(store, "one")
    with database.store() as store:
        assert store.workspaces.update(id, where={"name": "one"}, name="two")
        assert not store.workspaces.update(id, where={"name": "one"}, name="three")
        assert store.workspaces.update(id, where={"name": ("two", "three")}, name="four")
        found = store.workspaces.get(id)
    assert found is not None
    assert found.name == "four"


@pytest.mark.parametrize("id", [0, -1, 2**63, 10**40])
def test_an_id_that_cannot_be_one_is_nobodys(database: Database, id: int) -> None:
    with database.store() as store:
        assert store.workspaces.get(id) is None
        assert store.datasets.resolve(str(id), Reader(name="alice")) is None


def test_events_tell_listeners_after_the_commit_and_only_then(database: Database) -> None:
    told: list[int] = []

    def look() -> None:
        with database.store(reads_only=True) as store:
            told.append(store.events.last_id())

    database.on_events(look)
    with database.store() as store:
        store.events.write(THING, "created")
        assert told == []
    assert told == [1]
    with database.store() as store:
        store.workspaces.names()
    with pytest.raises(Boom), database.store() as store:
        store.events.write(THING, "created")
        raise Boom
    assert told == [1]


def test_events_are_heard_by_their_owner_and_of_shared_things_by_all(database: Database) -> None:
    shared = Subject(resource="models", id=2, owner="alice", visibility="public")
    with database.store() as store:
        store.events.write(THING, "created")
        store.events.write(shared, "created")
        store.events.write(THING, "updated", "again", data={"x": 1})
    with database.store() as store:
        mine = store.events.after(0, Reader(name="alice"))
        bobs = store.events.after(0, Reader(name="bob"))
        all_of_them = store.events.after(1, Reader(name="root", sees_all=True))
        models = store.events.after(0, Reader(name="alice"), resources=("models",))
    assert [(e.resource, e.kind) for e in mine] == [
        ("datasets", "created"),
        ("models", "created"),
        ("datasets", "updated"),
    ]
    assert [e.resource for e in bobs] == ["models"]
    assert [e.id for e in all_of_them] == [2, 3]
    assert [e.resource for e in models] == ["models"]


def test_an_event_id_is_never_given_twice(database: Database, clock: ManualClock) -> None:
    with database.store() as store:
        store.events.write(THING, "created")
    clock.advance(10)
    with database.store() as store:
        store.events.trim(before=clock.now(), ticks_before=clock.now())
        store.events.write(THING, "created")
    with database.store() as store:
        assert store.events.last_id() == 2


def test_ticks_are_left_out_of_what_happened_and_forgotten_before_the_rest(
    database: Database, clock: ManualClock
) -> None:
    with database.store() as store:
        store.events.write(THING, "created")
        store.events.write(THING, "progress")
    clock.advance(10)
    with database.store() as store:
        assert [e.kind for e in store.events.of(THING.resource, THING.id)] == ["created"]
        assert len(store.events.after(0, Reader(name=THING.owner))) == 2
        store.events.trim(before=clock.now() - dt.timedelta(days=1), ticks_before=clock.now())
        assert [e.kind for e in store.events.after(0, Reader(name=THING.owner))] == ["created"]


def test_what_cannot_be_rolled_back_is_done_after_the_commit(database: Database) -> None:
    done: list[str] = []
    with database.store() as store:
        store.after_commit(lambda: done.append("yes"))
        assert done == []
    assert done == ["yes"]
    with pytest.raises(Boom), database.store() as store:
        store.after_commit(lambda: done.append("no"))
        raise Boom
    assert done == ["yes"]


def test_an_open_store_that_has_asked_nothing_holds_no_lock(database: Database) -> None:
    with database.store(), database.store() as second:
        add_workspace(second, "one")


def test_writers_wait_for_each_other_and_lose_nothing(database: Database) -> None:
    with database.store() as store:
        id = add_workspace(store, "0")

    def count(times: int) -> None:
        for _ in range(times):
            with database.store() as store:
                found = store.workspaces.get(id)
                assert found is not None
                store.workspaces.update(id, name=str(int(found.name) + 1))

    if database.engine.dialect.name != "sqlite":
        pytest.skip("read-then-write is serialised by SQLite's one lock alone")
    threads = [threading.Thread(target=count, args=(20,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.store() as store:
        found = store.workspaces.get(id)
    assert found is not None
    assert found.name == "80"


def test_readers_go_on_while_somebody_writes(database: Database) -> None:
    with database.store() as writer:
        add_workspace(writer, "one")
        with database.store(reads_only=True) as reader:
            assert reader.workspaces.names() == {}


def test_a_full_disk_is_told_as_one(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path / 'small.sqlite'}"
    upgrade.upgrade(url)
    database = Database(url, clock)
    with pytest.raises(StorageFull, match="no room"), database.store() as store:
        pages = store.session.execute(text("PRAGMA page_count")).scalar_one()
        store.session.execute(text(f"PRAGMA max_page_count = {pages}"))
        for n in range(5000):
            add_workspace(store, f"workspace {n} with a long name to fill pages")
    database.close()


def test_a_database_that_is_gone_is_unavailable(tmp_path: Path, clock: ManualClock) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no folder' / 'x.sqlite'}", clock)
    with pytest.raises(Unavailable) as caught, database.store() as store:
        store.workspaces.names()
    assert isinstance(caught.value, KplError)
    assert "try again" in caught.value.message
