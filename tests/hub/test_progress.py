"""The start of a server in words."""

import asyncio

from kpl_lab.hub.progress import Progress, ProgressEvent, event_of, first_event
from kpl_lab.schemas.servers import ServerStatus


def status(state: str, message: str | None = None) -> ServerStatus:
    return ServerStatus(id=1, state=state, message=message)


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
