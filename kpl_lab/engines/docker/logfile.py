"""A container's output as a file: whole, in order, once, whatever is restarted in between.

The daemon's log is asked from the time of the last piece that was kept. Pieces may have the same
time, so it is also counted how many of that time are in the file. ``log.position`` holds both and
the size of the file they lead to: what was written after it is written again, to the same place.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kpl_lab.engines.docker.daemon import Daemon, LogPart

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class _Position:
    """Where the file stands in the daemon's log."""

    time: str | None = None
    count: int = 0
    offset: int = 0
    is_capped: bool = False


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
        self._position = self._read()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if os.geteuid() == 0:
            os.fchown(self._fd, 0, gid)

    def _read(self) -> _Position:
        try:
            return _Position(**json.loads(self._place.read_text()))
        except (OSError, ValueError, TypeError):
            return _Position()

    @property
    def is_capped(self) -> bool:
        """Whether it takes no more."""
        return self._position.is_capped

    async def follow(self, daemon: Daemon, container: str) -> None:
        """Take what the container prints until it ends.

        Raises
        ------
        DaemonGone
            The daemon has gone; to be called again.
        EngineError
            There is no such container any more.
        """
        await self._take(daemon, container, follow=True)

    async def catch_up(self, daemon: Daemon, container: str) -> None:
        """Take what the daemon has kept and we have not."""
        await self._take(daemon, container, follow=False)

    async def _take(self, daemon: Daemon, container: str, *, follow: bool) -> None:
        since, skip = self._position.time, self._position.count
        stream = daemon.log(container, since=since, follow=follow)
        async with contextlib.aclosing(stream):
            async for parts in stream:
                known = sum(1 for part in parts[:skip] if part.time == since)
                skip -= known
                if not self._keep(parts[known:]) or self.is_capped:
                    return

    def _keep(self, parts: list[LogPart]) -> bool:
        """Write pieces down; False when there was no room, and they are to be asked for again."""
        if not parts:
            return True
        if not self._write(self._cut(b"".join(part.data for part in parts))):
            return False
        position, last = self._position, parts[-1].time
        same = sum(1 for part in parts if part.time == last)
        position.count = position.count + same if last == position.time else same
        position.time = last
        self._save()
        return True

    def append(self, data: bytes) -> None:
        """Add what no container has printed."""
        if not self.is_capped and self._write(self._cut(data)):
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
        fresh = self._place.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(asdict(self._position)))
            fresh.replace(self._place)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            self.is_full_disk = True
