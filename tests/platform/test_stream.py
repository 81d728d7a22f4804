"""The one stream of events and logs: complete, resumable, bounded, and nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest
from httpx import Client

from kpl_lab.engines.fake import Script
from kpl_lab.errors import Forbidden, Unavailable
from kpl_lab.platform import scopes
from kpl_lab.platform.api import events
from kpl_lab.platform.api.events import (
    QUEUE_MESSAGES,
    Stream,
    locate,
    parse_subscription,
    stream_events,
)
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.repositories.workspaces import Subject
from tests.platform.running import WAITS, Site, until

Said = tuple[str, str | None, Any]
PATIENCE_SECONDS = 20


def parsed(message: bytes) -> Said:
    """Return kind, id and data of one message of a stream."""
    fields = dict(line.split(": ", 1) for line in message.decode().strip().split("\n"))
    return fields["event"], fields.get("id"), json.loads(fields["data"])


class Reader:
    """A page that reads its stream."""

    def __init__(self, messages: AsyncIterator[bytes]) -> None:
        self._messages = messages

    async def next(self) -> Said:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return parsed(await anext(self._messages))

    async def text(self, source: str) -> str:
        """Read a log to its end."""
        found = ""
        while True:
            kind, _, data = await self.next()
            if kind == "log" and data["source"] == source:
                assert data["offset"] == len(found.encode())
                found += str(data["text"])
                if data["complete"]:
                    return found


def a_user(name: str = "alice", *may: str) -> Caller:
    """Return a caller with all scopes of a user where none are named."""
    return Caller(name=name, kind="user", scopes=scopes.expand(frozenset(may or {scopes.SELF})))


@contextlib.asynccontextmanager
async def reading(
    context: Context,
    *logs: str,
    name: str = "alice",
    since: int = 0,
    of: tuple[str, ...] = (),
    may: tuple[str, ...] = (),
) -> AsyncIterator[Reader]:
    stream = Stream(context, a_user(name, *may), of)
    messages = stream.messages(since, [parse_subscription(text) for text in logs])
    async with contextlib.aclosing(messages):
        yield Reader(messages)


@contextlib.asynccontextmanager
async def opened(site: Site, *logs: str, name: str = "alice") -> AsyncIterator[Reader]:
    """Open a stream by its route, of logs alone."""
    answer = await stream_events(site.context, a_user(name), resource=["models"], log=list(logs))
    messages = cast("AsyncGenerator[bytes, None]", answer.body_iterator)
    async with contextlib.aclosing(messages):
        yield Reader(messages)


def write(context: Context, number: int, **facts: Any) -> None:
    subject = Subject(**{"resource": "tasks", "id": number, "owner": "alice", **facts})
    with context.database.store() as store:
        store.events.write(subject, "state", f"event {number}", data={"n": number})
    context.bell.ring()


async def test_a_stream_begins_by_saying_where_and_tells_what_comes(empty_context: Context) -> None:
    write(empty_context, 1)
    async with reading(empty_context, since=1) as page:
        assert await page.next() == ("ready", "1", {"since": 1})
        write(empty_context, 2)
        kind, id, data = await page.next()
        assert (kind, id, data["message"], data["data"]) == ("event", "2", "event 2", {"n": 2})


async def test_a_stream_resumes_without_gap_or_repetition(empty_context: Context) -> None:
    for number in range(1, 1201):
        write(empty_context, number)
    seen: list[int] = []
    last = 0
    while len(seen) < 1200:
        async with reading(empty_context, since=last) as page:
            await page.next()
            for _ in range(min(400, 1200 - len(seen))):
                _, id, data = await page.next()
                last = int(id or 0)
                seen.append(data["resource_id"])
    assert seen == list(range(1, 1201))


async def test_nobody_hears_of_what_they_may_not_see(empty_context: Context) -> None:
    write(empty_context, 1)
    write(empty_context, 2, owner="bob")
    write(empty_context, 3, visibility="workspace")
    async with reading(empty_context, name="bob") as page:
        await page.next()
        assert [(await page.next())[2]["resource_id"] for _ in range(2)] == [2, 3]


async def test_a_narrow_token_hears_of_what_it_may_read_alone(empty_context: Context) -> None:
    write(empty_context, 1)
    write(empty_context, 2, resource="models")
    write(empty_context, 3, resource="datasets")
    async with reading(empty_context, may=("custom:kpl:datasets:read",)) as page:
        await page.next()
        assert (await page.next())[2]["resource_id"] == 3


async def test_a_narrow_token_follows_no_log_of_another_resource(site: Site) -> None:
    alice = site.user()
    task = await alice.ended(await alice.submit())
    wanted = parse_subscription(f"tasks:{task['id']}:0")
    with pytest.raises(Forbidden):
        locate(site.context, a_user("alice", "custom:kpl:datasets:read"), wanted)


async def test_the_events_of_others_are_looked_through_once(empty_context: Context) -> None:
    for number in range(3):
        write(empty_context, number, owner="bob")
    found, reached = Stream(empty_context, a_user(), ()).after(0)
    assert (found, reached) == ([], 3)


async def test_only_the_resources_that_were_asked_for_are_told(empty_context: Context) -> None:
    write(empty_context, 1)
    write(empty_context, 2, resource="services")
    async with reading(empty_context, of=("services",)) as page:
        await page.next()
        assert (await page.next())[2]["resource"] == "services"


async def test_a_slow_reader_costs_bounded_memory_and_loses_nothing(empty_context: Context) -> None:
    stream = Stream(empty_context, a_user(), ())
    for number in range(1, 4 * QUEUE_MESSAGES):
        write(empty_context, number)
    messages = stream.messages(0, [])
    async with contextlib.aclosing(messages):
        page = Reader(messages)
        await page.next()
        await until(lambda: stream.waiting == QUEUE_MESSAGES)
        found = [(await page.next())[2]["resource_id"] for _ in range(4 * QUEUE_MESSAGES - 1)]
    assert found == list(range(1, 4 * QUEUE_MESSAGES))


async def test_a_database_that_is_away_for_a_moment_does_not_silence_a_stream(
    empty_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "RETRY_SECONDS", 0.01)
    whole = Stream.after
    failures = iter([True, True, False])

    def after(self: Stream, last: int) -> Any:
        if next(failures, False):
            raise Unavailable("The database does not answer.")
        return whole(self, last)

    monkeypatch.setattr(Stream, "after", after)
    write(empty_context, 1)
    async with reading(empty_context) as page:
        await page.next()
        assert (await page.next())[2]["resource_id"] == 1


async def test_a_log_is_followed_from_before_its_start_to_its_end(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, log="grüße\n".encode())
    alice = site.user()
    await site.kill()
    task = await alice.submit()
    name = f"task-{task['id']}-1"
    async with reading(site.context, f"tasks:{task['id']}:0", of=("models",)) as page:
        await page.next()
        site.start()
        kind, _, data = await page.next()
        assert (kind, data["text"], data["complete"]) == ("log", "grüße\n", False)
        # A character that comes in two parts is told whole.
        await site.engine.say(name, b"\xc3")
        await site.engine.say(name, b"\xa4\n")
        assert (await page.next())[2]["text"] == "ä\n"
        await site.engine.finish(name)
        _, _, data = await page.next()
        assert data["complete"]
    whole = await alice.get(f"tasks/{task['id']}/log")
    assert whole["text"] == "grüße\nä\n"


async def test_a_log_resumes_at_its_offset(site: Site) -> None:
    site.engine.script = Script(log=b"0123456789" * 100_000)
    alice = site.user()
    task = await alice.ended(await alice.submit())
    async with reading(site.context, f"tasks:{task['id']}:999990", of=("models",)) as page:
        await page.next()
        _, _, data = await page.next()
        assert (data["text"], data["complete"]) == ("0123456789", True)
    async with reading(site.context, f"tasks:{task['id']}:0", of=("models",)) as page:
        assert len(await page.text(f"tasks:{task['id']}")) == 1_000_000


async def test_the_log_of_what_is_deleted_ends(site: Site) -> None:
    site.engine.script = WAITS
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    async with reading(site.context, f"tasks:{task['id']}:0", of=("models",)) as page:
        await page.next()
        await alice.http.delete(f"tasks/{task['id']}")
        assert (await page.next())[2]["complete"]


@pytest.mark.parametrize(
    "text", ["tasks", "tasks:1", "tasks:x:0", "tasks:1:0:0:0", "users:1:0", "tasks:-1:0", ""]
)
def test_what_names_no_log_is_refused(text: str, alice: Client) -> None:
    refused = alice.get("events", params={"log": text})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_subscription")


def test_too_many_logs_are_refused(alice: Client) -> None:
    refused = alice.get("events", params={"log": [f"tasks:{n}:0" for n in range(1, 18)]})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_logs")


async def test_a_log_that_is_gone_ends_and_the_others_of_its_page_go_on(site: Site) -> None:
    site.engine.script = Script(run_seconds=None, log=b"still here\n")
    alice = site.user()
    task = await alice.submit()
    await alice.until(f"tasks/{task['id']}", "running")
    gone = ("tasks:99", "services:99", "candidates:99", "builds:99")
    async with opened(site, *(f"{name}:7" for name in gone), f"tasks:{task['id']}:0") as page:
        said = [await page.next() for _ in range(len(gone) + 2)]
    logs = {data["source"]: data for kind, _, data in said if kind == "log"}
    for name in gone:
        assert (logs[name]["text"], logs[name]["complete"]) == ("", True)
        assert logs[name]["next_offset"] == 7
    assert logs[f"tasks:{task['id']}"]["text"] == "still here\n"


async def test_nobody_follows_a_log_of_others(site: Site) -> None:
    alice = site.user("alice")
    task = await alice.ended(await alice.submit())
    async with opened(site, f"tasks:{task['id']}:0", name="bob") as page:
        said = [await page.next() for _ in range(2)]
    (log,) = [data for kind, _, data in said if kind == "log"]
    assert (log["text"], log["complete"]) == ("", True)


async def test_a_token_without_the_scope_of_a_log_is_refused(site: Site) -> None:
    caller = a_user("alice", "custom:kpl:datasets:read")
    with pytest.raises(Forbidden):
        await stream_events(site.context, caller, log=["tasks:1:0"])
