"""What a container prints, as pieces with even times."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from kpl_lab.engines.kubernetes.output import output

POD = "p"


class Printed:
    """Stands in for a cluster: bytes in the pieces that a connection brings."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.asked: list[dict[str, str]] = []

    async def log(self, name: str, container: str, part: Any) -> AsyncGenerator[bytes, None]:
        assert (name, container) == (POD, "main")
        self.asked.append(part.parameters())
        for piece in self._pieces:
            yield piece


async def parts(printed: Any, since: str | None = None) -> list[tuple[str, bytes]]:
    found = [one async for one in output(printed, POD, since, follow=True)]
    return [(part.time, part.data) for pieces in found for part in pieces]


@pytest.mark.parametrize(
    ("said", "even"),
    [
        (b"2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456789Z"),
        (b"2026-01-01T00:00:00.12Z", "2026-01-01T00:00:00.120000000Z"),
        (b"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000000Z"),
    ],
)
async def test_times_have_nine_digits(said: bytes, even: str) -> None:
    assert await parts(Printed(said + b" x\n")) == [(even, b"x\n")]


async def test_lines_are_whole_however_they_come() -> None:
    text = b"2026-01-01T00:00:00.1Z one two\n2026-01-01T00:00:00.2Z \n2026-01-01T00:00:00.3Z end"
    whole = await parts(Printed(text))
    assert [data for _, data in whole] == [b"one two\n", b"\n", b"end"]
    assert await parts(Printed(*(text[i : i + 1] for i in range(len(text))))) == whole


async def test_a_long_line_is_one_piece() -> None:
    line = b"x" * 300_000 + b"\n"
    pieces = [b"2026-01-01T00:00:00.1Z ", *(line[i : i + 8192] for i in range(0, len(line), 8192))]
    assert await parts(Printed(*pieces)) == [("2026-01-01T00:00:00.100000000Z", line)]


async def test_what_came_earlier_in_the_second_is_left_out() -> None:
    text = b"".join(b"2026-01-01T00:00:05.%dZ %d\n" % (i, i) for i in range(1, 4))
    printed = Printed(text)
    found = await parts(printed, "2026-01-01T00:00:05.200000000Z")
    assert [data for _, data in found] == [b"2\n", b"3\n"]
    (asked,) = printed.asked
    assert asked["sinceTime"] == "2026-01-01T00:00:05Z"
    assert dt.datetime.fromisoformat(asked["sinceTime"]).microsecond == 0
    assert asked["follow"] == asked["timestamps"] == "true"


async def test_nothing_printed_is_nothing() -> None:
    assert await parts(Printed()) == []
