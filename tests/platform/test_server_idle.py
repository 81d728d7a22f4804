"""Idle stop as the platform sees it: who decides, what the server knows, how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from kpl_lab.platform.domain import server_idle
from kpl_lab.platform.settings import PlatformOptions
from tests.platform.running import Site
from tests.platform.test_server_events import history
from tests.platform.test_servers import LAUNCH, create, started


def options(**values: Any) -> PlatformOptions:
    return PlatformOptions(**values)


@pytest.mark.parametrize(
    ("default", "is_ceiling", "wish", "expected"),
    [
        (0, False, None, 0),
        (0, False, 30, 30),
        (60, False, None, 60),
        (60, False, 0, 0),
        (60, False, 120, 120),
        (60, True, 0, 60),
        (60, True, 120, 60),
        (60, True, 15, 15),
        (0, True, 30, 30),
    ],
)
def test_the_user_decides_within_what_the_administrator_leaves(
    default: float, is_ceiling: bool, wish: float | None, expected: float
) -> None:
    found = options(idle_stop_minutes=default, idle_stop_is_ceiling=is_ceiling)
    assert server_idle.minutes(found, wish) == expected


def test_nothing_stops_by_itself_unless_somebody_asks_for_it() -> None:
    assert server_idle.variables(options(), {}, gpus=1, gpu_minutes=0) == {}
    assert server_idle.variables(options(), {}, gpus=0, gpu_minutes=30) == {}


def test_a_warning_leaves_at_least_half_of_the_time_unwarned() -> None:
    found = server_idle.variables(options(), {"idle_stop_minutes": 4}, gpus=2, gpu_minutes=0)
    assert found == {
        "KPL_IDLE_STOP_MINUTES": "4",
        "KPL_IDLE_WARNING_MINUTES": "2",
        "KPL_SERVER_GPUS": "2",
    }


def test_gpus_that_compute_nothing_can_end_a_server_that_never_stops_otherwise() -> None:
    assert server_idle.variables(options(), {}, gpus=1, gpu_minutes=30) == {
        "KPL_IDLE_GPU_MINUTES": "30",
        "KPL_IDLE_WARNING_MINUTES": "5",
        "KPL_SERVER_GPUS": "1",
    }


async def test_the_pool_says_how_long_gpus_may_be_idle(site: Site) -> None:
    pools = "version: 1\npools: [{name: a, title: A, idle_gpu_minutes: 20}]"
    (site.context.settings.home.root / "pools.yml").write_text(pools)
    site.context.options.idle_gpu_minutes = 60
    id = await create(site, resources={"cpu": 1, "memory": 512, "gpu": 1, "shm": 64})
    await site.internal().post(f"internal/servers/{id}/start", LAUNCH)
    await site.internal().until(f"internal/servers/{id}", "running")
    assert site.workload(f"server-{id}").environment["KPL_IDLE_GPU_MINUTES"] == "20"
    body = {"state": "over", "what": "gpu", "minutes": 20}
    assert (await site.user("alice").http.post(f"servers/{id}/idle", json=body)).status_code == 204
    status = await site.internal().until(f"internal/servers/{id}", "stopped")
    assert status["message"] == (
        "The server was stopped: its GPUs had computed nothing for 20 minutes."
    )


async def test_the_server_is_told_what_was_chosen(site: Site) -> None:
    id = await create(site)
    body = {**LAUNCH, "idle_stop_minutes": 45}
    await site.internal().post(f"internal/servers/{id}/start", body)
    await site.internal().until(f"internal/servers/{id}", "running")
    environment = site.workload(f"server-{id}").environment
    assert environment["KPL_IDLE_STOP_MINUTES"] == "45"
    assert environment["KPL_IDLE_WARNING_MINUTES"] == "5"


async def say(site: Site, id: int, state: str, minutes: float, user: str = "alice") -> int:
    body = {"state": state, "minutes": minutes}
    answer = await site.user(user).http.post(f"servers/{id}/idle", json=body)
    return answer.status_code


async def test_a_warning_a_wish_and_the_stop_stand_in_the_history_and_the_reason_stays(
    site: Site,
) -> None:
    id = await started(site)
    assert await say(site, id, "warned", 5) == 204
    assert await say(site, id, "kept", 0) == 204
    assert await say(site, id, "over", 30) == 204
    status = await site.internal().until(f"internal/servers/{id}", "stopped")
    assert status["reason"] == "idle"
    assert status["message"] == "The server was stopped: nothing had run in it for 30 minutes."
    assert (await history(site, id))[3:] == [
        ("StopNotebookResourceIdle", "warning"),
        ("KeepNotebookRunning", "normal"),
        ("StopNotebookResourceIdle", "warning"),
        ("StoppingNotebook", "normal"),
        ("StopNotebook", "normal"),
    ]


async def test_only_its_own_user_can_have_a_server_stopped(site: Site) -> None:
    id = await started(site)
    assert await say(site, id, "over", 30, user="bob") == 404
    assert (await site.internal().get(f"internal/servers/{id}"))["state"] == "running"


async def test_a_server_that_does_not_run_has_nothing_to_say(site: Site) -> None:
    id = await create(site)
    assert await say(site, id, "over", 30) == 409


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(30, "30 minutes"), (4.97, "5 minutes"), (1, "1 minute"), (0.2, "12 seconds")],
)
async def test_times_are_told_as_people_say_them(site: Site, minutes: float, words: str) -> None:
    id = await started(site)
    await say(site, id, "warned", minutes)
    items = (await site.internal().get(f"servers/{id}/events"))["items"]
    assert items[0]["message"] == f"Nothing runs in the server; it will be stopped in {words}."
