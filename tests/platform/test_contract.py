"""What holds for every route there is, read from the table of routes itself."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from httpx import Client, Response
from sqlalchemy import JSON, Boolean, Float, Integer, Text, inspect

from kpl_lab.platform import auth, openapi, scopes
from kpl_lab.platform.api import FRONT_DOOR_PATHS, PUBLIC_PATHS, ROUTERS
from kpl_lab.platform.api.deps import ANY, SCOPE_ATTRIBUTE
from kpl_lab.platform.api.middleware import MAX_BODY_BYTES, MAX_RUNTIME_BODY_BYTES
from kpl_lab.platform.auth import WorkloadKind
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access
from kpl_lab.platform.storage.orm import Base
from kpl_lab.platform.storage.store import Store
from kpl_lab.platform.storage.types import UtcDateTime
from tests.platform.conftest import INTERNAL, Hub, Login

Route = tuple[str, str]
TABLE: list[tuple[str, APIRoute]] = [
    (method, route)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
GUARDED = [(m, r) for m, r in TABLE if r.path not in PUBLIC_PATHS + FRONT_DOOR_PATHS]
LISTS = sorted(
    r.path for m, r in TABLE if m == "GET" and "/" not in r.path[1:] and r.path != "/events"
    and "Page" in str(r.response_model)
)  # fmt: skip
NOUNS = {
    "datasets": "dataset_id",
    "models": "model_id",
    "algorithms": "algorithm_id",
    "images": None,
    "tasks": None,
    "services": None,
    "servers": None,
}


def name_of(value: object) -> str:
    return value.path if isinstance(value, APIRoute) else str(value)


def address(route: APIRoute, values: dict[str, str] | None = None) -> str:
    """Return a path with something plausible in each place."""
    filled = re.sub(r"{(\w+)(:path)?}", lambda m: (values or {}).get(m.group(1), "1"), route.path)
    return filled.removeprefix("/")


def dependants(found: Dependant) -> Iterator[Dependant]:
    yield found
    for inner in found.dependencies:
        yield from dependants(inner)


def scopes_of(route: APIRoute) -> list[str]:
    """Return what is asked for, each once: what a route depends on may ask for the same."""
    found = (getattr(d.call, SCOPE_ATTRIBUTE, None) for d in dependants(route.dependant))
    return sorted({str(scope) for scope in found if scope is not None})


def assert_problem(answer: Response, status: int, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"code", "message", "detail", "request_id"}
    assert body["message"].endswith((".", ")")), body["message"]
    if code is not None:
        assert body["code"] == code


def test_there_are_routes_to_look_at() -> None:
    assert len(TABLE) > 50
    assert set(LISTS) >= {"/datasets", "/models", "/algorithms", "/tasks", "/services", "/images"}


@pytest.mark.parametrize(("method", "route"), GUARDED, ids=name_of)
def test_every_route_declares_one_scope(method: str, route: APIRoute) -> None:
    declared = scopes_of(route)
    assert len(declared) == 1, "each route needs exactly one needs(…) or any_caller"
    words = declared[0].split()
    assert words == [ANY] or set(words) <= set(scopes.SCOPES)
    reads = method == "GET" or route.path == "/forms"
    wanted = {"read"} if reads else {"write"}
    verbs = {w.rpartition(":")[2] for w in words} - {ANY, "internal"}
    assert verbs <= wanted | ({"write"} if "uploads" in route.path else set())


@pytest.mark.parametrize(("method", "route"), GUARDED, ids=name_of)
def test_every_route_wants_a_token_first(method: str, route: APIRoute, client: Client) -> None:
    answer = client.request(method, address(route))
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "token"


@pytest.mark.parametrize(
    ("method", "route"), [(m, r) for m, r in GUARDED if scopes_of(r) != [ANY]], ids=name_of
)
def test_every_route_wants_its_scope(method: str, route: APIRoute, login: Login) -> None:
    narrow = login("eve", "read:users")
    assert_problem(narrow.request(method, address(route)), 403, "forbidden")


@pytest.mark.parametrize("kind", ["task", "service", "notebook"])
@pytest.mark.parametrize(("method", "route"), GUARDED, ids=name_of)
def test_no_route_serves_code_that_runs_here(
    kind: WorkloadKind, method: str, route: APIRoute, client: Client, context: Context
) -> None:
    with context.database.store() as store:
        token = auth.issue(store, context.jwt_key, kind, 1, "alice")
    headers = {"Authorization": f"token {token}"}
    assert_problem(client.request(method, address(route), headers=headers), 403, "forbidden")


@pytest.mark.parametrize("token", ["wrong", "a.b.c", "é", "x" * 5000])
def test_a_wrong_token_is_told(token: str, client: Client) -> None:
    answer = client.get("me", headers=[(b"Authorization", f"token {token}".encode("latin-1"))])
    assert_problem(answer, 401, "unauthenticated")


@pytest.mark.parametrize("header", ["token", "token ", "Basic YTpi", "bearer", ""])
def test_what_is_no_token_is_told(header: str, client: Client) -> None:
    assert_problem(client.get("me", headers={"Authorization": header}), 401)


def test_cookies_are_never_looked_at(client: Client, hub: Hub) -> None:
    token = hub.add("alice", scopes.SELF)
    for name in ("jupyterhub-hub-login", "token", "Authorization"):
        answer = client.get("me", headers={"Cookie": f"{name}={token}"})
        assert_problem(answer, 401)
    assert_problem(client.get("me", params={"token": token}), 401)


@pytest.mark.parametrize("path", LISTS)
def test_lists_have_one_shape_and_a_bound(path: str, alice: Client) -> None:
    answer = alice.get(path.removeprefix("/"))
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"items", "next"}
    assert_problem(alice.get(path.removeprefix("/"), params={"limit": 0}), 422)
    assert_problem(alice.get(path.removeprefix("/"), params={"limit": 100_000}), 422)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "nothing/here", 404, "not_found"),
        ("PUT", "me", 405, "method_not_allowed"),
        ("GET", "datasets/nobodys", 404, "not_found"),
        ("GET", "datasets/99999999999999999999999999", 404, "not_found"),
        ("GET", "datasets/1/versions/99999999999999999999999/records", 404, "not_found"),
        ("GET", "datasets/1/versions/x/records", 422, "invalid"),
        ("GET", "uploads/99999999999999999999999999", 404, "not_found"),
        ("GET", "uploads/-1", 404, "not_found"),
        ("GET", "builds/99999999999999999999999999", 404, "not_found"),
        ("GET", "datasets?cursor=abc", 422, "bad_cursor"),
        ("GET", "datasets?limit=x", 422, "invalid"),
    ],
)
def test_every_refusal_is_a_problem_document(
    method: str, path: str, status: int, code: str, alice: Client
) -> None:
    assert_problem(alice.request(method, path), status, code)


def test_a_refused_method_comes_with_those_that_are_taken(alice: Client) -> None:
    refused = alice.request("PUT", "datasets/nobodys")
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH")


@pytest.mark.parametrize(
    "path", ["healthz", "version", "me", "datasets", "datasets/nobodys", "nothing/here", "uploads"]
)
def test_the_head_of_an_answer_is_that_of_get(path: str, alice: Client) -> None:
    whole, head = alice.get(path), alice.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    names = whole.headers.keys() - {"x-request-id"}
    assert {name: head.headers[name] for name in names} == {n: whole.headers[n] for n in names}


def test_the_head_of_a_stream_ends(alice: Client) -> None:
    answer = alice.head("events")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"name": 1}',
        b'{"name": "x", "upload": "y"}',
        b'{"name": "x", "upload": 1, "surprise": 1}',
        b'{"name": "x", "upload": 1e400}',
        b"\xff\xfe",
    ],
)
def test_a_wrong_body_is_told_by_its_field(body: bytes, alice: Client) -> None:
    answer = alice.post("datasets", content=body, headers={"Content-Type": "application/json"})
    assert_problem(answer, 422, "invalid")
    assert answer.json()["detail"]["fields"]


def test_half_a_character_is_refused(alice: Client) -> None:
    assert_problem(alice.post("uploads", content=b'{"filename": "\\ud800"}'), 422, "invalid")


def test_a_body_that_is_too_large_is_refused_whole(alice: Client) -> None:
    big = json.dumps({"environment_yml": "x" * MAX_BODY_BYTES}).encode()
    assert_problem(alice.post("forms", content=big), 413, "too_large")

    def in_parts() -> Iterator[bytes]:
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    assert_problem(alice.post("forms", content=in_parts()), 413, "too_large")


@pytest.mark.parametrize("path", ["uploadTaskMetrics", "task/metrics/batch"])
def test_batches_of_points_have_a_bound_too(path: str, client: Client) -> None:
    big = b"x" * (MAX_RUNTIME_BODY_BYTES + 1)
    answer = client.post(f"http://platform/kpl/runtime/{path}", content=big)
    assert answer.status_code == 413


def test_every_answer_carries_its_number(alice: Client) -> None:
    fine, refused = alice.get("me"), alice.get("nothing")
    assert len(fine.headers["X-Request-Id"]) == 16
    assert refused.headers["X-Request-Id"] == refused.json()["request_id"]
    assert fine.headers["X-Content-Type-Options"] == "nosniff"


def _filler(mapped: type, column: Any) -> Any:
    annotated = [c.__annotations__.get(column.key, "") for c in mapped.__mro__[:-1]]
    if any("dict[" in str(words) for words in annotated):
        return {}
    fillers: dict[type, Any] = {
        UtcDateTime: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        JSON: [],
        Boolean: False,
        Integer: 64,
        Float: 1.0,
        Text: "text",
    }
    return next(value for kind, value in fillers.items() if isinstance(column.type, kind))


def make_private(store: Store, table: str, **given: Any) -> int:
    """Insert a row of ``table`` that is alice's and complete enough for any reading route."""
    mapped = {m.class_.__tablename__: m.class_ for m in Base.registry.mappers}[table]
    values = {
        c.key: _filler(mapped, c)
        for c in inspect(mapped).columns
        if not (c.nullable or c.default or c.server_default or c.primary_key)
    }
    row = mapped(**(values | given))
    store.session.add(row)
    store.session.flush()
    return int(row.id)


# What routes want to be told before they look whose it is, by the end of their path.
BODIES = {
    "mounts": {"dataset": "x"},
    "idle": {"state": "kept", "minutes": 1},
    "traffic": {"weight": 5},
}
FOREIGN = [
    (method, route)
    for method, route in GUARDED
    if re.match(
        r"/(datasets|models|algorithms|images|tasks|services|servers|uploads|builds)/{", route.path
    )
]


@pytest.fixture
def foreign(context: Context) -> dict[str, int]:
    """One private thing of alice's of every kind, by its plural noun."""
    mine = {"owner": "alice", "name": "hers", "visibility": "private", "state": "ready"}
    made: dict[str, int] = {}
    with context.database.store() as store:
        workspace = access.workspace_id(store, "default")
        for noun, parent in NOUNS.items():
            whose = (
                {"user": "alice", "name": "hers", "state": "running"}
                if noun == "servers"
                else mine | {"workspace_id": workspace}
            )
            if noun in ("services", "tasks"):
                whose |= {"state": "running"}
            if noun == "images":
                whose |= {"source": "registered", "accelerator": "cpu"}
            if parent:
                whose |= {"version": 1}
            made[noun] = make_private(store, noun, **whose)
            if parent:
                versions = f"{noun.removesuffix('s')}_versions"
                make_private(store, versions, **{parent: made[noun], "number": 1, "state": "ready"})
        made["uploads"] = make_private(store, "uploads", owner="alice", complete=True)
        made["builds"] = make_private(store, "builds", owner="alice", workspace_id=workspace)
    return made


@pytest.mark.parametrize(
    ("method", "route", "by"),
    [(m, r, by) for m, r in FOREIGN for by in ("id", "name") if by == "id" or "{ref}" in r.path],
    ids=name_of,
)
def test_a_strangers_private_things_are_not_there(
    method: str, route: APIRoute, by: str, foreign: dict[str, int], bob: Client
) -> None:
    noun = route.path.split("/")[1]
    id = str(foreign[noun])
    path = address(route, {"ref": id if by == "id" else "hers", "id": id})
    answer = bob.request(
        method, path, json=BODIES.get(path.rpartition("/")[2], {}), params={"offset": 0}
    )
    assert_problem(answer, 404)


@pytest.mark.parametrize("noun", ["datasets", "models", "algorithms", "tasks", "services"])
def test_lists_show_ones_own_and_what_is_shared(
    noun: str, foreign: dict[str, int], context: Context, login: Login
) -> None:
    def seen(client: Client) -> list[int]:
        return [item["id"] for item in client.get(noun).json()["items"]]

    alice, bob, root = login("alice"), login("bob"), login("root", scopes.ADMIN)
    assert (seen(alice), seen(bob), seen(root)) == ([foreign[noun]], [], [foreign[noun]])
    with context.database.store() as store:
        getattr(store, noun).update(foreign[noun], visibility="public")
    assert seen(bob) == [foreign[noun]]


@pytest.mark.parametrize(
    "noun", ["datasets", "models", "algorithms", "images", "tasks", "services"]
)
def test_what_is_shared_can_be_seen_by_others_but_not_changed(
    noun: str, foreign: dict[str, int], context: Context, bob: Client
) -> None:
    with context.database.store() as store:
        getattr(store, noun).update(foreign[noun], visibility="public")
    assert bob.get(f"{noun}/{foreign[noun]}").status_code == 200
    for method in ("PATCH", "DELETE"):
        answer = bob.request(method, f"{noun}/{foreign[noun]}", json={})
        assert_problem(answer, 403, "forbidden")
        assert "alice" in answer.json()["message"]


def test_presets_are_published_by_administrators_alone(
    foreign: dict[str, int], login: Login
) -> None:
    path, wish = f"models/{foreign['models']}", {"visibility": "preset"}
    assert_problem(login("alice").patch(path, json=wish), 403, "forbidden")
    assert login("root", scopes.ADMIN).patch(path, json=wish).json()["visibility"] == "preset"


def test_internal_routes_are_for_the_hub_alone(app: FastAPI, alice: Client, admin: Client) -> None:
    internal = [(m, r) for m, r in GUARDED if r.path.startswith("/internal/")]
    assert internal
    for method, route in internal:
        if scopes_of(route) == [scopes.INTERNAL]:
            assert_problem(alice.request(method, address(route)), 403)
            assert_problem(admin.request(method, address(route)), 403)
    del app


def test_the_hub_knows_itself_by_its_secret(client: Client, hub: Hub) -> None:
    answer = client.get("me", headers={"Authorization": f"token {INTERNAL}"})
    assert scopes.INTERNAL in answer.json()["scopes"]
    assert hub.questions == 0


def test_the_committed_description_is_that_of_the_routes() -> None:
    assert openapi.COMMITTED.read_text(encoding="utf-8") == openapi.text(), (
        "the API has changed: run `python -m kpl_lab.platform.openapi` and look at the difference"
    )


def test_the_description_says_every_route_once() -> None:
    described = {
        (method.upper(), path)
        for path, operations in openapi.describe()["paths"].items()
        for method in operations
    }
    there = {
        (method, "/kpl/api/v1" + re.sub(r":path}", "}", route.path))
        for method, route in TABLE
        if route.include_in_schema
    }
    assert described == there
