"""An append-only queue on disk: what was accepted survives until it was delivered.

The file holds one JSON object a line. A record's number is the byte offset at which it starts, so
the name ``<instance>:<offset>`` of a delivery is the same after any restart and the receiver can
ignore a repeated one.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_RECORD_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Record:
    """One accepted message: its place in the queue, the place after it, and what it says."""

    offset: int
    end: int
    message: dict[str, Any]


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
        self._file = self._records.open("ab")
        self._drop_torn_tail()

    @staticmethod
    def _keep_instance(path: Path) -> str:
        if path.exists() and (known := path.read_text().strip()):
            return known
        fresh = secrets.token_hex(6)
        path.write_text(fresh)
        return fresh

    def _drop_torn_tail(self) -> None:
        """Forget a last line that a crash cut short: its sender was never told that it is kept."""
        data = self._records.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            self._file.truncate(whole)
            self._file.seek(whole)

    def append(self, message: dict[str, Any]) -> None:
        """Keep ``message``; when this returns it is in the file.

        Raises
        ------
        OSError
            No room on the disk.
        """
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._grown:
            self._file.write(line)
            self._file.flush()
            self._grown.notify_all()

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
            if self._file.tell() <= offset:
                self._grown.wait(wait_seconds)
            if self._file.tell() <= offset:
                return None
        with self._records.open("rb") as file:
            file.seek(offset)
            line = file.readline(MAX_RECORD_BYTES)
        return Record(offset, offset + len(line), json.loads(line))

    def mark_delivered(self, record: Record) -> None:
        """Remember that everything up to and with ``record`` has arrived."""
        fresh = self._position.with_suffix(".new")
        fresh.write_text(str(record.end))
        fresh.replace(self._position)

    @property
    def is_empty(self) -> bool:
        """Tell whether everything was delivered."""
        return self.delivered >= self._file.tell()

    def wake(self) -> None:
        """Let a waiting reader look again."""
        with self._grown:
            self._grown.notify_all()

    def close(self) -> None:
        """Close the file; nothing is lost."""
        self._file.close()
