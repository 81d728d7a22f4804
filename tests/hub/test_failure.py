"""Why a server did not start: words first, then the end of its log, harmless."""

from __future__ import annotations

import datetime as dt

import httpx

from kpl_lab.client.plaintext import plain
from kpl_lab.errors import Conflict
from kpl_lab.hub.failure import failure, refusal
from kpl_lab.hub.platform_client import PlatformClient
from kpl_lab.schemas.common import Event
from kpl_lab.schemas.servers import ServerStatus

ENDED = ServerStatus(
    id=7, state="failed", reason="exit_code", message="It ended with exit code 1. Look at the log."
)


def platform(answer: httpx.Response, asked: list[str] | None = None) -> PlatformClient:
    def handle(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(str(request.url))
        return answer

    return PlatformClient("http://platform", "t", transport=httpx.MockTransport(handle))


def page(text: str) -> httpx.Response:
    body = {"text": text, "offset": 0, "next_offset": len(text), "complete": True}
    return httpx.Response(200, json=body)


async def test_it_says_why_and_shows_the_end_of_the_server_s_own_log() -> None:
    asked: list[str] = []
    error = await failure(platform(page("line 1\nModuleNotFoundError: x\n"), asked), ENDED)
    assert str(error) == "It ended with exit code 1. Look at the log."
    assert asked == ["http://platform/servers/7/log?tail=4096"]
    assert "ModuleNotFoundError: x</pre>" in (error.jupyterhub_html_message or "")
    assert "It ended with exit code 1" in (error.jupyterhub_html_message or "")


async def test_what_a_program_wrote_is_text_and_nothing_else() -> None:
    hostile = "</pre><script>alert(1)</script>\x1b[31mred\x1b[0m\x1b]0;title\x07\x00\x9b\r\nend"
    error = await failure(platform(page(hostile)), ENDED)
    html = error.jupyterhub_html_message or ""
    assert "<script" not in html
    assert "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;red\nend</pre>" in html


async def test_a_log_that_cannot_be_read_hides_no_reason() -> None:
    problem = {"code": "not_found", "message": "There is none.", "request_id": "x"}
    error = await failure(platform(httpx.Response(404, json=problem)), ENDED)
    assert error.jupyterhub_message == ENDED.message
    assert "<pre" not in (error.jupyterhub_html_message or "")


async def test_it_says_at_which_step_of_the_start_it_was() -> None:
    def happened(name: str) -> Event:
        time = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        data = {"event": name}
        return Event(id=1, time=time, resource="servers", resource_id=7, kind="state", data=data)

    for names, step in (
        (["CreateNotebook", "CreateNotebookFailed"], "queued"),
        (["Scheduled", "PullingImage", "PullImageFailed"], "image"),
        (["Scheduled", "PullingImage", "PulledImage", "StartNotebookFailed"], "starting"),
        (["Scheduled", "OutOfMemory"], "starting"),
        (["Scheduled", "Queued", "StartNotebookFailed"], "queued"),
        (["Scheduled", "Queued", "Scheduled", "StartNotebookFailed"], "starting"),
    ):
        ended = ENDED.model_copy(update={"events": [happened(name) for name in names]})
        error = await failure(platform(page("")), ended)
        assert f'data-step="{step}"' in (error.jupyterhub_html_message or "")


def test_a_refusal_has_the_platform_s_words_and_no_log() -> None:
    error = refusal(Conflict("It runs already.", code="already_running"))
    assert (error.jupyterhub_message, error.reason) == ("It runs already.", "already_running")
    assert error.jupyterhub_html_message is None


def test_tabs_and_letters_of_all_languages_stay() -> None:
    assert plain("\t缺少模块 ü\n") == "\t缺少模块 ü"
