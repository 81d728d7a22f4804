"""Uploads: in parts, resumed after a break, bounded, and told when the disk is full."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Client, Response

from kpl_lab.clock import ManualClock
from kpl_lab.platform.api.uploads import WRITE_BYTES
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import housekeeping
from tests.platform.conftest import Login, SmallDisk, send


def announce(client: Client, size: int | None = None, filename: str = "a.tar") -> int:
    answer = client.post("uploads", json={"filename": filename, "size": size})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/kpl/api/v1/uploads/{answer.json()['id']}"
    return int(answer.json()["id"])


def put(client: Client, id: int, offset: int, content: bytes | Iterator[bytes]) -> Response:
    return client.put(f"uploads/{id}", params={"offset": offset}, content=content)


def test_parts_become_one_file(alice: Client, context: Context) -> None:
    id = announce(alice, 10)
    assert put(alice, id, 0, b"01234").json()["received"] == 5
    assert put(alice, id, 5, b"56789").json()["received"] == 10
    done = alice.post(f"uploads/{id}/complete").json()
    assert (done["complete"], done["size"]) == (True, 10)
    assert context.files.upload(id).read_bytes() == b"0123456789"


def test_a_size_need_not_be_known_beforehand(alice: Client) -> None:
    id = announce(alice)
    put(alice, id, 0, b"x" * 3)
    assert alice.post(f"uploads/{id}/complete").json()["size"] == 3


@pytest.mark.parametrize("offset", [0, 4, 6])
def test_holes_and_repetitions_are_refused_with_where_to_go_on(offset: int, alice: Client) -> None:
    id = announce(alice, 10)
    put(alice, id, 0, b"01234")
    answer = put(alice, id, offset, b"x")
    assert answer.status_code == 409
    assert answer.json()["code"] == "wrong_offset"
    assert answer.json()["detail"] == {"received": 5}


def test_bytes_that_a_dead_process_wrote_but_never_counted_are_written_over(
    alice: Client, context: Context
) -> None:
    id = announce(alice, 6)
    put(alice, id, 0, b"abc")
    with context.files.upload(id).open("ab") as file:
        file.write(b"torn")
    put(alice, id, 3, b"def")
    assert alice.post(f"uploads/{id}/complete").status_code == 200
    assert context.files.upload(id).read_bytes() == b"abcdef"


@pytest.fixture
async def streaming(alice: Client, app: FastAPI) -> AsyncIterator[AsyncClient]:
    """A client of alice's whose requests run beside each other, their bodies read as they come."""
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(
        transport=transport, base_url=alice.base_url, headers=alice.headers
    ) as made:
        yield made


class SlowPut:
    """A PUT that has sent its first half and keeps the second until told."""

    def __init__(self, client: AsyncClient, id: int, content: bytes) -> None:
        self._content = content
        self._has_begun, self._may_end = asyncio.Event(), asyncio.Event()
        body = self._body()
        sending = client.put(f"uploads/{id}", params={"offset": 0}, content=body)
        self._sending = asyncio.create_task(sending)

    async def _body(self) -> AsyncIterator[bytes]:
        half = len(self._content) // 2
        yield self._content[:half]
        self._has_begun.set()
        await self._may_end.wait()
        yield self._content[half:]

    async def begun(self) -> None:
        async with asyncio.timeout(20):
            await self._has_begun.wait()

    async def ended(self) -> Response:
        self._may_end.set()
        return await self._sending


async def test_of_two_that_write_at_once_the_second_is_refused_and_spoils_nothing(
    alice: Client, streaming: AsyncClient, context: Context
) -> None:
    ours, theirs = b"a" * (4 * WRITE_BYTES), b"b" * (3 * WRITE_BYTES)
    id = announce(alice)
    first = SlowPut(streaming, id, ours)
    await first.begun()
    second = await streaming.put(f"uploads/{id}", params={"offset": 0}, content=theirs)
    assert (second.status_code, second.json()["code"]) == (409, "upload_busy")
    assert (await first.ended()).json()["received"] == len(ours)
    assert context.files.upload(id).read_bytes() == ours
    again = await streaming.put(f"uploads/{id}", params={"offset": len(ours)}, content=theirs)
    assert again.json()["received"] == len(ours + theirs)


async def test_what_is_still_being_written_cannot_be_declared_whole(
    alice: Client, streaming: AsyncClient
) -> None:
    id = announce(alice)
    sending = SlowPut(streaming, id, b"x" * WRITE_BYTES)
    await sending.begun()
    refused = await streaming.post(f"uploads/{id}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_busy")
    await sending.ended()
    assert (await streaming.post(f"uploads/{id}/complete")).json()["size"] == WRITE_BYTES


async def test_an_upload_given_up_while_it_is_written_leaves_nothing(
    alice: Client, streaming: AsyncClient, context: Context
) -> None:
    id = announce(alice)
    sending = SlowPut(streaming, id, b"x" * WRITE_BYTES)
    await sending.begun()
    assert (await streaming.delete(f"uploads/{id}")).status_code == 204
    ended = await sending.ended()
    assert (ended.status_code, ended.json()["code"]) == (409, "upload_ended")
    assert not context.files.upload(id).exists()


def test_more_than_announced_is_refused_and_does_not_count(alice: Client) -> None:
    id = announce(alice, 4)
    assert put(alice, id, 0, b"12345").status_code == 413
    assert alice.get(f"uploads/{id}").json()["received"] == 0
    assert put(alice, id, 0, b"1234").status_code == 200


def test_the_limit_holds_for_what_is_announced_and_what_is_sent(
    alice: Client, context: Context
) -> None:
    context.options.max_upload_bytes = 1000
    refused = alice.post("uploads", json={"filename": "a", "size": 1001})
    assert refused.status_code == 413
    assert refused.json()["detail"] == {"size": 1001, "limit": 1000}
    id = announce(alice)

    def endless() -> Iterator[bytes]:
        for _ in range(5000):
            yield b"x" * 1000

    assert put(alice, id, 0, endless()).status_code == 413


def test_what_will_not_fit_is_refused_before_it_is_sent(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1000))
    answer = alice.post("uploads", json={"filename": "a", "size": 1001})
    assert answer.status_code == 507
    assert answer.json()["detail"] == {"size": 1001, "free": 1000}


def test_a_disk_that_fills_up_is_told_and_what_counted_stays(
    alice: Client, context: Context, small_disk: SmallDisk
) -> None:
    with small_disk(context.files.path("uploads")):
        id = announce(alice)
        put(alice, id, 0, b"abc")
        answer = put(alice, id, 3, b"x" * 4_000_000)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert alice.get(f"uploads/{id}").json()["received"] == 3
        assert put(alice, id, 3, b"def").json()["received"] == 6


def test_what_is_not_whole_cannot_be_completed_or_used(alice: Client) -> None:
    id = announce(alice, 10)
    put(alice, id, 0, b"01234")
    answer = alice.post(f"uploads/{id}/complete")
    assert (answer.status_code, answer.json()["code"]) == (422, "upload_incomplete")
    used = alice.post("datasets", json={"name": "d", "upload": id})
    assert (used.status_code, used.json()["code"]) == (422, "upload_incomplete")


def test_completing_twice_is_harmless_and_nothing_can_be_added(alice: Client) -> None:
    id = send(alice, "a", b"abc")
    assert alice.post(f"uploads/{id}/complete").status_code == 200
    assert put(alice, id, 3, b"d").json()["code"] == "upload_complete"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\数据 1.zip", "数据 1.zip"),
        ("", "upload"),
        ("..", "upload"),
        ("a\nb.zip", "a\nb.zip"),
    ],
)
def test_a_file_name_is_a_name_and_no_path(given: str, kept: str, alice: Client) -> None:
    answer = alice.post("uploads", json={"filename": given})
    assert answer.json()["filename"] == kept


def test_uploads_are_their_owners_alone(login: Login) -> None:
    id = send(login("alice"), "a", b"abc")
    bob = login("bob")
    assert bob.get(f"uploads/{id}").status_code == 404
    assert put(bob, id, 3, b"d").status_code == 404
    assert bob.delete(f"uploads/{id}").status_code == 404
    used = bob.post("datasets", json={"name": "d", "upload": id})
    assert used.status_code == 404


def test_who_may_only_read_has_nothing_to_upload(login: Login) -> None:
    reader = login("eve", "custom:kpl:datasets:read")
    assert reader.post("uploads", json={"filename": "a"}).status_code == 403
    writer = login("wim", "custom:kpl:models:write")
    assert writer.post("uploads", json={"filename": "a"}).status_code == 201


def test_a_given_up_upload_leaves_nothing(alice: Client, context: Context) -> None:
    id = send(alice, "a", b"abc")
    assert alice.delete(f"uploads/{id}").status_code == 204
    assert alice.get(f"uploads/{id}").status_code == 404
    assert not context.files.upload(id).exists()


def test_forgotten_uploads_are_cleaned_up_but_none_that_is_waited_for(
    alice: Client, context: Context, clock: ManualClock
) -> None:
    forgotten, waited = send(alice, "a", b"abc"), send(alice, "b.csv", b"1")
    alice.post("datasets", json={"name": "d", "upload": waited})
    for id in (forgotten, waited):
        os.utime(context.files.upload(id), (clock.now().timestamp(),) * 2)
    clock.advance(2 * 24 * 3600)
    with context.database.store() as store:
        housekeeping.clean(store, context.files, context.options)
    assert not context.files.upload(forgotten).exists()
    assert context.files.upload(waited).exists()
