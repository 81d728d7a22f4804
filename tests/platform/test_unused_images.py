"""What was built is removed when nothing has used it for long, and never while something does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from kpl_lab.clock import ManualClock
from kpl_lab.engines.fake import Script
from kpl_lab.errors import EngineError
from kpl_lab.platform.domain import unused_images
from kpl_lab.platform.runtime.tidying import remove_unused_images
from tests.platform.running import WAITS, Site, until
from tests.platform.test_builds import CODE_BUILT, building
from tests.platform.test_image_builds import REQUIREMENTS, built

MONTH = 31 * 24 * 3600.0


@pytest.fixture
def pass_a_month(site: Site, clock: ManualClock) -> Callable[[], None]:
    return lambda: clock.advance(MONTH)


async def tidy(site: Site) -> None:
    await remove_unused_images(site.controller.world)


async def test_what_a_task_was_built_for_goes_a_month_after_it_and_is_built_anew(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    await tidy(site)
    assert len(site.engine.images) == 1, "it is young"
    pass_a_month()
    await tidy(site)
    assert site.engine.images == {}
    assert "removed" in (await alice.get("builds/1"))["message"]
    await alice.ended(await alice.submit(CODE_BUILT))
    assert (await alice.get("builds/2"))["cached"] is False
    assert len(site.engine.images) == 1


async def test_a_later_task_has_used_it_too(site: Site, pass_a_month: Callable[[], None]) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    pass_a_month()
    await alice.ended(await alice.submit(CODE_BUILT))
    await tidy(site)
    assert len(site.engine.images) == 1


async def test_what_runs_or_is_an_algorithm_s_stays(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script(), WAITS)
    alice = site.user()
    task = await alice.submit(CODE_BUILT)
    await alice.until(f"tasks/{task['id']}", "running")
    published = {"name": "a", "upload": await alice.code(CODE_BUILT)}
    await alice.post("algorithms", published)
    pass_a_month()
    await tidy(site)
    assert len(site.engine.images) == 1
    await alice.post(f"tasks/{task['id']}/stop")
    await alice.ended(task)
    await tidy(site)
    assert len(site.engine.images) == 1, "of the algorithm"
    assert (await alice.http.delete("algorithms/a")).status_code == 204
    pass_a_month()
    await tidy(site)
    assert site.engine.images == {}


async def test_what_a_service_runs_in_stays_also_while_it_is_stopped(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script(), WAITS)
    alice = site.user()
    found = await alice.deploy(CODE_BUILT)
    await alice.until(f"services/{found['id']}", "running")
    await alice.http.patch(f"services/{found['id']}", json={"running": False})
    await alice.until(f"services/{found['id']}", "stopped")
    pass_a_month()
    await tidy(site)
    assert len(site.engine.images) == 1
    await alice.http.delete(f"services/{found['id']}")
    await alice.gone(f"services/{found['id']}")

    async def is_removed() -> bool:
        # The service's row goes a moment after its workload, and counts as a use until then.
        await tidy(site)
        return site.engine.images == {}

    await until(is_removed)


async def test_an_image_of_the_catalog_stays_until_it_is_taken_out_or_made_anew(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script())
    alice = site.user()
    first = await built(alice, await alice.post("builds", REQUIREMENTS))
    pass_a_month()
    again = await alice.post("builds", {**REQUIREMENTS, "requirements": "six==1.17\n"})
    second = await built(alice, again)
    pass_a_month()
    await tidy(site)
    assert set(site.engine.images) == {second["digest"]}
    assert first["digest"] != second["digest"]
    assert (await alice.http.delete("images/mine")).status_code == 204
    await tidy(site)
    assert site.engine.images == {}


@pytest.mark.parametrize("refuses", [False, True])
async def test_what_the_engine_still_needs_can_be_used_again(
    site: Site, pass_a_month: Callable[[], None], monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    pass_a_month()

    async def needs_it(reference: str) -> bool:
        if refuses:
            raise EngineError("no such call")
        return False

    monkeypatch.setattr(site.engine, "remove_image", needs_it)
    await tidy(site)
    await alice.ended(await alice.submit(CODE_BUILT))
    assert (await alice.http.get("builds/2")).status_code == 404


async def test_a_crash_between_mark_and_removal_is_made_up_for(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    pass_a_month()
    with site.context.database.store() as store:
        unused_images.mark(store, store.now())
    await tidy(site)
    assert site.engine.images == {}


async def test_what_is_ordered_while_its_image_is_removed_is_built_anew(
    site: Site, pass_a_month: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    pass_a_month()
    asked, go_on, remove = asyncio.Event(), asyncio.Event(), site.engine.remove_image

    async def slowly(reference: str) -> bool:
        asked.set()
        await go_on.wait()
        return await remove(reference)

    monkeypatch.setattr(site.engine, "remove_image", slowly)
    tidying = asyncio.create_task(tidy(site))
    await asked.wait()
    task = await alice.submit(CODE_BUILT)
    go_on.set()
    await tidying
    assert (await alice.ended(task))["state"] == "succeeded"
    assert (await alice.get("builds/2"))["cached"] is False


async def test_nothing_is_removed_where_that_is_off(
    site: Site, pass_a_month: Callable[[], None]
) -> None:
    building(site, Script(), Script())
    alice = site.user()
    await alice.ended(await alice.submit(CODE_BUILT))
    pass_a_month()
    site.context.options.unused_image_days = 0.0
    await tidy(site)
    assert len(site.engine.images) == 1
