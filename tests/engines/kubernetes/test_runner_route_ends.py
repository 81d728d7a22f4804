"""Routes of services that end: their own, with their workloads, or with the options that wanted them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kpl_lab.engines.spec import Handle
from tests.engines.kubernetes.benches import Doubled, doubled, until
from tests.engines.kubernetes.routing import (
    BY_GATEWAY,
    BY_INGRESS,
    OBJECTS,
    PEER,
    asked,
    hurry,
    let_in,
    route,
    serving,
    settled,
    there,
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Doubled]:
    async with doubled(tmp_path, **BY_GATEWAY) as found:
        yield found


def without_ways(bench: Doubled) -> None:
    """Have the options name no way any more."""
    (bench.settings.home.root / "kubernetes_engine.py").write_text(
        "c.KubernetesOptions.connect_host = '127.0.0.1'\n"
    )
    bench.start()


async def test_a_way_that_may_not_be_removed_is_said_and_removed_once_it_may(
    bench: Doubled, caplog: pytest.LogCaptureFixture
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    await bench.crash()
    bench.server.faults.forbidden.add(("list", "httproutes"))
    without_ways(bench)
    for _ in range(3):
        assert await bench.engine.route([]) == []
    said = [one for one in caplog.messages if "may lead calls on" in one]
    assert len(said) == 1
    assert "may not list httproutes" in said[0]
    assert there(bench)
    bench.server.faults.forbidden.clear()
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


@pytest.mark.parametrize("is_forbidden", [False, True])
async def test_a_cluster_without_the_gateway_api_has_nothing_left_of_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_forbidden: bool
) -> None:
    async with doubled(tmp_path) as bench:
        if is_forbidden:
            bench.server.faults.fail(403, "get", "httproutes", times=9)
        bench.server.unknown.add("HTTPRoute")
        for _ in range(2):
            assert await bench.engine.route([]) == []
        assert bench.server.count("list", "Ingress") == 1
        assert [one for one in caplog.messages if "may lead" in one] == []


async def test_another_way_removes_what_the_former_has_left(tmp_path: Path) -> None:
    async with doubled(tmp_path, **BY_INGRESS, route_from=[PEER]) as bench:
        await serving(bench, "a")
        await asked(bench, route(a=100))
        assert len(bench.objects(*OBJECTS)) == 2
        await bench.crash()
        without_ways(bench)
        assert await bench.engine.route([route(a=100)]) == []
        await until(lambda: bench.objects(*OBJECTS) == [])


async def test_a_policy_goes_when_none_is_wanted_any_more(bench: Doubled) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    await bench.crash()
    options = bench.settings.home.root / "kubernetes_engine.py"
    options.write_text(options.read_text() + "c.KubernetesOptions.route_from = []\n")
    bench.start()
    await asked(bench, route(a=100))
    assert len(bench.objects("HTTPRoute")) == 1
    assert bench.objects("NetworkPolicy") == []


async def test_a_policy_stays_until_the_proxies_know_that_the_route_has_gone(
    bench: Doubled,
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    odd = dataclasses.replace(route(a=100), path="/svc/default/数字")
    await asked(bench, odd)
    assert (bench.objects("HTTPRoute"), let_in(bench)) == ([], {"a"})
    await settled(bench, odd)
    assert bench.objects(*OBJECTS) == []
    await asked(bench, route(a=100))
    await bench.engine.route([])  # it is public no more: at once
    assert bench.objects(*OBJECTS) == []


async def test_a_route_that_cannot_be_removed_is_said_in_the_log_and_removed_later(
    bench: Doubled, caplog: pytest.LogCaptureFixture
) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    bench.server.faults.forbidden.add(("delete", "httproutes"))
    for _ in range(2):
        assert await bench.engine.route([]) == []
    said = [one for one in caplog.messages if "routes of services stay as they were" in one]
    assert len(said) == 1
    assert "may not delete httproutes" in said[0]
    bench.server.faults.forbidden.clear()
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


async def test_a_route_that_is_not_wanted_any_more_goes(bench: Doubled) -> None:
    await serving(bench, "a")
    await asked(bench, route(a=100))
    assert await bench.engine.route([]) == []
    assert bench.objects(*OBJECTS) == []


async def test_a_route_goes_with_its_last_workload_though_nobody_asks(bench: Doubled) -> None:
    await serving(bench, "a", "b")
    await asked(bench, route(a=50, b=50))
    await bench.engine.delete(Handle(engine="kubernetes", name="a"))
    assert bench.objects("HTTPRoute") != []
    await bench.engine.delete(Handle(engine="kubernetes", name="b"))
    assert bench.objects(*OBJECTS) == []
