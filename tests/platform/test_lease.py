"""One controller acts at a time, whatever number of them runs, and the next one does not wait."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kpl_lab.clock import SYSTEM_CLOCK, ManualClock
from kpl_lab.engines.local.processes import ProcessId
from kpl_lab.errors import KplError, Unavailable
from kpl_lab.platform.context import Context
from kpl_lab.platform.runtime.lease import LEASE_SECONDS, Holder, Lease, LeaseLost
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database
from tests.platform.processes import Place, ask, until
from tests.postgresql import emptied, server

CONTROLLER = "kpl_lab.platform.runtime"
ROW = "SELECT epoch, holder FROM leases WHERE name = 'controller'"
IMAGES = "SELECT name FROM images WHERE source = 'file'"


def lease(database: Database, clock: ManualClock, holder: str) -> Lease:
    return Lease(database, clock, holder=holder)


def take(wanted: Lease) -> bool:
    return wanted.take() is None


def test_the_second_waits_until_the_lease_is_over(database: Database, clock: ManualClock) -> None:
    one, two = lease(database, clock, "one"), lease(database, clock, "two")
    assert take(one)
    assert not take(two)
    clock.advance(LEASE_SECONDS - 1)
    assert not take(two)
    clock.advance(2)
    assert take(two)
    assert (one.epoch, two.epoch) == (1, 2)


def test_a_clock_that_was_set_back_keeps_nobody_waiting(
    context: Context, database: Database, clock: ManualClock
) -> None:
    assert take(lease(database, clock, "gone"))
    behind = ManualClock(clock.now() - dt.timedelta(hours=1))
    two = lease(Database(context.settings.sqlalchemy_url, behind), behind, "two")
    assert not take(two)
    behind.advance(LEASE_SECONDS - 1)
    assert not take(two)
    behind.advance(2)
    assert take(two)


def test_a_renewed_lease_lasts(database: Database, clock: ManualClock) -> None:
    one, two = lease(database, clock, "one"), lease(database, clock, "two")
    assert take(one)
    for _ in range(3):
        clock.advance(LEASE_SECONDS - 5)
        one.renew()
        one.check()
        assert not take(two)


def test_a_lease_that_was_given_back_is_free_at_once(
    database: Database, clock: ManualClock
) -> None:
    one, two = lease(database, clock, "one"), lease(database, clock, "two")
    assert take(one)
    one.give_back()
    with pytest.raises(Unavailable):
        one.check()
    assert take(two)
    one.give_back()  # of an epoch that is over: changes nothing
    two.renew()


def test_who_cannot_renew_stops_before_the_lease_can_be_taken(
    database: Database, clock: ManualClock
) -> None:
    one, two = lease(database, clock, "one"), lease(database, clock, "two")
    assert take(one)
    one.check()
    clock.advance(LEASE_SECONDS * 0.75)
    with pytest.raises(Unavailable, match="could not renew"):
        one.check()
    assert not take(two)
    one.renew()  # nobody has acted meanwhile, so it goes on
    one.check()


def test_who_has_lost_the_lease_renews_it_never_again(
    database: Database, clock: ManualClock
) -> None:
    one, two = lease(database, clock, "one"), lease(database, clock, "two")
    assert take(one)
    clock.advance(LEASE_SECONDS + 1)
    assert take(two)
    with pytest.raises(LeaseLost):
        one.renew()
    with pytest.raises(Unavailable):
        one.check()
    two.check()


async def test_what_a_controller_writes_after_its_epoch_is_undone(
    context: Context, clock: ManualClock
) -> None:
    late = lease(context.database, clock, "late")
    assert take(late)
    world = World(context, late)
    await world.write(lambda s: s.workspaces.add(name="in time", created_at=clock.now()))
    # The clock of a paused process stands still: it takes itself for the one that acts.
    ahead = ManualClock(clock.now())
    ahead.advance(LEASE_SECONDS + 1)
    next_one = lease(Database(context.settings.sqlalchemy_url, ahead), ahead, "next")
    assert take(next_one)
    late.check()
    with pytest.raises(Unavailable, match="Another controller acts"):
        await world.write(lambda s: s.workspaces.add(name="too late", created_at=clock.now()))
    names = await world.read(lambda s: s.workspaces.names())
    assert "in time" in names.values()
    assert "too late" not in names.values()
    with pytest.raises(Unavailable):
        _ = world.engine
    with pytest.raises(Unavailable):
        world.publish(Path("/nowhere"), Path("/nowhere-else"))


async def test_work_ends_where_the_lease_is_lost(database: Database, clock: ManualClock) -> None:
    held = Lease(database, clock, holder="one", seconds=0.2)
    assert take(held)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    clock.advance(1)
    assert take(lease(database, clock, "two"))
    with pytest.raises(LeaseLost):
        await held.while_held(work())
    assert ended.is_set()


async def test_a_database_that_does_not_answer_does_not_end_the_work(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Lease(database, clock, holder="one", seconds=0.1)
    assert take(held)
    loop, enough = asyncio.get_running_loop(), asyncio.Event()
    tries = iter(range(3))

    def away() -> None:
        if next(tries, None) is None:
            loop.call_soon_threadsafe(enough.set)
        raise Unavailable("The database does not answer at the moment.")

    async def work() -> None:
        await enough.wait()

    monkeypatch.setattr(held, "renew", away)
    await asyncio.wait_for(held.while_held(work()), 20)


def test_a_dead_holder_of_this_machine_is_followed_at_once(
    database: Database, clock: ManualClock
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        process = ProcessId.of(other.pid)
        assert process is not None
        holder = Holder("here", Holder.of_self().namespace, process)
        assert take(lease(database, clock, str(holder)))
        two = lease(database, clock, "two")
        assert not take(two)
        other.kill()
        other.wait()
    assert take(two)


@pytest.mark.parametrize("part", ["namespace", "boot"])
def test_of_another_machine_or_container_nobody_knows(part: str) -> None:
    own = Holder.of_self()
    gone = ProcessId(2**22 + 1, 1, own.process.boot)
    assert Holder("here", own.namespace, gone).is_known_dead()
    away = Holder("there", "pid:[1]", gone) if part == "namespace" else Holder(
        "there", own.namespace, ProcessId(gone.pid, 1, "another")
    )  # fmt: skip
    assert not away.is_known_dead()


def test_a_holder_reads_as_it_was_written() -> None:
    own = Holder.of_self()
    assert Holder.parse(str(own)) == own
    assert Holder.parse("something else") is None


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("pg")) as url:
        yield url


@pytest.fixture
def url(postgresql: str) -> str:
    emptied(postgresql)
    upgrade.upgrade(postgresql)
    return postgresql


@pytest.fixture
def places(tmp_path: Path, url: str) -> Iterator[list[Place]]:
    made = [Place(tmp_path / name, url) for name in ("one", "two")]
    for number, place in enumerate(made):
        place.catalog(f"of-{number}")
    yield made
    for place in made:
        place.close()


def images(url: str) -> list[str]:
    return [str(name) for (name,) in ask(url, IMAGES)]


def epoch(url: str) -> int:
    found = ask(url, ROW)
    return int(str(found[0][0])) if found else 0


def standing_by(place: Place) -> bool:
    return "standing by" in place.said(CONTROLLER)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_the_one_that_stands_by_follows_at_once(
    end: signal.Signals, places: list[Place], url: str
) -> None:
    one, two = places
    acting = one.start(CONTROLLER)
    until(lambda: images(url) == ["of-0"], "the first to act")
    two.start(CONTROLLER)
    until(lambda: standing_by(two), "the second to stand by")
    assert images(url) == ["of-0"]
    acting.send_signal(end)
    acting.wait(30)
    ended = time.monotonic()
    until(lambda: images(url) == ["of-1"], "the second to act")
    assert time.monotonic() - ended < LEASE_SECONDS / 2
    assert epoch(url) == 2


def test_one_that_was_paused_does_nothing_when_it_goes_on(places: list[Place], url: str) -> None:
    one, two = places
    paused = one.start(CONTROLLER)
    until(lambda: images(url) == ["of-0"], "the first to act")
    two.start(CONTROLLER)
    until(lambda: standing_by(two), "the second to stand by")
    paused.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    # Something that it would do at once if it might.
    one.catalog("too-late")
    until(lambda: images(url) == ["of-1"], "the second to act")
    assert time.monotonic() - stopped > LEASE_SECONDS / 2, "it was alive: nobody may hurry"
    paused.send_signal(signal.SIGCONT)
    assert paused.wait(30) == 1
    assert images(url) == ["of-1"]
    assert epoch(url) == 2
    assert "Another controller has taken the lease" in one.said(CONTROLLER)


def test_who_is_paused_inside_a_transaction_holds_nobody_up(url: str) -> None:
    """The server ends it, so that its rows and its lease are free."""
    script = (
        "import sys, time\n"
        "from kpl_lab.clock import SYSTEM_CLOCK\n"
        "from kpl_lab.platform.runtime.lease import Lease\n"
        "from kpl_lab.platform.storage.database import Database\n"
        "database = Database(sys.argv[1]); database.limit_idle(1)\n"
        "lease = Lease(database, SYSTEM_CLOCK, holder='frozen', seconds=1)\n"
        "assert lease.take() is None\n"
        "with database.store() as store:\n"
        "    lease.verify(store); print('in', flush=True); time.sleep(60)\n"
    )
    words = [sys.executable, "-c", script, url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=os.environ) as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == b"in\n"
        frozen.send_signal(signal.SIGSTOP)
        database = Database(url)
        begun = time.monotonic()
        try:
            next_one = Lease(database, SYSTEM_CLOCK, holder="next", seconds=5)
            until(lambda: take(next_one), "the lease")
        except KplError as error:
            pytest.fail(error.message)
        finally:
            database.close()
            frozen.kill()
    assert time.monotonic() - begun < 10


def test_a_session_that_the_server_has_ended_is_a_database_that_is_away(url: str) -> None:
    database = Database(url)
    database.limit_idle(0.2)
    with pytest.raises(Unavailable), database.store() as store:
        store.workspaces.names()
        time.sleep(1.0)
        store.workspaces.names()
    with database.store() as store:
        assert store.workspaces.names() == {}
    database.close()
