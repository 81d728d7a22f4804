"""Two API processes of one installation, as real ones: on one PostgreSQL and one store of files."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from kpl_lab.engines.running.client import capacity_file
from kpl_lab.platform import auth, scopes
from kpl_lab.platform.events import hearing
from kpl_lab.platform.storage import upgrade
from kpl_lab.platform.storage.database import Database
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.settings import Secret, free_ports
from tests.platform.conftest import Hub, tar_of
from tests.platform.processes import Place, is_ready, until
from tests.platform.running import CODE
from tests.postgresql import server

API = "kpl_lab.platform"
THING = Subject(resource="datasets", id=1, owner="alice")
EVERYBODY = Reader(name="", sees_all=True)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with server(tmp_path_factory.mktemp("pg")) as url:
        upgrade.upgrade(url)
        yield url


class Two:
    """Two API processes, with a runner, a controller and a hub behind them.

    ``ports`` are the platform's own one and the further one; ``replica`` starts the latter.
    """

    def __init__(self, place: Place, hub: Hub) -> None:
        self.place = place
        self.hub = hub
        self._clients: list[httpx.Client] = []
        self.ports = (place.port, free_ports(1)[0])
        place.catalog("base")
        place.start("kpl_lab.engines.local.runner")
        place.start("kpl_lab.platform.runtime")
        place.start(API)
        self.replica()
        until(lambda: all(is_ready(port) for port in self.ports), "both to be ready")
        until(capacity_file(place.home).exists, "the capacity")

    def replica(self) -> None:
        self.second = self.place.start(API, "--replica", f"127.0.0.1:{self.ports[1]}")

    def clients(self, name: str) -> list[httpx.Client]:
        """Return a user's clients, one of each process."""
        headers = {"Authorization": f"token {self.hub.add(name, scopes.SELF)}"}
        made = [
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}/kpl/api/v1/",
                headers=headers,
                timeout=60,
                trust_env=False,
            )
            for port in self.ports
        ]
        self._clients += made
        return made

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.fixture(scope="module")
def two(postgresql: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    hub = Hub()
    place = Place(tmp_path_factory.mktemp("place") / "home", postgresql, hub.port)
    try:
        made = Two(place, hub)
        yield made
        made.close()
    finally:
        place.close()
        hub.down()


def answered(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def upload(first: httpx.Client, second: httpx.Client, content: bytes) -> int:
    """Announce at the first, send one half to each, complete at the second."""
    half = len(content) // 2
    announced = {"filename": "code.tar", "size": len(content)}
    id = int(answered(first.post("uploads", json=announced))["id"])
    for client, at in ((first, 0), (second, half)):
        part = content[at : half if at == 0 else None]
        answered(client.put(f"uploads/{id}", params={"offset": at}, content=part))
    assert answered(first.get(f"uploads/{id}"))["received"] == len(content)
    assert answered(second.post(f"uploads/{id}/complete"))["complete"]
    return id


def test_an_upload_that_was_begun_at_one_is_finished_at_the_other(two: Two) -> None:
    one, other = two.clients("alice")
    body = {"upload": upload(one, other, tar_of(CODE)), "code_name": "halves"}
    task = answered(other.post("tasks", json=body))
    assert answered(one.get(f"tasks/{task['id']}"))["files"] == sorted(CODE)


def test_a_stream_at_one_tells_what_the_other_has_written(two: Two) -> None:
    one, other = two.clients("bob")
    with one.stream("GET", "events") as stream:
        lines = stream.iter_lines()
        until(lambda: next(lines) == "event: ready")
        body = {"upload": upload(other, other, tar_of(CODE)), "code_name": "seen"}
        task = answered(other.post("tasks", json=body))
        for line in lines:
            told = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
            if told.get("resource") == "tasks":
                assert told["resource_id"] == task["id"]
                break


def test_the_head_of_a_stream_leaves_its_connection_for_what_is_asked_next(two: Two) -> None:
    for client in two.clients("hasty"):
        head = client.head("events")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"].startswith("text/event-stream")
        assert client.head("healthz").headers["content-type"] == "application/json"
        assert answered(client.get("me"))["name"] == "hasty"


def test_a_scraper_reads_at_the_further_one_what_it_has_counted_and_nothing_else(two: Two) -> None:
    _, other = two.clients("scraped")
    answered(other.get("tasks"))
    root = f"http://127.0.0.1:{two.ports[1]}"
    assert other.get(f"{root}/metrics").status_code == 401
    token = two.place.home.read_secret(Secret.METRICS)
    headers = {"Authorization": f"Bearer {token}"}
    told = httpx.get(f"{root}/metrics", headers=headers, trust_env=False).text
    counted = [line for line in told.splitlines() if "http_requests_total{" in line]
    assert any(
        'route="/kpl/api/v1/tasks"' in line and 'process="platform"' in line for line in counted
    )
    assert 'kpl_lab_process_up{process="platform"} 1.0' in told
    assert "kpl_lab_capacity" not in told
    first = f"http://127.0.0.1:{two.ports[0]}/metrics"
    assert httpx.get(first, headers=headers, trust_env=False).status_code == 404


def test_one_key_used_at_both_at_once_makes_one_task(two: Two) -> None:
    clients = two.clients("carol")
    with ThreadPoolExecutor(4) as threads:
        for number in range(5):
            body = {
                "upload": upload(clients[0], clients[1], tar_of(CODE)),
                "code_name": f"once-{number}",
            }
            headers = {"Idempotency-Key": f"key-{number}"}
            tries = [
                threads.submit(c.post, "tasks", json=body, headers=headers) for c in clients * 2
            ]
            assert len({answered(one.result())["id"] for one in tries}) == 1
    assert len(answered(clients[0].get("tasks"))["items"]) == 5


def test_tokens_are_valid_at_both(two: Two, postgresql: str) -> None:
    for client in two.clients("dave"):
        assert answered(client.get("me"))["name"] == "dave"
    database = Database(postgresql)
    with database.store() as store:
        key = two.place.home.read_secret(Secret.JWT)
        token = auth.issue(store, key, "task", 1, "dave")
    database.close()
    headers = {"Authorization": f"token {token}"}
    codes = [c.get("me", headers=headers).status_code for c in two.clients("dave")]
    assert codes == [403, 403]  # known, and refused as a workload's
    strange = {"Authorization": "token a.b.c"}
    assert [c.get("me", headers=strange).status_code for c in two.clients("x")] == [401, 401]


def test_a_replica_is_for_callers_from_outside(two: Two) -> None:
    one, other = two.clients("eve")
    token = {"Authorization": f"token {two.place.home.read_secret(Secret.HUB_TO_PLATFORM)}"}
    for path in ("/kpl/api/v1/internal/no-service", "/kpl//api/v1/internal/no-service"):
        url = f"http://127.0.0.1:{two.ports[1]}{path}"
        answer = httpx.get(url, headers=token, trust_env=False)
        assert (answer.status_code, answer.content) == (404, b"")
    assert one.get("internal/no-service").content != b""
    assert other.get("internal/no-service").content == b""


def test_calls_succeed_while_one_of_two_is_killed(two: Two) -> None:
    """As a balancer does: another one is asked where a process does not answer."""
    clients = two.clients("frank")
    turns = count()
    done: list[str] = []
    until_when = time.monotonic() + 6

    def call(method: str, path: str, **words: Any) -> Any:
        for _ in range(8):
            try:
                return answered(clients[next(turns) % 2].request(method, path, **words))
            except httpx.TransportError:
                continue
        raise AssertionError(f"{method} {path} was never answered")

    def work(number: int) -> None:
        while time.monotonic() < until_when:
            announced = {"filename": f"{number}.bin", "size": 4}
            id = call("POST", "uploads", json=announced)["id"]
            assert call("GET", f"uploads/{id}")["received"] == 0
            done.append(id)

    with ThreadPoolExecutor(4) as threads:
        working = [threads.submit(work, number) for number in range(4)]
        time.sleep(2)
        two.second.send_signal(signal.SIGKILL)
        two.second.wait()
        before = len(done)
        for one in working:
            one.result()
    assert len(done) > before > 0
    two.replica()
    until(lambda: is_ready(two.ports[1]), "the replica to come back")


@pytest.fixture
def databases(postgresql: str) -> Iterator[list[Database]]:
    made = [Database(postgresql) for _ in range(4)]
    yield made
    for one in made:
        one.close()


def test_who_follows_events_misses_none_of_several_writers(databases: list[Database]) -> None:
    """Ids are given before a transaction holds; a lower one must not appear after a higher one."""
    reader = databases[0]
    with reader.store(reads_only=True) as store:
        last = store.events.last_id()
    seen: list[str] = []

    def write(number: int) -> None:
        for turn in range(25):
            with databases[number].store() as store:
                store.events.write(THING, "told", f"{number}-{turn}")
                # Others write and commit between the first word of this transaction and its end.
                store.workspaces.names()
                time.sleep(0.003 * (number - 1))

    with ThreadPoolExecutor(3) as threads:
        working = [threads.submit(write, number) for number in (1, 2, 3)]
        while not all(one.done() for one in working):
            with reader.store(reads_only=True) as store:
                found = store.events.after(last, EVERYBODY, resources=("datasets",))
            last = found[-1].id if found else last
            seen += [one.message for one in found]
        for one in working:
            one.result()
    with reader.store(reads_only=True) as store:
        seen += [one.message for one in store.events.after(last, EVERYBODY)]
    assert sorted(m for m in seen if m) == sorted(f"{n}-{t}" for n in (1, 2, 3) for t in range(25))


async def test_postgresql_tells_other_machines_of_events(
    databases: list[Database], tmp_path: Path
) -> None:
    heard = asyncio.Event()
    async with hearing(databases[0], tmp_path / "unused", heard.set):
        await asyncio.wait_for(heard.wait(), 20)  # once, when it begins
        for _ in range(2):
            heard.clear()

            def write() -> None:
                with databases[1].store() as store:
                    store.events.write(THING, "told")

            await asyncio.to_thread(write)
            await asyncio.wait_for(heard.wait(), 20)
        heard.clear()
        # A connection that breaks is made anew, and everybody looks once.
        await asyncio.to_thread(break_others, databases[1])
        await asyncio.wait_for(heard.wait(), 20)


def break_others(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
        )


def test_promises_are_made_one_after_the_other(databases: list[Database]) -> None:
    order: list[str] = []
    held = threading.Event()

    def first() -> None:
        with databases[0].store() as store:
            store.lock("promises")
            held.set()
            time.sleep(0.5)
            order.append("first")

    def second() -> None:
        held.wait()
        with databases[1].store(reads_only=True) as store:
            store.lock("promises")  # who only reads waits for nobody
            order.append("reader")
        with databases[2].store() as store:
            store.lock("promises")
            order.append("second")

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(first), threads.submit(second)]:
            one.result()
    assert order == ["reader", "first", "second"]
