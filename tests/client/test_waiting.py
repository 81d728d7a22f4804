"""Waiting and following: by the event stream, through restarts, to a clear end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from kpl_lab.client import Client, waiting
from kpl_lab.client.events import Message, parse
from kpl_lab.client.resources import EndedBadly
from kpl_lab.client.waiting import NotDoneInTime
from kpl_lab.errors import NotFound, Unavailable
from kpl_lab.schemas.datasets import DatasetCreate
from kpl_lab.schemas.services import ServiceCreate
from kpl_lab.schemas.tasks import TaskCreate, TaskState
from tests.doubles.platform import Platform, Row
from tests.doubles.server import Server


def soon(act: object, *arguments: object, seconds: float = 0.3) -> None:
    timer = threading.Timer(seconds, act, arguments)  # type: ignore[arg-type]  # any callable
    timer.daemon = True
    timer.start()


def newest(platform: Platform, noun: str) -> Row:
    return platform.rows[noun][-1]


def test_the_grammar_of_server_sent_events() -> None:
    lines = [
        "event: log",
        "data: a",
        "data: b",
        "",
        ": alive",
        "",
        "id: 4",
        "data:c",
        "",
        "data: cut",
    ]
    assert list(parse(lines)) == [Message("log", "a\nb"), Message(), Message("message", "c")]


def test_an_event_ends_the_wait_at_once(client: Client, platform: Platform) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    platform.ends = ("succeeded", None, None)
    soon(platform.end, "tasks", newest(platform, "tasks"))
    started = time.monotonic()
    assert client.tasks.wait(task.id).state is TaskState.SUCCEEDED
    # Far below the look that is made every three seconds without events.
    assert time.monotonic() - started < 2
    assert platform.streams == 1


def test_a_change_without_an_event_is_seen_too(client: Client, platform: Platform) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    soon(newest(platform, "tasks").update, {"state": "stopped"})
    assert client.tasks.wait(task.id).state is TaskState.STOPPED


def test_a_restart_of_the_platform_is_waited_out(
    client: Client, platform: Platform, server: Server
) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    platform.ends = ("failed", "out_of_memory", "It used more than 512 MB.")

    def restart() -> None:
        server.stop()
        platform.end("tasks", newest(platform, "tasks"))
        server.start()

    soon(restart)
    ended = client.tasks.wait(task.id)
    with pytest.raises(EndedBadly, match="more than 512 MB") as raised:
        client.tasks.succeeded(ended)
    assert raised.value.code == "out_of_memory"


def test_a_look_that_breaks_off_is_no_end_of_the_wait(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads "try again" after a submission that was accepted sends a second one."""
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)
    answers: Iterator[Unavailable | str] = iter(
        [Unavailable("It broke off."), Unavailable("It broke off."), "done"]
    )

    def look() -> str:
        found = next(answers)
        if isinstance(found, Unavailable):
            raise found
        return found

    watch = waiting.Watch(("tasks",))
    assert waiting.wait_until(client.tasks._events, watch, look, bool) == "done"


def test_a_wait_ends_in_time_also_while_nobody_answers(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "LOOK_SECONDS", 0.05)

    def look() -> str:
        raise Unavailable("It broke off.")

    watch = waiting.Watch(("tasks",), timeout_seconds=0.3)
    with pytest.raises(NotDoneInTime):
        waiting.wait_until(client.tasks._events, watch, look, bool)


def test_a_wait_has_an_end_where_one_is_wanted(client: Client) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    with pytest.raises(NotDoneInTime, match=r"0\.2 seconds"):
        client.tasks.wait(task.id, timeout_seconds=0.2)


def test_a_version_that_fails_is_an_error_with_its_reason(
    client: Client, platform: Platform
) -> None:
    platform.ends = ("failed", "not_an_image", "a/1.png is not an image.")
    body = DatasetCreate(name="digits", upload=1)
    made = client.datasets.create_from(body, wait=False)
    soon(platform.end, "datasets", newest(platform, "datasets"))
    with pytest.raises(EndedBadly, match=r"version 1, failed: a/1\.png is not an image"):
        client.datasets.wait_ready(made)


def test_the_next_version_is_waited_for_and_not_the_one_before(
    client: Client, platform: Platform
) -> None:
    for number in (1, 2):
        body = DatasetCreate(name="digits", upload=1)
        made = client.datasets.create_from(body, wait=False)
        soon(platform.end, "datasets", newest(platform, "datasets"))
        assert client.datasets.wait_ready(made).version == number


def test_a_log_is_followed_to_its_end_through_a_restart(
    client: Client, platform: Platform, server: Server
) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    source = f"tasks:{task.id}"
    platform.logs[source] = ("one\n", False)

    def go_on() -> None:
        server.stop()
        platform.logs[source] = ("one\ntwo\n", False)
        server.start()
        platform.logs[source] = ("one\ntwo\nthree\n", True)

    soon(go_on)
    assert "".join(chunk.text for chunk in client.tasks.follow_log(task.id)) == "one\ntwo\nthree\n"


def test_the_pages_of_a_log_are_read_to_the_end(client: Client, platform: Platform) -> None:
    task = client.tasks.submit(TaskCreate(algorithm="digits"))
    platform.logs[f"tasks:{task.id}"] = ("a line\n" * 10, False)
    assert "".join(page.text for page in client.tasks.read_log(task.id)) == "a line\n" * 10


def test_a_repeated_name_is_stopped_and_deleted_by_its_newest(
    client: Client, platform: Platform
) -> None:
    old = platform.add("tasks", "train", state="running")
    new = platform.add("tasks", "train", state="running")
    platform.ends = ("stopped", None, None)
    assert client.tasks.stop("train").id == new["id"]
    assert client.tasks.delete("train").id == new["id"]
    assert platform.rows["tasks"] == [old]
    assert old["state"] == "running"


def test_a_service_is_ready_when_all_its_replicas_are(client: Client, platform: Platform) -> None:
    service = client.services.deploy(ServiceCreate(name="s", algorithm="digits", replicas=2))
    row = newest(platform, "services")
    looks: list[int] = []

    def one_after_the_other() -> None:
        row.update(state="running", ready=1)
        platform.tell("services", row["id"])
        while 1 not in looks:
            time.sleep(0.01)
        row.update(ready=2)
        platform.tell("services", row["id"])

    soon(one_after_the_other)
    found = client.services.wait_ready(service.id, on_look=lambda s: looks.append(s.ready))
    assert (found.state, found.ready) == ("running", 2)
    assert 1 in looks


def test_a_service_that_fails_says_why(client: Client, platform: Platform) -> None:
    service = client.services.deploy(ServiceCreate(name="s", algorithm="digits"))
    platform.ends = ("failed", "wrong_port", "It listens on 5000, not on 8080.")
    soon(platform.end, "services", newest(platform, "services"))
    with pytest.raises(EndedBadly, match="listens on 5000"):
        client.services.wait_ready(service.id)


def test_what_is_not_there_ends_a_wait(client: Client) -> None:
    with pytest.raises(NotFound):
        client.tasks.wait("nobody")
