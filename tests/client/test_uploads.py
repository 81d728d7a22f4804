"""Uploads go on where they were, whatever happens to the connection."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from starlette.requests import Request

from kpl_lab.client import Client
from kpl_lab.client import uploads as module
from kpl_lab.client.uploads import Source, source_of, source_of_code
from kpl_lab.errors import Conflict, StorageFull, TooLarge
from tests.doubles.platform import Platform, unpacked
from tests.doubles.server import Server


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_BYTES", 1000)


def test_a_file_arrives_as_it_is_in_parts(
    client: Client, platform: Platform, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 20
    (tmp_path / "pictures.zip").write_bytes(content)
    seen: list[tuple[int, int | None]] = []
    upload = client.uploads.send(
        source_of(tmp_path / "pictures.zip"), lambda done, total: seen.append((done, total))
    )
    assert upload.complete
    assert upload.filename == "pictures.zip"
    assert bytes(platform.uploads[upload.id]) == content
    assert seen == [(min(n, 5120), 5120) for n in range(0, 7000, 1000)]


def test_a_folder_arrives_as_a_tar_named_after_it(
    client: Client, platform: Platform, tmp_path: Path
) -> None:
    folder = tmp_path / "水果"
    folder.mkdir()
    (folder / "a.txt").write_text("1" * 3000)
    upload = client.uploads.send(source_of(folder))
    assert upload.filename == "水果.tar"
    assert unpacked(bytes(platform.uploads[upload.id])) == {"a.txt": b"1" * 3000}


def test_code_that_the_platform_does_not_take_is_not_sent(
    client: Client, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "environment.yml").touch()
    (tmp_path / "weights.bin").write_bytes(bytes(2_000_000))

    def refuse(request: Request) -> None:
        raise TooLarge("The code folder is too large.", code="code_too_large")

    platform.before_request = refuse
    with pytest.raises(TooLarge, match=r"too large\. The largest files are weights\.bin"):
        client.uploads.send(source_of_code(tmp_path))
    assert not platform.uploads


def test_an_empty_file_arrives(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert client.uploads.send(source_of(tmp_path / "empty")).complete


def test_a_part_whose_answer_was_lost_is_not_sent_twice(client: Client, platform: Platform) -> None:
    platform.lose_answers = 2
    content = bytes(5000)
    upload = client.uploads.send(Source("x", 5000, lambda: [content]))
    assert bytes(platform.uploads[upload.id]) == content


def test_a_restart_of_the_platform_costs_no_byte(
    client: Client, platform: Platform, server: Server
) -> None:
    content = bytes(range(256)) * 40
    restarted = threading.Event()

    def chunks() -> list[bytes]:
        return [content[:3000], content[3000:]]

    def progress(done: int, total: int | None) -> None:
        if done >= 2000 and not restarted.is_set():
            restarted.set()
            server.stop()
            threading.Timer(0.5, server.start).start()

    upload = client.uploads.send(Source("x", len(content), chunks), progress)
    assert restarted.is_set()
    assert bytes(platform.uploads[upload.id]) == content


def test_bytes_of_a_broken_connection_that_are_still_being_written_are_waited_for(
    client: Client, platform: Platform
) -> None:
    busy = [Conflict("Another request writes it.", code="upload_busy")] * 2

    def refuse(request: object) -> None:
        if platform.requests[-1][0] == "PUT" and busy:
            raise busy.pop()

    platform.before_request = refuse
    upload = client.uploads.send(Source("x", 10, lambda: [b"0123456789"]))
    assert bytes(platform.uploads[upload.id]) == b"0123456789"
    assert not busy


def test_a_refusal_ends_the_upload(client: Client, platform: Platform) -> None:
    def refuse(request: object) -> None:
        if platform.requests[-1][0] == "PUT":
            raise StorageFull("The disk is full; ask an admin to make room.")

    platform.before_request = refuse
    with pytest.raises(StorageFull, match="disk is full"):
        client.uploads.send(Source("x", 10, lambda: [bytes(10)]))
