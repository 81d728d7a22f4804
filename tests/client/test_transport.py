"""What becomes of answers, of refusals, and of silence."""

from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request as ServerRequest

from kpl_lab.client import Client, Credentials
from kpl_lab.client.transport import Request, Transport
from kpl_lab.errors import (
    BY_STATUS,
    Conflict,
    Forbidden,
    KplError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from kpl_lab.schemas.servers import VersionView
from kpl_lab.schemas.tasks import TaskCreate
from tests.doubles.platform import Platform
from tests.doubles.server import Server


def answering(*answers: httpx.Response | Exception) -> tuple[Transport, list[httpx.Request]]:
    """Return a transport that gives the answers one after the other, and what it was asked."""
    asked: list[httpx.Request] = []
    left = list(answers)

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    transport = Transport(
        "http://x/kpl/api/v1",
        "secret",
        transport=httpx.MockTransport(handle),
        sleep=lambda seconds: None,
    )
    return transport, asked


VERSION = {"version": "1", "api_version": "v1", "engine": "local"}


@pytest.mark.parametrize(("status", "kind"), sorted(BY_STATUS.items()))
def test_every_status_of_the_error_tree_comes_back_as_its_class(
    status: int, kind: type[KplError]
) -> None:
    problem = {"code": "some_code", "message": "Why.", "detail": {"n": 1}, "request_id": "r"}
    transport, _ = answering(*[httpx.Response(status, json=problem)] * 20)
    transport.retry_seconds = 0
    with pytest.raises(kind) as raised:
        transport.get("/version", VersionView)
    assert type(raised.value) is kind
    assert (raised.value.code, raised.value.message) == ("some_code", "Why.")
    assert raised.value.detail == {"n": 1, "request_id": "r"}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, "Bad Gateway", Unavailable),
        (404, "404 page not found", Unavailable),
        (404, '{"status": 404, "message": "No such user"}', NotFound),
        (401, "", Unauthenticated),
        (403, '{"message": "Action is not authorized"}', Forbidden),
        (409, "<html>", Conflict),
        (500, "Traceback", KplError),
    ],
)
def test_what_is_no_problem_document_is_named_after_its_status(
    status: int, body: str, kind: type[KplError]
) -> None:
    transport, _ = answering(httpx.Response(status, text=body))
    transport.retry_seconds = 0
    with pytest.raises(kind) as raised:
        transport.get("/version", VersionView)
    assert type(raised.value) is kind
    assert "secret" not in raised.value.message


def test_silence_is_waited_out_as_long_as_a_restart_takes() -> None:
    transport, asked = answering(
        httpx.ConnectError("refused"), httpx.Response(502), httpx.Response(200, json=VERSION)
    )
    assert transport.get("/version", VersionView).engine == "local"
    assert len(asked) == 3


def test_a_create_is_repeated_with_the_same_key_only() -> None:
    transport, asked = answering(httpx.ReadError("cut"), httpx.Response(201, json=VERSION))
    transport.create("/tasks", TaskCreate(), VersionView)
    keys = {request.headers["Idempotency-Key"] for request in asked}
    assert (len(asked), len(keys)) == (2, 1)


def test_what_may_not_be_repeated_is_not() -> None:
    transport, asked = answering(httpx.ReadError("cut"))
    with pytest.raises(Unavailable, match="ended before"):
        transport.send(Request("POST", "/tasks"))
    assert len(asked) == 1


def test_fields_that_were_not_set_are_left_to_the_platform() -> None:
    transport, asked = answering(httpx.Response(201, json=VERSION))
    transport.create("/tasks", TaskCreate(algorithm="digits"), VersionView)
    assert asked[0].content == b'{"algorithm":"digits"}'


def test_an_unreachable_platform_is_named_with_the_next_step() -> None:
    client = Client(Credentials("http://127.0.0.1:9", "t"), retry_seconds=0)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:9.*kpl-lab up") as raised:
        client.version()
    assert raised.value.code == "unreachable"


def test_an_answer_of_another_version_is_told_as_that(server: Server) -> None:
    transport, _ = answering(httpx.Response(200, json={"surprise": 1}))
    with pytest.raises(Unavailable, match="same version"):
        transport.get("/version", VersionView)


def test_a_wrong_token_is_not_allowed(server: Server) -> None:
    with pytest.raises(Unauthenticated), Client(Credentials(server.url, "wrong")) as client:
        client.me()


def test_lists_follow_their_cursors_and_keep_the_order(client: Client, platform: Platform) -> None:
    for number in range(250):
        platform.add("tasks", f"t{number}", state="succeeded")
    names = [task.name for task in client.tasks.list()]
    assert names == [f"t{n}" for n in reversed(range(250))]
    assert [task.name for task in client.tasks.list(limit=120)] == names[:120]
    assert len(client.tasks.list(search="t24")) == 11


def test_names_with_spaces_and_other_letters_reach_their_thing(
    client: Client, platform: Platform
) -> None:
    platform.add("datasets", "水果 & co?")
    assert client.datasets.get("水果 & co?").name == "水果 & co?"


def test_no_token_is_in_what_is_printed() -> None:
    credentials = Credentials("http://x", "secret")
    assert "secret" not in repr(credentials) + repr(Transport("http://x", "secret"))


def test_a_token_is_sent_in_the_header_only(client: Client, platform: Platform) -> None:
    seen: list[ServerRequest] = []
    platform.before_request = seen.append
    client.version()
    assert seen[0].headers["Authorization"] == "token right-token"
    assert "token" not in str(seen[0].url)
