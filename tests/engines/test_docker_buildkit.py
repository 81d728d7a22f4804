"""What BuildKit says, read without a daemon: steps, output, ends, and nonsense."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpl_lab.engines.docker.buildkit import Progress, fields
from kpl_lab.engines.docker.ceiling import Ceiling


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def part(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def vertex(digest: str, name: str, *more: bytes) -> bytes:
    return part(1, part(1, digest.encode()) + part(3, name.encode()) + b"".join(more))


def output(digest: str, text: str) -> bytes:
    return part(3, part(1, digest.encode()) + part(4, text.encode()))


STARTED, DONE, CACHED = part(5, b""), part(6, b""), part(4, 1)


def said(*messages: bytes) -> str:
    progress = Progress()
    return b"".join(progress.read(base64.b64encode(m).decode()) for m in messages).decode()


def test_steps_are_numbered_in_the_order_in_which_they_begin() -> None:
    text = said(
        vertex("a", "[internal] load build definition", STARTED),
        vertex("b", "[1/2] FROM x") + vertex("c", "[2/2] RUN ls"),
        vertex("c", "[2/2] RUN ls", STARTED),
        output("c", "one\n"),
        vertex("b", "[1/2] FROM x", STARTED, DONE, CACHED),
        vertex("c", "[2/2] RUN ls", STARTED, DONE),
        vertex("c", "[2/2] RUN ls", STARTED, DONE),
    )
    assert text == "#1 [2/2] RUN ls\none\n#2 [1/2] FROM x\n#2 CACHED\n#1 DONE\n"


def test_output_that_is_cut_is_joined_and_a_step_begins_its_own_line() -> None:
    begun = vertex("a", "RUN a", STARTED)
    text = said(begun, output("a", "gr"), output("a", "ün"), vertex("a", "RUN a", DONE))
    assert text == "#1 RUN a\ngrün\n#1 DONE\n"


def test_the_output_of_two_steps_stays_apart() -> None:
    begun = vertex("a", "RUN a", STARTED) + vertex("b", "RUN b", STARTED)
    assert said(begun, output("a", "1"), output("b", "2\n")).endswith("1\n2\n")


def test_an_error_is_told_also_of_what_is_internal() -> None:
    text = said(vertex("a", "[internal] load metadata for x", STARTED, DONE, part(7, b"no such")))
    assert text == "#1 [internal] load metadata for x\n#1 ERROR: no such\n"


@given(st.binary(max_size=200))
@example(part(1, 10**12))
@example(part(1, part(1, 10**12)))
@example(part(3, part(4, 10**12)))
def test_nonsense_is_told_and_breaks_nothing(data: bytes) -> None:
    Progress().read(base64.b64encode(data).decode())


def test_a_message_that_was_cut_off_is_none() -> None:
    for data in (b"\x0a\x05ab", b"\x0a", b"\x80", b"\x0b"):
        with pytest.raises(ValueError, match=r"cut off|unknown kind"):
            fields(data)


@pytest.mark.parametrize("version", [1, 2])
def test_the_ceiling_is_what_the_running_builds_were_promised(tmp_path: Path, version: int) -> None:
    parent = tmp_path / ("memory/docker" if version == 1 else "docker")
    group = parent / "buildkit"
    name = "memory.limit_in_bytes" if version == 1 else "memory.max"
    for place in (parent, group):
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("-")
    ceiling = Ceiling(tmp_path)
    with ceiling.held(100) as first, ceiling.held(50) as second:
        assert first
        assert second
        assert (group / name).read_text() == "150"
    assert (group / name).read_text() == ("-1" if version == 1 else "max")


def test_without_a_group_there_is_no_ceiling(tmp_path: Path) -> None:
    with Ceiling(tmp_path).held(1) as is_held:
        assert not is_held
    assert Ceiling(tmp_path).times_reached() == 0
