"""What scrapers read: who may, what it says of the installation, and how much it costs."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import re
import socket
import threading
import time
from typing import Any

import pytest
from fastapi.routing import APIRoute
from httpx import Client
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as families
from sqlalchemy import event, insert

from kpl_lab import __version__
from kpl_lab.clock import ManualClock
from kpl_lab.engines.fake import Script
from kpl_lab.errors import Unavailable
from kpl_lab.platform import metrics_page
from kpl_lab.platform.api import ROUTERS, runtime, saves
from kpl_lab.platform.context import Context
from kpl_lab.platform.runtime.workqueue import WorkQueue
from kpl_lab.platform.storage.orm.work import TaskRow
from kpl_lab.platform.storage.orm.workspaces import EventRow
from kpl_lab.platform.storage.store import Store
from kpl_lab.platform.telemetry import controller_socket
from kpl_lab.telemetry import instruments
from kpl_lab.telemetry.catalog import ENTRIES, PREFIX, REGISTRY
from tests.platform.conftest import API, INTERNAL
from tests.platform.running import BUILT, CODE, WAITS, Site, until
from tools import dashboard

PATH = "internal/metrics"
SCRAPER = {"Authorization": "Bearer token-of-scrapers"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> list[Metric]:
    return list(families(text))


def samples(found: list[Metric], **more: str) -> Samples:
    return {
        (s.name.removeprefix(PREFIX), frozenset(s.labels.items())): s.value
        for family in found
        for s in family.samples
        if more.items() <= s.labels.items()
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def of_this_process(name: str, **labels: str) -> float:
    """Tests share a process, so what it counts is compared with what it had counted before."""
    return REGISTRY.get_sample_value(PREFIX + name, labels) or 0.0


async def scrape(site: Site) -> Samples:
    answer = await site.user().http.get(PATH, headers=SCRAPER)
    assert answer.status_code == 200, answer.text
    return samples(read(answer.text))


def test_only_the_token_of_scrapers_is_let_in(client: Client, alice: Client, admin: Client) -> None:
    assert client.get(PATH).status_code == 401
    for person in (alice, admin):
        assert person.get(PATH).status_code == 401
    hub = {"Authorization": f"token {INTERNAL}"}
    assert client.get(PATH, headers=hub).status_code == 401
    assert client.get(PATH, headers=SCRAPER).status_code == 200
    # And it opens nothing else.
    assert client.get("me", headers=SCRAPER).status_code in (401, 403)
    assert client.get("tasks", headers=SCRAPER).status_code in (401, 403)


def test_another_token_counts_from_the_next_scrape_on(client: Client, context: Context) -> None:
    (context.settings.home.secrets / "metrics").write_text("another\n")
    assert client.get(PATH, headers=SCRAPER).status_code == 401
    assert client.get(PATH, headers={"Authorization": "Bearer another"}).status_code == 200


def test_everything_answered_is_in_the_catalog_and_the_other_way_round(client: Client) -> None:
    answer = client.get(PATH, headers=SCRAPER)
    assert answer.headers["content-type"].startswith("text/plain")
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", answer.text, re.M))
    assert told == {name: entry.kind for name, entry in ENTRIES.items()}
    for family in read(answer.text):
        for sample in family.samples:
            entry = ENTRIES.get(family.name) or ENTRIES[f"{family.name}_total"]
            assert set(sample.labels) - {"le"} == set(entry.labels), sample


def test_openmetrics_is_spoken_to_who_asks_for_it(client: Client) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get(PATH, headers=SCRAPER | accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert len(list(open_metrics(answer.text))) == len(ENTRIES)  # type: ignore[no-untyped-call]


def test_the_page_of_the_reference_is_the_catalog() -> None:
    assert metrics_page.COMMITTED.read_text(encoding="utf-8") == metrics_page.text(), (
        "what is measured has changed: run `python -m kpl_lab.platform.metrics_page`"
    )


def test_the_dashboard_asks_for_nothing_that_is_not_told(client: Client) -> None:
    told = {
        name + end: set(ENTRIES[name].labels)
        for name, kind in re.findall(
            r"^# TYPE (\S+) (\S+)$", client.get(PATH, headers=SCRAPER).text, re.M
        )
        for end in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    queries = [
        (target["expr"], set(re.findall(r"{{(\w+)}}", target["legendFormat"])))
        for panel in json.loads(dashboard.FILE.read_text())["panels"]
        for target in panel.get("targets", ())
    ]
    assert len(queries) > 25
    for query, shown in queries:
        (asked,) = set(re.findall(r"kpl_lab_\w+", query))
        assert asked in told, query
        chosen = {name for name in re.findall(r"(\w+)=~?\"", query) if name != "job"}
        grouped = set(re.split(r"\W+", " ".join(re.findall(r"by \(([^)]*)\)", query)))) - {""}
        assert chosen | grouped - {"le", "job"} | shown <= told[asked], query


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_names_keep_the_conventions_of_prometheus(entry: Any) -> None:
    assert re.fullmatch(r"kpl_lab_[a-z]+(_[a-z]+)*", entry.name)
    assert entry.name.endswith("_total") == (entry.kind == "counter")
    if entry.kind == "histogram":
        assert entry.name.endswith("_seconds")
    assert entry.text.endswith(".")


async def test_it_says_how_the_installation_is(site: Site, clock: ManualClock) -> None:
    site.engine.script = lambda _: WAITS
    alice = site.user()
    both = {"gpu": 2}  # of the two that the engine of tests has
    running = await alice.submit(resources=both)
    await alice.until(f"tasks/{running['id']}", "running")
    await alice.submit(resources=both)
    await alice.submit(draft=True)
    service = await alice.deploy(replicas=1)
    await alice.until(f"services/{service['id']}", "running")
    clock.advance(90)
    found = await scrape(site)
    for state, number in {"running": 1, "queued": 1, "draft": 1, "failed": 0}.items():
        assert value(found, "tasks", state=state) == number
    assert value(found, "task_queue_length") == 1
    assert value(found, "task_queue_oldest_seconds") == 90
    assert value(found, "services", state="running") == 1
    assert value(found, "service_replicas", state="wanted") == 1
    assert value(found, "service_replicas", state="ready") == 1
    assert value(found, "images", state="ready", source="file") == 1
    assert value(found, "build_info", version=__version__, engine="local") == 1
    shown = await alice.get("capacity")
    for kind, name, unit in (
        ("cpu", "capacity_cpu_cores", 1),
        ("memory", "capacity_memory_bytes", 1 << 20),
        ("gpu", "capacity_gpus", 1),
    ):
        total, used, free = (value(found, name, amount=a) for a in ("total", "used", "free"))
        assert (total, used) == (shown[kind]["limit"] * unit, shown[kind]["used"] * unit)
        assert used > 0
        assert free == total - used
    for process in ("platform", "controller"):
        assert value(found, "process_up", process=process) == 1
        assert value(found, "process_resident_memory_bytes", process=process) > 1 << 20
    assert ("process_up", frozenset({("process", "runner")})) not in found


async def test_a_candidate_is_no_further_service_but_its_replicas_count(
    site: Site, clock: ManualClock
) -> None:
    site.engine.script = lambda _: WAITS
    alice = site.user()
    await alice.deploy(replicas=2)
    await alice.until("services/digits", "running")
    await alice.post("services/digits/revisions", {})

    async def both_run() -> bool:
        clock.advance(10)
        return value(await scrape(site), "service_replicas", state="ready") > 2

    await until(both_run)
    found = await scrape(site)
    services = [v for (name, _), v in found.items() if name == "services"]
    assert sum(services) == value(found, "services", state="running") == 1
    assert value(found, "service_replicas", state="wanted") > 2


async def test_a_draft_waits_from_when_it_was_sent_off(site: Site, clock: ManualClock) -> None:
    site.engine.script = lambda _: WAITS
    alice = site.user()
    first = await alice.submit(resources={"gpu": 2})
    await alice.until(f"tasks/{first['id']}", "running")
    draft = await alice.submit(draft=True, resources={"gpu": 2})
    clock.advance(1000)
    before = of_this_process("task_wait_seconds_sum")
    sent = await alice.http.patch(f"tasks/{draft['id']}", json={"start": True})
    assert sent.status_code == 200, sent.text
    clock.advance(30)
    assert value(await scrape(site), "task_queue_oldest_seconds") == 30
    await alice.post(f"tasks/{first['id']}/stop")
    await alice.until(f"tasks/{draft['id']}", "running")
    clock.advance(30)
    assert value(await scrape(site), "task_queue_oldest_seconds") == 0
    assert of_this_process("task_wait_seconds_sum") == before + 30


async def test_ends_are_counted_by_state_and_reason(site: Site) -> None:
    alice = site.user()
    names = {
        "succeeded": {"state": "succeeded", "reason": "none"},
        "failed": {"state": "failed", "reason": "exit_code"},
        "stopped": {"state": "stopped", "reason": "stopped"},
    }
    before = {
        name: of_this_process("tasks_ended_total", **labels) for name, labels in names.items()
    }
    site.scripts(Script(), Script(exit_code=3), WAITS)
    await alice.ended(await alice.submit())
    failed = await alice.ended(await alice.submit())
    assert failed["reason"] == names["failed"]["reason"]
    waits = await alice.submit()
    await alice.until(f"tasks/{waits['id']}", "running")
    await alice.post(f"tasks/{waits['id']}/stop")
    await alice.ended(waits)

    async def are_counted() -> bool:
        # A moment after the end can be read: what is rolled back is not counted.
        found = await scrape(site)
        keys = {
            name: frozenset({**of, "process": "platform"}.items()) for name, of in names.items()
        }
        told = {name: found.get(("tasks_ended_total", key)) for name, key in keys.items()}
        return told == {name: count + 1 for name, count in before.items()}

    await until(are_counted, lambda: f"one more each of {names} than {before}")


async def test_builds_and_servers_are_timed(site: Site, clock: ManualClock) -> None:
    builds = of_this_process("build_duration_seconds_count", state="succeeded")
    spawned = of_this_process("server_spawn_seconds_count")
    ended = of_this_process("servers_ended_total", state="stopped", reason="none")
    alice, hub = site.user(), site.internal()
    await alice.ended(await alice.submit({**CODE, "environment.yml": BUILT}))
    # The same once more: what is there already took no time.
    await alice.ended(await alice.submit({**CODE, "environment.yml": BUILT}))
    assert of_this_process("build_duration_seconds_count", state="succeeded") == builds + 1
    wanted = {"user": "alice", "name": "", "image": "base", "resources": {"cpu": 1, "memory": 512}}
    server = await hub.post("internal/servers", wanted)
    launch = {"command": ["jupyter"], "environment": {}}
    await hub.post(f"internal/servers/{server['id']}/start", launch)
    await hub.until(f"internal/servers/{server['id']}", "running")
    assert of_this_process("server_spawn_seconds_count") == spawned + 1
    await hub.http.post(f"internal/servers/{server['id']}/stop")
    await hub.until(f"internal/servers/{server['id']}", "stopped")
    assert of_this_process("servers_ended_total", state="stopped", reason="none") == ended + 1
    clock.advance(10)
    found = await scrape(site)
    assert value(found, "servers", state="stopped") == 1
    assert value(found, "builds", state="succeeded") == 1


async def test_requests_are_counted_by_template_and_by_nothing_that_users_choose(
    site: Site,
) -> None:
    alice = site.user("somebody-nobody-else-is")
    made = await alice.submit(name="a-name-that-nothing-else-has")
    task = await alice.ended(made)
    for path in (
        f"tasks/{task['id']}",
        f"http://platform/{API}//tasks/no-such-task",
        "no-such-address",
    ):
        await alice.http.get(path)
    await site.client("/kpl/runtime/").post("uploadTaskMetrics", json={})
    answer = await alice.http.get(PATH, headers=SCRAPER)
    for word in ("somebody-nobody-else-is", "a-name-that-nothing-else-has", "no-such", "digits"):
        assert word not in answer.text
    routes = {
        (s.labels["method"], s.labels["route"], s.labels["status"])
        for family in read(answer.text)
        for s in family.samples
        if s.name == f"{PREFIX}http_requests_total"
    }
    assert {
        ("GET", "/kpl/api/v1/tasks/{ref}", "2xx"),
        ("GET", "/kpl/api/v1/tasks/{ref}", "4xx"),
        ("POST", "/kpl/api/v1/tasks", "2xx"),
        ("POST", "/kpl/runtime/uploadTaskMetrics", "4xx"),
        ("GET", "unknown", "4xx"),
    } <= routes
    known = {"unknown"}
    for app, prefix in ((ROUTERS, API), ((runtime.router, saves.router), "/kpl/runtime")):
        known |= {
            f"{prefix}{one.path}" for r in app for one in r.routes if isinstance(one, APIRoute)
        }
    assert {route for _, route, _ in routes} <= known


def test_a_method_that_nobody_knows_is_no_new_series(client: Client) -> None:
    client.request("INVENTED", "tasks")
    text = client.get(PATH, headers=SCRAPER).text
    assert "INVENTED" not in text
    assert 'method="unknown"' in text


def test_a_defect_is_counted_as_one(
    client: Client, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"method": "GET", "route": f"{API}/me", "status": "5xx"}
    before = of_this_process("http_requests_total", **labels)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("kpl_lab.platform.api.health.Me", broken)
    assert alice.get("me").status_code == 500
    assert of_this_process("http_requests_total", **labels) == before + 1
    del client


async def test_looks_of_the_controller_are_counted_by_how_they_end() -> None:
    async def handle(key: str) -> None:
        with instruments.reconcile(key):
            if key == "errors":
                raise Unavailable("It is away.")
            if key == "breaks":
                raise ZeroDivisionError

    queue: WorkQueue[str] = WorkQueue(handle)
    for key in ("works", "errors", "breaks"):
        queue.add(key)
    assert queue.depth == 3
    work = asyncio.create_task(queue.run())
    await queue.settled()
    work.cancel()
    assert queue.depth == 0
    for key, result in (("works", "ok"), ("errors", "error"), ("breaks", "defect")):
        counted = of_this_process("controller_reconciles_total", resource=key, result=result)
        assert counted >= 1, key


async def test_what_does_not_answer_is_told_of_and_the_rest_counts(
    site: Site, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = controller_socket(site.context.settings.home)
    await until(own.exists)
    own.unlink()

    async def away() -> Any:
        raise Unavailable("The runner does not answer.")

    monkeypatch.setattr(site.engine, "capacity", away)
    monkeypatch.setattr(site.engine, "telemetry", away)
    found = await scrape(site)
    assert value(found, "engine_up") == 0
    assert value(found, "database_up") == 1
    assert [value(found, "process_up", process=p) for p in ("platform", "controller", "runner")] == [1, 0, 0]  # fmt: skip
    assert value(found, "tasks", state="queued") == 0
    assert ("capacity_gpus", frozenset({("amount", "total")})) not in found
    clock.advance(60)
    with site.context.database.engine.connect() as connection:
        connection.exec_driver_sql("ALTER TABLE tasks RENAME TO elsewhere")
        connection.commit()
    found = await scrape(site)
    assert value(found, "database_up") == 0
    assert value(found, "process_up", process="platform") == 1


async def test_a_controller_that_was_killed_leaves_nothing_that_its_successor_minds(
    site: Site,
) -> None:
    left = controller_socket(site.context.settings.home)
    await until(left.exists)
    left.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(left))
    assert value(await scrape(site), "process_up", process="controller") == 0
    await site.restart()

    async def answers() -> bool:
        return value(await scrape(site), "process_up", process="controller") == 1

    await until(answers)
    assert left.stat().st_mode & 0o077 == 0


def test_ten_thousand_tasks_cost_milliseconds_and_no_row_of_them(
    client: Client, context: Context, clock: ManualClock
) -> None:
    client.get(PATH, headers=SCRAPER)  # the first one puts the questions into words
    fill(context, 10_000)
    clock.advance(60)
    rows = 0

    def loaded(*_: object) -> None:
        nonlocal rows
        rows += 1

    event.listen(TaskRow, "load", loaded)
    try:
        began = time.process_time()
        found = samples(read(client.get(PATH, headers=SCRAPER).text))
        seconds = time.process_time() - began
    finally:
        event.remove(TaskRow, "load", loaded)
    assert value(found, "tasks", state="queued") == 5_000
    assert value(found, "task_queue_oldest_seconds") == 5_059
    assert rows == 0
    assert seconds < 0.5, seconds  # of CPU: thirty milliseconds, and as many to ask and to read
    clock.advance(60)
    client.get(PATH, headers=SCRAPER)
    # Others who ask at once cost no look at the database.
    statements: list[str] = []
    event.listen(
        context.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2])
    )
    client.get(PATH, headers=SCRAPER)
    assert statements == []
    clock.advance(5)
    client.get(PATH, headers=SCRAPER)
    assert statements


def fill(context: Context, count: int) -> None:
    """Put tasks into the database, half of them queued, each with a history."""
    now = context.clock.now()
    with context.database.store() as store:
        workspace = store.workspaces.by_name("default")
        assert workspace is not None
        common: dict[str, Any] = {
            column.name: None for column in TaskRow.__table__.columns if column.nullable
        }
        common |= {
            "name": "train", "owner": "alice", "workspace_id": workspace.id, "visibility": "private",
            "description": "", "code_name": "digits", "code_digest": "0" * 64, "parameters": {},
            "environment": {}, "inputs": [], "function": "train", "labels": {}, "outputs": [],
            "save_as": [], "priority": 0, "attempt": 1, "notices": [], "scalars": {}, "curves": [],
            "cpu": 1.0, "memory": 512, "gpu": 0, "shm": 64, "desired": "run", "updated_at": now,
        }  # fmt: skip
        tasks: list[dict[str, Any]] = [
            {**common, "id": i + 1, "state": "queued" if i % 2 else "succeeded",
             "created_at": now - dt.timedelta(seconds=count - i)}
            for i in range(count)
        ]  # fmt: skip
        events = [
            {"time": one["created_at"] + dt.timedelta(seconds=n * (count // 2)), "owner": "alice",
             "visibility": "private", "resource": "tasks", "resource_id": one["id"], "kind": kind,
             "level": "normal", "message": "", "data": {}}
            for one in tasks
            for n, kind in enumerate(("created", "state"))
        ]  # fmt: skip
        store.session.execute(insert(TaskRow), tasks)
        store.session.execute(insert(EventRow), events)


async def test_a_database_that_hangs_is_told_and_asked_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, asked = threading.Event(), []

    def hang(_: Store) -> list[Any]:
        asked.append(1)
        let_go.wait(20)
        return []

    monkeypatch.setattr("kpl_lab.platform.api.metrics.PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("kpl_lab.platform.domain.census.count", hang)
    try:
        for _ in range(2):
            found = await scrape(site)
            assert value(found, "database_up") == 0
            assert value(found, "process_up", process="platform") == 1
        assert len(asked) == 1
    finally:
        let_go.set()
