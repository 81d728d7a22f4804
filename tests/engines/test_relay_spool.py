"""The queue of the relay: what was accepted survives, whatever befalls the disk."""

from __future__ import annotations

import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from kpl_lab.engines.local.spool import Spool


def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append({"path": "/a", "body": {}})
    spool.close()
    with (tmp_path / "records").open("ab") as file:
        file.write(b'{"path": "/b", "bo')
    again = Spool(tmp_path)
    record = again.next_after(0, wait_seconds=0)
    assert record is not None
    assert record.message == {"path": "/a", "body": {}}
    assert again.next_after(record.end, wait_seconds=0) is None
    again.append({"path": "/c", "body": {}})
    following = again.next_after(record.end, wait_seconds=0)
    assert following is not None
    assert following.message == {"path": "/c", "body": {}}
    again.close()


def test_a_record_for_which_there_was_no_room_is_not_written_later(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append({"path": "/a"})
    size = (tmp_path / "records").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))
        with pytest.raises(OSError, match="too large"):
            spool.append({"path": "/refused", "body": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "records").stat().st_size == size
    spool.append({"path": "/b"})
    assert messages(spool) == [{"path": "/a"}, {"path": "/b"}]
    spool.close()
    again = Spool(tmp_path)
    assert messages(again) == [{"path": "/a"}, {"path": "/b"}]
    again.close()


def test_a_damaged_record_is_passed_over(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    (tmp_path / "records").write_bytes(b'{"path":"/a"}\n\xff{broken\n{"path":"/b"}\n')
    spool = Spool(tmp_path)
    assert messages(spool) == [{"path": "/a"}, None, {"path": "/b"}]
    spool.close()


def test_letters_of_any_kind_survive_the_queue_at_their_size(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    message = {"body": "\u8bad\u7ec3 \ud800 \u2028"}
    spool.append(message)
    assert messages(spool) == [message]
    assert "\u8bad".encode() in (tmp_path / "records").read_bytes()
    spool.close()


def messages(spool: Spool) -> list[Any]:
    """Return everything that a queue holds."""
    found, offset = [], 0
    while (record := spool.next_after(offset, wait_seconds=0)) is not None:
        found.append(record.message)
        offset = record.end
    return found
