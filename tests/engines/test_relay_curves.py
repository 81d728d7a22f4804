"""Event files in a task's outputs become curves."""

from __future__ import annotations

import os
import struct
from pathlib import Path

from kpl_lab.engines.local.tensorboard import EventFollower, masked_crc, read_events
from kpl_lab.trees import remove_tree
from tests.engines.relaying import Platform, RelayProcess, until
from tests.places import nest


def test_many_points_go_in_calls_that_the_platform_takes(
    tmp_path: Path, platform: Platform
) -> None:
    platform.open()
    run = tmp_path / "outputs" / os.fsdecode(b"run-\xff")
    run.mkdir(parents=True)
    (run / "events.out.tfevents.1").write_bytes(_record(_event("loss", 1, 0.5)) * 50_010)
    relay = RelayProcess(tmp_path, platform, outputs=str(tmp_path / "outputs"))
    until(lambda: len(platform.calls) == 2, 60)
    assert relay.end() == 0
    bodies = [body for _, _, body in platform.calls]
    assert [len(body["points"][0]["x"]) for body in bodies] == [50_000, 10]
    assert len({body["batch_id"] for body in bodies}) == 2
    assert {body["points"][0]["series"] for body in bodies} == {"run-\ufffd"}


def test_event_files_are_found_beside_folders_of_any_depth(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    nest(outputs, 1300)
    (outputs / "events.out.tfevents.1").write_bytes(_record(_event("acc", 3, 1.0)))
    found = list(EventFollower(outputs, tmp_path / "memory.json").poll())
    assert [key for key, _ in found] == ["events.out.tfevents.1@0"]
    remove_tree(outputs)


def _event(tag: str, step: int, value: float) -> bytes:
    """Serialise an Event with one simple_value, as event.proto lays it out."""
    inner = b"\x0a" + bytes([len(tag)]) + tag.encode() + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(inner)]) + inner
    event = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + bytes([step])
    return event + b"\x2a" + bytes([len(summary)]) + summary


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    crc = struct.pack("<I", masked_crc(length))
    return length + crc + data + struct.pack("<I", masked_crc(data))


def test_event_files_become_curves_while_they_grow(tmp_path: Path, platform: Platform) -> None:
    platform.open()
    outputs = tmp_path / "outputs"
    run = outputs / "save" / "run1"
    run.mkdir(parents=True)
    relay = RelayProcess(tmp_path, platform, outputs=str(outputs))
    file = run / "events.out.tfevents.1.host"
    file.write_bytes(_record(_event("loss", 1, 0.5)) + _record(_event("loss", 2, 0.25))[:-3])
    until(lambda: len(platform.calls) == 1)
    file.write_bytes(_record(_event("loss", 1, 0.5)) + _record(_event("loss", 2, 0.25)))
    assert relay.end() == 0
    points = [p for _, _, body in platform.calls for p in body["points"]]
    assert points == [
        {"title": "loss", "series": "save/run1", "x": [1], "y": [0.5]},
        {"title": "loss", "series": "save/run1", "x": [2], "y": [0.25]},
    ]


def test_event_files_are_read_once_and_links_and_broken_ones_never(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "events.out.tfevents.1").write_bytes(_record(_event("acc", 3, 1.0)))
    (outputs / "events.out.tfevents.2").symlink_to(outputs / "events.out.tfevents.1")
    (outputs / "events.out.tfevents.3").write_bytes(b"\xff" * 64)
    memory = tmp_path / "memory.json"
    first = list(EventFollower(outputs, memory).poll())
    assert [(key, [s.value for s in found]) for key, found in first] == [
        ("events.out.tfevents.1@0", [1.0])
    ]
    assert list(EventFollower(outputs, memory).poll()) == []
    scalars, end = read_events(outputs / "events.out.tfevents.3", 0, ".")
    assert (scalars, end) == ([], 64)
