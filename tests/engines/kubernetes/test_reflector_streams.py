"""Streams as no server should send them do a reflector no harm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from kpl_lab.engines.kubernetes.reflector import bare
from kpl_lab.engines.kubernetes.words import Call, Json, refusal
from tests.engines.kubernetes.reflecting import NS, Nap, Seen, running


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def nap() -> Nap:
    return Nap()


class Script:
    """A source that plays streams: each is a list of events, or an error."""

    def __init__(self, *streams: list[Json] | Exception, listed: list[Json] | None = None) -> None:
        self._streams = list(streams)
        self._listed = listed or []
        self.asked: list[str] = []
        self.idle = asyncio.Event()

    async def pages(
        self, kind: str, selector: str = ""
    ) -> AsyncGenerator[tuple[list[Json], str], None]:
        yield self._listed, "10"

    async def watch(
        self, kind: str, selector: str = "", *, resource_version: str, timeout_seconds: int = 300
    ) -> AsyncGenerator[Json, None]:
        self.asked.append(resource_version)
        if not self._streams:
            self.idle.set()
            await asyncio.Event().wait()
        stream = self._streams.pop(0)
        if isinstance(stream, Exception):
            raise stream
        for event in stream:
            yield event


def event(type_: str, name: str, version: int, uid: str = "u1") -> Json:
    return {
        "type": type_,
        "object": {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}},
    }


Case = tuple[str, list[Json], list[tuple[str, str | None]]]
CASES: list[Case] = [
    (
        "the same twice",
        [event("ADDED", "a", 11), event("ADDED", "a", 11), event("MODIFIED", "a", 11)],
        [("a", "11")],
    ),
    (
        "an older after a newer",
        [event("ADDED", "a", 11), event("MODIFIED", "a", 13), event("MODIFIED", "a", 12)],
        [("a", "11"), ("a", "13")],
    ),
    (
        "a change after the end",
        [event("ADDED", "a", 11), event("DELETED", "a", 13), event("MODIFIED", "a", 12)],
        [("a", "11"), ("a", None)],
    ),
    (
        "an end that was of the one before",
        [event("ADDED", "a", 14, "u2"), event("DELETED", "a", 13, "u1")],
        [("a", "14")],
    ),
    (
        "an end of what is not known",
        [event("DELETED", "a", 13), event("DELETED", "a", 13)],
        [],
    ),
    (
        "another one without an end of the first",
        [event("ADDED", "a", 11, "u1"), event("ADDED", "a", 12, "u2")],
        [("a", "11"), ("a", None), ("a", "12")],
    ),
    (
        "a type that is not known",
        [event("SURPRISE", "a", 11), event("ADDED", "b", 12)],
        [("b", "12")],
    ),
]


@pytest.mark.parametrize(("events", "told"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
async def test_disorder_does_no_harm(
    seen: Seen, nap: Nap, events: list[Json], told: list[tuple[str, str | None]]
) -> None:
    source = Script(events)
    async with running(source, seen, nap):
        await asyncio.wait_for(source.idle.wait(), 5)
    assert [(name, version) for _, name, version in seen.changes] == told


async def test_a_watch_resumes_after_the_last_event_not_the_latest_to_arrive(
    seen: Seen, nap: Nap
) -> None:
    source = Script([event("ADDED", "a", 15), event("ADDED", "b", 12)])
    async with running(source, seen, nap):
        await asyncio.wait_for(source.idle.wait(), 5)
    assert source.asked == ["10", "15"]


async def test_an_error_of_the_server_resumes_and_one_of_ours_lists_again(
    seen: Seen, nap: Nap
) -> None:
    call = Call("watch", "pods", namespace=NS)
    ours = refusal(400, {"message": "invalid resource version"}, call)
    theirs = refusal(500, {"message": "etcdserver: leader changed"}, call)
    source = Script([event("ADDED", "a", 12)], theirs, ours)
    async with running(source, seen, nap):
        await asyncio.wait_for(source.idle.wait(), 5)
    # After the last the list was read again, which knows nothing of a.
    assert source.asked == ["10", "12", "12", "10"]
    assert seen.names() == ["a", "-a"]


async def test_watches_that_end_at_once_are_not_asked_for_without_pause(
    seen: Seen, nap: Nap
) -> None:
    source = Script([], [], [])
    async with running(source, seen, nap, shortest=1.0):
        await asyncio.wait_for(source.idle.wait(), 5)
    assert len(nap.waits) == 3


def test_only_what_counts_is_kept() -> None:
    whole: Json = {
        "metadata": {
            "name": "a",
            "managedFields": [{}],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "b": "c"},
        },
        "spec": {"x": 1},
    }
    assert bare(whole) == {"metadata": {"name": "a", "annotations": {"b": "c"}}, "spec": {"x": 1}}
    assert "managedFields" in whole["metadata"]
