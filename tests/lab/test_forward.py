"""The door to the platform: what is passed on, what is not, and that both ways are streams."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest, HTTPResponse
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from kpl_lab.errors import NotFound
from kpl_lab.lab.routes import service_call
from kpl_lab.lab.routes.table import MethodNotAllowed, platform_path
from tests.doubles.platform import TOKEN, Platform
from tests.doubles.server import Server

Fetch = Callable[..., Any]


async def refused(answer: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(HTTPClientError) as raised:
        await answer
    assert raised.value.response is not None
    kind = raised.value.response.headers["Content-Type"]
    assert kind.startswith("application/problem+json")
    problem = json.loads(raised.value.response.body)
    assert set(problem) == {"code", "message", "detail", "request_id"}
    return raised.value.code, problem


async def test_reads_are_passed_on_with_the_servers_token(
    jp_fetch: Fetch, platform: Platform
) -> None:
    platform.add("datasets", "水果")
    answer = await jp_fetch("kpl-lab", "api", "datasets", params={"limit": 5, "search": "水"})
    assert [item["name"] for item in json.loads(answer.body)["items"]] == ["水果"]
    assert platform.headers[-1]["authorization"] == f"token {TOKEN}"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_neither_the_browsers_cookies_nor_its_token_go_further(
    jp_fetch: Fetch, platform: Platform, jp_auth_header: dict[str, str]
) -> None:
    queries: list[str] = []
    platform.before_request = lambda request: queries.append(request.url.query)
    token = jp_auth_header["Authorization"].removeprefix("token ")
    await jp_fetch(
        "kpl-lab", "api", "tasks", headers={"Cookie": "a=b"},
        params={"limit": 3, "token": token, "_xsrf": "y", "no_track_activity": 1},
    )  # fmt: skip
    assert "cookie" not in platform.headers[-1]
    assert queries == ["limit=3"]


async def test_no_answer_holds_the_token_or_the_address(
    jp_fetch: Fetch, server: Server, platform: Platform
) -> None:
    answer = await jp_fetch("kpl-lab", "api", "me")
    text = answer.body.decode() + str(dict(answer.headers))
    assert TOKEN not in text
    assert str(server.port) not in text


async def test_creates_and_changes_are_passed_on(jp_fetch: Fetch, platform: Platform) -> None:
    answer = await jp_fetch(
        "kpl-lab", "api", "tasks", method="POST", body='{"algorithm": "digits"}',
        headers={"Idempotency-Key": "k1", "Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.code == 201
    assert platform.headers[-1]["idempotency-key"] == "k1"
    assert platform.bodies[0].algorithm == "digits"
    platform.ends = ("stopped", None, None)
    await jp_fetch("kpl-lab", "api", "tasks", "1", "stop", method="POST", body="")
    gone = await jp_fetch("kpl-lab", "api", "tasks", "1", method="DELETE")
    assert gone.code == 204


async def test_a_large_upload_is_not_kept_on_the_way(
    jp_fetch: Fetch, http_server: Any, platform: Platform
) -> None:
    await jp_fetch("kpl-lab", "api", "uploads", method="POST", body='{"filename": "x"}',
                   headers={"Idempotency-Key": "k"})  # fmt: skip
    # Far above what Jupyter Server takes by itself.
    http_server.conn_params.max_body_size = 1000
    piece = bytes(1024 * 1024)

    async def body(write: Callable[[bytes], Any]) -> None:
        for _ in range(20):
            await write(piece)

    answer = await jp_fetch(
        "kpl-lab", "api", "uploads", "1", method="PUT", params={"offset": 0},
        body_producer=body, headers={"Content-Length": str(20 * len(piece))},
    )  # fmt: skip
    assert json.loads(answer.body)["received"] == 20 * len(piece)


async def test_an_early_refusal_of_a_large_upload_is_told(
    jp_fetch: Fetch, platform: Platform
) -> None:
    def refuse(request: object) -> None:
        raise NotFound("There is no such upload; start it again.")

    platform.before_request = refuse
    status, problem = await refused(
        jp_fetch("kpl-lab", "api", "uploads", "7", method="PUT", params={"offset": 0},
                 body=bytes(30 * 1024 * 1024))
    )  # fmt: skip
    assert (status, problem["message"]) == (404, "There is no such upload; start it again.")


async def test_events_come_one_by_one_and_end_with_the_browser(
    http_server: object, jp_base_url: str, jp_http_port: int, jp_auth_header: dict[str, str], platform: Platform,
    jp_serverapp: Any,
) -> None:  # fmt: skip
    pieces: asyncio.Queue[bytes] = asyncio.Queue()
    client = SimpleAsyncHTTPClient(force_instance=True)
    before = jp_serverapp.web_app.settings.get("api_last_activity")
    reading = asyncio.ensure_future(
        client.fetch(
            HTTPRequest(
                f"http://127.0.0.1:{jp_http_port}{jp_base_url}kpl-lab/api/events?resource=tasks",
                headers=jp_auth_header,
                streaming_callback=pieces.put_nowait,
                request_timeout=0,
            )
        )
    )
    assert await asyncio.wait_for(pieces.get(), 10) == b": open\n\n"
    for number in (1, 2):
        platform.tell("datasets", number)
        platform.tell("tasks", number)
        piece = await asyncio.wait_for(pieces.get(), 10)
        assert f'"resource_id":{number}'.encode() in piece
        assert b"datasets" not in piece
    assert jp_serverapp.web_app.settings.get("api_last_activity") == before
    client.close()
    reading.cancel()
    await asyncio.wait({reading})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "internal/authorize"),
        ("POST", "internal/servers"),
        ("GET", "openapi.json"),
        ("GET", "datasets/../internal/authorize"),
        ("GET", "datasets/%2e%2e/internal"),
        ("GET", "datasets/a%2F..%2F..%2Finternal"),
        ("GET", "tasks/1/files/..%2F..%2Fx"),
        ("GET", "tasks//log"),
        ("GET", ""),
        ("POST", "servers/x/mounts"),
    ],
)
def test_what_is_not_in_the_table_is_not_passed_on(method: str, path: str) -> None:
    with pytest.raises(NotFound):
        platform_path(method, path)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "datasets"), ("POST", "me"), ("PUT", "tasks/1")]
)
def test_a_wrong_method_is_told(method: str, path: str) -> None:
    with pytest.raises(MethodNotAllowed):
        platform_path(method, path)


def test_names_are_decoded_once_and_encoded_again() -> None:
    assert platform_path("GET", "datasets/%E6%B0%B4 a%3Fb") == "/datasets/%E6%B0%B4%20a%3Fb"
    assert platform_path("GET", "tasks/1/files/sub/train.py") == "/tasks/1/files/sub/train.py"


async def test_refusals_keep_their_words(jp_fetch: Fetch) -> None:
    assert (await refused(jp_fetch("kpl-lab", "api", "tasks", "nobody")))[0] == 404
    status, problem = await refused(jp_fetch("kpl-lab", "api", "internal", "authorize"))
    assert (status, problem["code"]) == (404, "no_route")
    status, problem = await refused(jp_fetch("kpl-lab", "api", "datasets", method="DELETE"))
    assert (status, problem["code"]) == (405, "method_not_allowed")


async def test_a_platform_that_is_away_is_told_in_words(jp_fetch: Fetch, server: Server) -> None:
    server.stop()
    status, problem = await refused(jp_fetch("kpl-lab", "api", "me"))
    assert (status, problem["code"]) == (503, "unreachable")
    server.start()
    assert (await jp_fetch("kpl-lab", "api", "me")).code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "api/me"),
        ("POST", "api/tasks"),
        ("PUT", "api/uploads/1"),
        ("PATCH", "api/tasks/1"),
        ("DELETE", "api/tasks/1"),
        ("GET", "local/folder"),
        ("GET", "local/usage"),
        ("GET", "local/jobs/1"),
        ("DELETE", "local/jobs/1"),
        ("POST", "local/tasks"),
        ("POST", "local/services/1/call"),
    ],
)
async def test_strangers_are_refused_and_nothing_is_asked_for_them(
    http_server_client: Any, jp_base_url: str, platform: Platform, method: str, path: str
) -> None:
    with pytest.raises(HTTPClientError) as raised:
        await http_server_client.fetch(
            f"{jp_base_url}kpl-lab/{path}", method=method, allow_nonstandard_methods=True
        )
    assert raised.value.code == 403
    assert platform.requests == []


async def test_a_server_may_forbid_writing(
    jp_fetch: Fetch, jp_serverapp: Any, monkeypatch: pytest.MonkeyPatch, platform: Platform
) -> None:
    asked: list[tuple[str, str]] = []

    def only_reading(handler: object, user: object, action: str, resource: str) -> bool:
        asked.append((action, resource))
        return action == "read"

    monkeypatch.setattr(jp_serverapp.authorizer, "is_authorized", only_reading)
    assert (await jp_fetch("kpl-lab", "api", "me")).code == 200
    platform.requests.clear()
    status, _ = await refused(jp_fetch("kpl-lab", "api", "tasks", method="POST", body="{}"))
    assert status == 403
    assert asked == [("read", "kpl_lab"), ("write", "kpl_lab")]
    assert platform.requests == []


async def test_reading_is_no_activity_and_writing_is(jp_fetch: Fetch, jp_serverapp: Any) -> None:
    settings = jp_serverapp.web_app.settings
    before = settings.get("api_last_activity")
    await jp_fetch("kpl-lab", "api", "me")
    await jp_fetch("kpl-lab", "local", "usage")
    assert settings.get("api_last_activity") == before
    await jp_fetch("kpl-lab", "api", "uploads", method="POST", body='{"filename": "x"}',
                   headers={"Idempotency-Key": "k"})  # fmt: skip
    assert settings.get("api_last_activity") != before


async def call(jp_fetch: Fetch, path: str, **options: Any) -> HTTPResponse:
    answer: HTTPResponse = await jp_fetch(
        "kpl-lab", "local", "services", "digits", "call", params={"path": path}, **options
    )
    return answer


async def test_a_service_is_called_with_a_token_that_the_browser_does_not_have(
    jp_fetch: Fetch, platform: Platform
) -> None:
    platform.add("services", "digits", state="running")
    answer = await call(jp_fetch, "/predict?top=3", method="POST", body="12345",
                        headers={"Content-Type": "image/png"})  # fmt: skip
    assert json.loads(answer.body) == {
        "method": "POST", "path": "/svc/default/digits/predict", "query": "top=3",
        "type": "image/png", "bytes": 5,
    }  # fmt: skip
    assert "stolen" not in str(list(answer.headers.get_all()))
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_a_services_own_refusal_is_its_answer(jp_fetch: Fetch, platform: Platform) -> None:
    platform.add("services", "digits", state="running")
    with pytest.raises(HTTPClientError) as raised:
        await call(jp_fetch, "/teapot")
    assert raised.value.code == 418


async def test_a_service_without_a_ready_replica_is_told_from_a_platform_that_is_down(
    jp_fetch: Fetch, platform: Platform
) -> None:
    platform.add("services", "digits", state="stopped")
    status, problem = await refused(call(jp_fetch, "/nobody"))
    assert (status, problem["code"]) == (503, "service_unavailable")
    assert "No replica" in problem["message"]


async def test_a_call_that_met_a_front_door_without_routes_is_sent_again_whole(
    jp_fetch: Fetch, platform: Platform
) -> None:
    platform.add("services", "digits", state="running")
    platform.calls_without_routes = 2
    answer = await call(jp_fetch, "/predict", method="POST", body=bytes(300_000))
    assert json.loads(answer.body)["bytes"] == 300_000
    assert platform.calls_without_routes == 0


async def test_a_front_door_that_stays_without_routes_is_told_as_a_silent_service(
    jp_fetch: Fetch, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_call, "DEFAULT_RETRY_SECONDS", 0.3)
    platform.add("services", "digits", state="running")
    platform.calls_without_routes = 1000
    status, problem = await refused(call(jp_fetch, "/predict"))
    assert (status, problem["code"]) == (503, "service_unreachable")
    assert 990 < platform.calls_without_routes < 999


async def test_a_body_that_is_too_long_to_be_kept_is_sent_once(
    jp_fetch: Fetch, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_call, "MOST_KEPT_BYTES", 1000)
    platform.add("services", "digits", state="running")
    platform.calls_without_routes = 1000
    status, _ = await refused(call(jp_fetch, "/predict", method="POST", body=bytes(2000)))
    assert (status, platform.calls_without_routes) == (503, 999)


async def test_a_service_that_finds_nothing_itself_is_asked_once(
    jp_fetch: Fetch, platform: Platform
) -> None:
    platform.add("services", "digits", state="running")
    with pytest.raises(HTTPClientError) as raised:
        await call(jp_fetch, "/nothing")
    assert raised.value.code == 404
    assert raised.value.response is not None
    assert raised.value.response.body == b"404 page not found\n"
    assert platform.called == 1


async def test_a_call_waits_for_a_front_door_that_is_being_restarted(
    jp_fetch: Fetch, jp_serverapp: Any, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.add("services", "digits", state="running")
    front_door = Server(platform)
    front_door.stop()
    await jp_fetch("kpl-lab", "api", "version")
    door = jp_serverapp.web_app.settings["kpl_lab_door"]
    door.credentials = dataclasses.replace(door.credentials, url=front_door.url)

    def waits(*_: object, **__: object) -> Iterator[float]:
        yield 0.0
        # The first try met nobody.
        front_door.start()
        yield from itertools.repeat(0.05)

    monkeypatch.setattr(service_call, "backoff", waits)
    try:
        answer = await call(jp_fetch, "/predict", method="POST", body="12345")
    finally:
        front_door.stop()
    assert json.loads(answer.body)["bytes"] == 5
    assert platform.called == 1


@pytest.mark.parametrize("path", ["predict", "/../../kpl/api/v1/me", "//elsewhere/../x"])
async def test_a_call_stays_below_the_services_address(
    jp_fetch: Fetch, platform: Platform, path: str
) -> None:
    platform.add("services", "digits", state="running")
    status, problem = await refused(call(jp_fetch, path))
    assert (status, problem["code"]) == (422, "invalid_path")
