"""An append-only queue on disk: what was accepted survives until it was delivered.

The file holds one JSON object a line. A record's number is the byte offset at which it starts, so
the name ``<instance>:<offset>`` of a delivery is the same after any restart and the receiver can
ignore a repeated one.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def to_json(value: object) -> bytes:
    """Return a value as JSON of about the size in which it came, lone surrogates included."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace")  # which is how JSON writes them too


@dataclass(frozen=True)
class Record:
    """One accepted message: its place in the queue, the place after it, and what it says.

    ``message`` is None where the line on the disk was damaged and cannot be read.
    """

    offset: int
    end: int
    message: dict[str, Any] | None


class Spool:
    """A queue in ``folder``; one process appends and reads, several threads may append.

    Parameters
    ----------
    folder
        Made when missing; holds ``instance``, ``records`` and ``delivered``.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._records = folder / "records"
        self._position = folder / "delivered"
        self._grown = threading.Condition()
        self.instance = self._keep_instance(folder / "instance")
        # Unbuffered: what could not be written must not be written later, when its sender has
        # been told that it was refused.
        self._file = self._records.open("ab", buffering=0)
        self._end = self._drop_torn_tail()

    @staticmethod
    def _keep_instance(path: Path) -> str:
        if path.exists() and (known := path.read_text().strip()):
            return known
        fresh = secrets.token_hex(6)
        path.write_text(fresh)
        return fresh

    def _drop_torn_tail(self) -> int:
        """Forget a last line that a crash cut short: its sender was never told that it is kept."""
        whole = self._records.read_bytes().rfind(b"\n") + 1
        self._file.truncate(whole)
        return whole

    def append(self, message: dict[str, Any]) -> None:
        """Keep ``message``; when this returns it is in the file, when it raises nothing of it is.

        Raises
        ------
        OSError
            No room on the disk.
        """
        line = to_json(message) + b"\n"
        with self._grown:
            # What an earlier failure may have left; also after a truncation that has failed.
            if os.fstat(self._file.fileno()).st_size != self._end:
                self._file.truncate(self._end)
            try:
                self._write(line)
            except OSError:
                self._file.truncate(self._end)
                raise
            self._end += len(line)
            self._grown.notify_all()

    def _write(self, line: bytes) -> None:
        rest = memoryview(line)
        while rest:
            rest = rest[self._file.write(rest) :]

    @property
    def delivered(self) -> int:
        """Offset up to which everything was delivered."""
        try:
            return int(self._position.read_text() or 0)
        except FileNotFoundError:
            return 0

    def next_after(self, offset: int, *, wait_seconds: float) -> Record | None:
        """Return the record that starts at ``offset``, waiting for one at most so long."""
        with self._grown:
            if self._end <= offset:
                self._grown.wait(wait_seconds)
            if self._end <= offset:
                return None
        with self._records.open("rb") as file:
            file.seek(offset)
            line = file.readline()
        try:
            message = json.loads(line)
        except ValueError as error:
            log.warning("what was accepted at %s cannot be read any more: %s", offset, error)
            message = None
        return Record(offset, offset + max(len(line), 1), message)

    def mark_delivered(self, record: Record) -> None:
        """Remember that everything up to and with ``record`` has arrived."""
        fresh = self._position.with_suffix(".new")
        fresh.write_text(str(record.end))
        fresh.replace(self._position)

    @property
    def is_empty(self) -> bool:
        """Tell whether everything was delivered."""
        return self.delivered >= self._end

    def wake(self) -> None:
        """Let a waiting reader look again."""
        with self._grown:
            self._grown.notify_all()

    def close(self) -> None:
        """Close the file; nothing is lost."""
        self._file.close()
