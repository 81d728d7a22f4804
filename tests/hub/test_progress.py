"""The start of a server in words."""

import asyncio
import datetime as dt
from typing import Any

from kpl_lab.clock import ManualClock
from kpl_lab.hub.progress import Progress, ProgressEvent, event_of, first_event
from kpl_lab.schemas.common import Event
from kpl_lab.schemas.servers import ServerStatus

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def status(state: str, message: str | None = None, **more: Any) -> ServerStatus:
    return ServerStatus(id=1, state=state, message=message, **more)


async def read(progress: Progress) -> list[ProgressEvent]:
    return [event async for event in progress.follow()]


async def test_who_comes_late_reads_everything_from_the_start() -> None:
    progress = Progress()
    progress.tell(first_event())
    early = asyncio.create_task(read(progress))
    await asyncio.sleep(0)
    progress.tell(event_of(status("starting")))
    progress.tell(event_of(status("running")))
    progress.finish()
    assert await early == await read(progress)
    assert [event["step"] for event in await early] == ["queued", "starting", "ready"]


async def test_an_event_has_the_time_at_which_it_happened_for_whoever_comes_late() -> None:
    clock = ManualClock(NOW + dt.timedelta(seconds=9))
    progress = Progress(clock)
    progress.tell_status(status("starting", events=[happened(1, "Scheduled", "There is room.")]))
    clock.advance(60)
    progress.finish()
    times = [event["time"] for event in await read(progress)]
    assert times == ["2026-01-01T00:00:00+00:00", "2026-01-01T00:00:09+00:00"]


async def test_the_same_state_is_told_once() -> None:
    progress = Progress()
    for _ in range(3):
        progress.tell(event_of(status("pending", "Waiting for 1 GPU, 2 ahead of you")))
    progress.finish()
    (event,) = await read(progress)
    assert event["message"] == "Waiting for 1 GPU, 2 ahead of you"


def test_progress_never_goes_back() -> None:
    found = [event_of(status(state)) for state in ("pending", "starting", "running")]
    percent = [event["progress"] for event in found if event]
    assert percent == sorted(percent)
    assert percent[-1] < 100, "JupyterHub itself says 100 when it has reached the server"


def test_an_end_is_no_progress() -> None:
    assert event_of(status("failed", "out of memory")) is None


def happened(id: int, name: str, message: str, level: str = "normal") -> Event:
    return Event(
        id=id,
        time=NOW,
        resource="servers",
        resource_id=1,
        kind="state",
        level=level,
        message=message,
        data={"event": name},
    )


async def test_every_event_of_the_history_is_told_once_before_how_far_it_is() -> None:
    progress = Progress()
    scheduled = happened(1, "Scheduled", "There is room; the server is starting.")
    pulling = happened(2, "PullingImage", "The image is being pulled.")
    for percent in (20, 40):
        message = f"Pulling the image: {percent} %"
        found = status("starting", message, reason="pulling_image", events=[scheduled, pulling])
        progress.tell_status(found)
    progress.finish()
    told = [(event["event"], event["step"], event["message"]) for event in await read(progress)]
    assert told == [
        ("Scheduled", "scheduled", "There is room; the server is starting."),
        ("PullingImage", "image", "The image is being pulled."),
        ("", "image", "Pulling the image: 20 %"),
        ("", "image", "Pulling the image: 40 %"),
    ]


async def test_a_bar_never_goes_back_even_where_a_step_does() -> None:
    progress = Progress()
    progress.tell_status(status("starting"))
    progress.tell_status(status("starting", "Pulling the image: 1 %", reason="pulling_image"))
    progress.finish()
    percent = [event["progress"] for event in await read(progress)]
    assert percent == sorted(percent)


async def test_what_has_no_step_of_its_own_is_told_where_the_start_is() -> None:
    progress = Progress()
    found = [happened(1, "Scheduled", "There is room."), happened(2, "OutOfMemory", "Too much.")]
    progress.tell_status(status("failed", events=found))
    progress.finish()
    assert [event["step"] for event in await read(progress)] == ["scheduled", "scheduled"]


async def test_what_the_cluster_says_stands_at_the_step_that_it_is_of() -> None:
    progress = Progress()
    for reason, message in (
        ("no_place", "No node of the cluster takes it yet."),
        ("being_set_up", "It has a place on the node n1 and is being set up."),
        ("pulling_image", "The node n1 is pulling the image x."),
        (None, "The image is on the node n1; the container is being started."),
    ):
        progress.tell_status(status("starting", message, reason=reason))
    progress.finish()
    told = [(event["step"], event["message"][:9]) for event in await read(progress)]
    assert told == [
        ("queued", "No node o"),
        ("scheduled", "It has a "),
        ("image", "The node "),
        ("starting", "The image"),
    ]
