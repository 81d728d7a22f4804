"""The history of servers on the hub's page, drawn as JupyterHub draws it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from jinja2 import Environment, FileSystemLoader

from kpl_lab.hub.start_page import TEMPLATES
from kpl_lab.schemas.common import Event, Resources
from kpl_lab.schemas.servers import ServerStart

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


class Somebody:
    name = "alice"


def start(*, message: str, name: str = "") -> ServerStart:
    event = Event(
        id=1,
        time=NOW,
        resource="servers",
        resource_id=1,
        kind="state",
        level="error",
        message=message,
        data={"event": "OutOfMemory", "rank": "urgent"},
    )
    return ServerStart(
        id=1,
        name=name,
        user="alice",
        image="python",
        state="failed",
        created_at=NOW,
        resources=Resources(),
        events=[event],
    )


async def drawn(starts: Sequence[ServerStart] | None) -> str:
    async def history() -> Sequence[ServerStart] | None:
        return starts

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, enable_async=True
    )
    template = environment.get_template("kpl/history.html")
    return await template.render_async(user=Somebody(), kpl_history=history)


async def test_every_start_stands_there_with_names_levels_and_words() -> None:
    html = await drawn([start(message="It needed more memory.", name="second")])
    for word in ("OutOfMemory", "error", "It needed more memory.", "failed"):
        assert f">{word}<" in html
    assert "· second ·" in html


async def test_what_others_wrote_is_escaped() -> None:
    html = await drawn([start(message="<img src=x onerror=alert(1)>", name="<b>x</b>")])
    assert "<img" not in html
    assert "<b>" not in html


async def test_a_platform_that_does_not_answer_is_told_and_the_page_stays() -> None:
    assert "does not answer" in await drawn(None)


async def test_a_user_who_never_started_a_server_reads_so() -> None:
    assert "No server was started yet." in await drawn([])
