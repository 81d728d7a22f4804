"""A container's output as a file: whole, in order, once, whatever is restarted in between.

Whoever keeps the output is asked for what came since a mark, and as many pieces as were kept since then are
skipped. Times are nearly in order: two streams race, and the pieces of a long line all have the
time of its beginning. So a mark is a time that lies a second back and at which no line was open.
``log.position`` holds the mark and the size of the file; what was written after it is written
again, to the same place.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeAlias

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_MARK_AGE = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class LogPart:
    """A piece of output, at most a line; ``time`` is its keeper's, to the nanosecond.

    ``stream`` is 1 or 2. The pieces of a long line all have the time of its beginning.
    """

    time: str
    data: bytes
    stream: int = 1


# Gives the pieces from a time on (that time's too); None: from the beginning.
LogSource: TypeAlias = Callable[[str | None], AsyncGenerator[list[LogPart], None]]


@dataclass
class Mark:
    """A time, and how many pieces of that time or later were kept; None: from the beginning."""

    time: str | None = None
    count: int = 0

    def note(self, part: LogPart) -> None:
        """Count a piece."""
        if self.time is None or part.time >= self.time:
            self.count += 1


@dataclass
class Position:
    """Where a file stands in the keeper's log.

    Attributes
    ----------
    open_lines
        Streams of which a line has begun and not ended.
    run
        Whose output the mark is of, where the keeper keeps each run's by itself.
    """

    mark: Mark = field(default_factory=Mark)
    offset: int = 0
    is_capped: bool = False
    open_lines: list[int] = field(default_factory=list)
    run: str = ""

    @classmethod
    def read(cls, path: Path) -> Position:
        """Return what :meth:`write` has kept; the beginning where there is nothing."""
        try:
            found = json.loads(path.read_text())
            return cls(**{**found, "mark": Mark(**found["mark"])})
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file."""
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(path)


class Marker:
    """Moves the mark of a position on."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._next: Mark | None = None
        self._last = Mark("", 0)
        # How many pieces of the first time were kept earlier is not known: it makes no mark.
        self._first: str | None = None

    def note(self, parts: list[LogPart]) -> None:
        """Count pieces that were kept."""
        position = self._position
        self._first = self._first or parts[0].time
        for part in parts:
            position.mark.note(part)
            if self._next is not None:
                self._next.note(part)
            if self._last.time is None or part.time > self._last.time:
                self._last = Mark(part.time, 1)
            elif part.time == self._last.time:
                self._last.count += 1
            if part.stream in position.open_lines:
                position.open_lines.remove(part.stream)
            if not part.data.endswith(b"\n"):
                position.open_lines.append(part.stream)
        if not position.open_lines and self._last.time != self._first:
            self._move()

    def _move(self) -> None:
        if self._next is None or self._next.time is None:
            self._next = Mark(self._last.time, self._last.count)
        elif _moment(self._last.time) - _moment(self._next.time) >= _MARK_AGE:
            self._position.mark = self._next
            self._next = Mark(self._last.time, self._last.count)


def _moment(text: str | None) -> dt.datetime:
    return dt.datetime.fromisoformat(text or "")


class LogFile:
    """The log of one replica.

    Parameters
    ----------
    path
        The file.
    max_bytes
        Where it ends; the rest is dropped and the last line says so.
    gid
        Group that may read the file.
    """

    def __init__(self, path: Path, *, max_bytes: int, gid: int) -> None:
        self.is_full_disk = False
        self._place = path.with_name("log.position")
        self._max_bytes = max_bytes
        self._position = Position.read(self._place)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if os.geteuid() == 0:
            os.fchown(self._fd, 0, gid)

    @property
    def size(self) -> int:
        """How many bytes were kept."""
        return self._position.offset

    async def take(self, source: LogSource, run: str = "") -> None:
        """Take what a source gives and we do not have; errors of the source go through.

        Parameters
        ----------
        run
            Whose output it is, where a source has one run's alone: of another all is taken.
        """
        if self._position.is_capped:
            return
        if self._position.run != run:
            self._position.run, self._position.mark = run, Mark()
            self._position.open_lines.clear()
        mark, marker = self._position.mark, Marker(self._position)
        skip = mark.count
        stream = source(mark.time)
        async with contextlib.aclosing(stream):
            async for parts in stream:
                fresh = parts[skip:]
                skip = max(0, skip - len(parts))
                if not self._keep(fresh, marker) or self._position.is_capped:
                    return

    def _keep(self, parts: list[LogPart], marker: Marker) -> bool:
        """Write pieces down; False when there was no room, and they are to be asked for again."""
        if not parts:
            return True
        if not self._write(self._cut(b"".join(part.data for part in parts))):
            return False
        marker.note(parts)
        self._save()
        return True

    def append(self, data: bytes) -> None:
        """Add what no container has printed."""
        if not self._position.is_capped and self._write(self._cut(data)):
            self._save()

    def note(self, text: str) -> None:
        """Add a line of our own."""
        self.append(f"[kpl] {text}\n".encode())

    def last_line(self) -> str:
        """Return the last line."""
        size = os.fstat(self._fd).st_size
        data = os.pread(self._fd, 4096, max(0, size - 4096))
        return data.decode("utf-8", "replace").strip().rpartition("\n")[2]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _cut(self, data: bytes) -> bytes:
        room = self._max_bytes - self._position.offset
        if len(data) <= room:
            return data
        self._position.is_capped = True
        whole = data[: max(0, room)].rpartition(b"\n")
        return whole[0] + whole[1] + self._end()

    def _end(self) -> bytes:
        return (
            f"[kpl] The log ends here: it has reached its limit of {self._max_bytes} bytes; the "
            "program goes on and its further output is dropped.\n"
        ).encode()

    def _write(self, data: bytes) -> bool:
        try:
            os.pwrite(self._fd, data, self._position.offset)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self.is_full_disk = True
            return False
        self._position.offset += len(data)
        return True

    def _save(self) -> None:
        try:
            self._position.write(self._place)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self.is_full_disk = True
