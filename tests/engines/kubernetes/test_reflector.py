"""A copy of the cluster that stays right whatever the API server does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.kubernetes.access import Access
from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.reflector import Pace, Reflector, Timing, bare
from kpl_lab.engines.kubernetes.transport import Patience
from tests.doubles.kubernetes import TOKEN, Server, api_server
from tests.engines.harness import until
from tests.engines.kubernetes.reflecting import NS, SELECTOR, Nap, Seen, obj, running, same, touch


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with api_server() as found:
        yield found


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    async def source() -> Access:
        return Access(host=server.url, authorization=f"Bearer {TOKEN}")

    found = await Cluster.of(source, NS, patience=Patience(total=0))
    yield found
    await found.close()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def nap() -> Nap:
    return Nap()


# --- the ordinary ---------------------------------------------------------------------------------


async def test_what_is_there_is_known_once_all_kinds_are_listed(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.cluster.PAGE", 2)
    for number in range(5):
        server.store.create(obj(f"p{number}"))
    server.store.create(obj("j", "Job"))
    server.store.create(obj("foreign", installation="two"))

    async with running(cluster, seen, nap, "Pod", "Job") as reflector:
        assert reflector.count("Pod") == 5
        assert reflector.get("Job", "j") is not None
        assert reflector.get("Pod", "foreign") is None
        found = reflector.get("Pod", "p0")
        assert found is not None
        assert "managedFields" not in found["metadata"]
        assert found["kind"] == "Pod"


async def test_changes_are_told_in_their_order(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    async with running(cluster, seen, nap) as reflector:
        server.store.create(obj("a"))
        versions = [touch(server, "a", step=str(step)) for step in range(5)]
        server.store.remove("Pod", NS, "a")
        server.store.create(obj("b"))
        await until(lambda: reflector.get("Pod", "b"))
    assert [version for _, name, version in seen.changes if name == "a"][1:] == [*versions, None]
    assert seen.names()[-2:] == ["-a", "b"]


async def test_what_loses_its_label_is_gone(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.store.create(obj("a"))
    async with running(cluster, seen, nap) as reflector:
        touch(server, "a", **{"kpl-lab.io/installation": "two"})
        await until(lambda: not reflector.count("Pod"))
    assert seen.names() == ["a", "-a"]


async def test_a_watch_that_ends_goes_on_where_it_was(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.watch_seconds = 0.01
    server.store.create(obj("a"))
    async with running(cluster, seen, nap) as reflector:
        await until(lambda: server.count("watch") > 5)
        server.store.create(obj("b"))
        await until(lambda: reflector.get("Pod", "b"))
    assert server.count("list", "Pod") == 1
    assert seen.names() == ["a", "b"]


@pytest.mark.parametrize("bookmarks", [True, False])
async def test_bookmarks_keep_our_place_when_nothing_of_ours_happens(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap, bookmarks: bool
) -> None:
    server.faults.silent_end = not bookmarks
    server.watch_seconds = 0.01
    async with running(cluster, seen, nap) as reflector:
        for number in range(5):
            server.store.create(obj(f"f{number}", installation="two"))
        watches = server.count("watch")
        await until(lambda: server.count("watch") > watches + 2)
        server.store.forget()
        server.store.create(obj("later"))
        await until(lambda: reflector.get("Pod", "later"))
    assert server.count("list", "Pod") == (1 if bookmarks else 2)


# --- history that is gone -------------------------------------------------------------------------


async def test_after_history_is_gone_the_differences_are_told(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    for name in ("stays", "goes", "changes"):
        server.store.create(obj(name))
    async with running(cluster, seen, nap) as reflector:
        await server.stop()
        seen.changes.clear()
        server.store.remove("Pod", NS, "goes")
        touch(server, "changes", to="this")
        server.store.create(obj("comes"))
        server.store.forget()
        await server.start()
        await until(lambda: same(reflector, server))
    assert sorted(seen.names()) == ["-goes", "changes", "comes"]
    assert server.count("list", "Pod") >= 2


async def test_an_answer_of_410_is_as_good_as_an_event_of_it(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.watch_seconds = 0.01
    async with running(cluster, seen, nap) as reflector:
        lists = server.count("list", "Pod")
        server.faults.fail(410, "watch", "Pod")
        await until(lambda: server.count("list", "Pod") > lists)
        server.store.create(obj("a"))
        await until(lambda: reflector.get("Pod", "a"))


async def test_what_was_made_again_under_its_name_went_first(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.store.create(obj("a"))
    async with running(cluster, seen, nap) as reflector:
        await server.stop()
        server.store.remove("Pod", NS, "a")
        server.store.create(obj("a"))
        server.store.forget()
        await server.start()
        await until(lambda: same(reflector, server))
    assert seen.names() == ["a", "-a", "a"]


async def test_pages_that_are_forgotten_are_listed_again(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kpl_lab.engines.kubernetes.cluster.PAGE", 1)
    for name in ("a", "b"):
        server.store.create(obj(name))
    server.faults.fail(410, "list", "Pod")
    async with running(cluster, seen, nap) as reflector:
        assert same(reflector, server)


# --- a server that fails --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_errors_are_waited_out_longer_each_time(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap, status: int
) -> None:
    server.faults.fail(status, "list", "Pod", times=3)
    async with running(cluster, seen, nap) as reflector:
        assert reflector.synced.is_set()
    assert len(nap.waits) >= 3
    assert nap.waits[0] < nap.waits[1] < nap.waits[2]
    assert seen.troubles == [("Pod", "cluster_unreachable"), ("Pod", None)]


async def test_a_watch_that_breaks_loses_nothing_and_tells_nothing_twice(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    async with running(cluster, seen, nap) as reflector:
        for number in range(10):
            server.faults.cut_after["Pod"] = 1
            server.store.create(obj(f"p{number}"))
        await until(lambda: reflector.count("Pod") == 10)
    assert sorted(seen.names()) == sorted(f"p{number}" for number in range(10))
    assert server.count("list", "Pod") == 1


async def test_a_server_that_restarts_is_found_again(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.store.create(obj("a"))
    async with running(cluster, seen, nap, "Pod", "Job") as reflector:
        await server.stop()
        await until(lambda: set(reflector.trouble) == {"Pod", "Job"})
        server.store.create(obj("b"))
        await server.start()
        await until(lambda: same(reflector, server))
        server.watch_seconds = 0.01
        touch(server, "a", more="1")
        server.store.create(obj("j", "Job"))
        await until(lambda: not reflector.trouble)
    assert server.count("list", "Pod") == 1


async def test_a_slow_start_is_waited_for(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.faults.ready = False
    reflector = Reflector(
        cluster, {"Pod": bare}, SELECTOR, seen.change, timing=Timing(sleep=nap, pace=Pace())
    )
    task = asyncio.ensure_future(reflector.run())
    await until(lambda: len(nap.waits) > 3)
    assert not reflector.synced.is_set()
    server.faults.ready = True
    await asyncio.wait_for(reflector.synced.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_watch_that_is_silent_is_renewed(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.faults.deaf.add("Pod")
    async with running(cluster, seen, nap, silence=0.02, empty=1000) as reflector:
        server.store.create(obj("a"))
        await until(lambda: server.count("watch", "Pod") > 2)
        assert reflector.count("Pod") == 0
        server.faults.deaf.clear()
        await until(lambda: reflector.count("Pod") == 1)
    assert server.count("list", "Pod") == 1


async def test_a_server_that_stays_deaf_is_listed(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.faults.deaf.add("Pod")
    async with running(cluster, seen, nap, silence=0.02, empty=3) as reflector:
        server.store.create(obj("a"))
        await until(lambda: reflector.count("Pod") == 1)
    assert server.count("watch", "Pod") >= 3


async def test_one_kind_that_is_forbidden_does_not_hold_up_the_others(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    server.faults.forbidden.add(("list", "jobs"))
    reflector = Reflector(
        cluster,
        {"Pod": bare, "Job": bare},
        SELECTOR,
        seen.change,
        on_trouble=seen.trouble,
        timing=Timing(sleep=nap),
    )
    task = asyncio.ensure_future(reflector.run())
    server.store.create(obj("a"))
    await until(lambda: reflector.count("Pod") == 1 and "Job" in reflector.trouble)
    assert reflector.trouble["Job"].code == "cluster_forbidden"
    assert not reflector.synced.is_set()
    server.faults.forbidden.clear()
    await asyncio.wait_for(reflector.synced.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_end_that_no_watch_told_of_is_found_when_everything_is_listed_again(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap
) -> None:
    clock = ManualClock()
    server.watch_seconds = 0.02
    server.faults.untold.add("a")
    for name in "ab":
        server.store.create(obj(name))

    async def some_watches() -> None:
        wanted = server.count("watch") + 4
        await until(lambda: server.count("watch") >= wanted)

    async with running(cluster, seen, nap, clock=clock) as reflector:
        server.store.remove("Pod", NS, "a")
        server.store.create(obj("c"))
        clock.advance(Pace().resync - 1)
        await some_watches()
        assert {one["metadata"]["name"] for one in reflector.objects("Pod")} == {"a", "b", "c"}
        clock.advance(1)
        await until(lambda: same(reflector, server))
        # What is as it was is not told again.
        assert seen.names() == ["a", "b", "c", "-a"]
        await some_watches()
        assert server.count("list") == 2


# --- everything at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_copy_and_what_was_told_come_out_right(
    server: Server, cluster: Cluster, seen: Seen, nap: Nap, seed: int
) -> None:
    rng = random.Random(seed)
    server.watch_seconds = 0.03
    store = server.store

    def change() -> None:
        name = f"p{rng.randrange(6)}"
        if ("Pod", NS, name) not in store.objects:
            store.create(obj(name))
        elif rng.random() < 0.4:
            store.remove("Pod", NS, name)
        else:
            touch(server, name, at=str(store.version))

    def trouble() -> None:
        verb = rng.choice(["watch", "list"])
        rng.choice(
            [
                lambda: server.faults.fail(rng.choice([410, 429, 500, 503]), verb, "Pod"),
                lambda: server.faults.cut(verb, "Pod"),
                lambda: server.faults.cut_after.update(Pod=rng.randrange(3)),
                store.forget,
                server.forget_pages,
                server.bookmark,
            ]
        )()

    async with running(cluster, seen, nap, silence=0.05) as reflector:
        for _ in range(120):
            change()
            if rng.random() < 0.3:
                trouble()
            await asyncio.sleep(rng.choice([0, 0, 0.002]))
        server.faults.planned.clear()
        server.faults.cut_after.clear()
        await until(lambda: same(reflector, server))
        replayed: dict[str, str] = {}
        for _, name, version in seen.changes:
            if version is None:
                del replayed[name]  # what is gone was there
            else:
                assert int(version) > int(replayed.get(name, 0))
                replayed[name] = version
        assert replayed == {
            o["metadata"]["name"]: o["metadata"]["resourceVersion"]
            for o in reflector.objects("Pod")
        }
