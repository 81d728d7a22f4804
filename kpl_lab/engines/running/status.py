"""``status.json``: what is known of one replica, written whole and atomically."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from kpl_lab.engines.spec import Cause, Replica, ReplicaState

FILE_NAME = "status.json"
_RESERVE_NAME = "reserve"
_RESERVE_BYTES = 65536


@dataclass(kw_only=True)
class Status:
    """The present of one replica; engines add what they need to find it again.

    Attributes
    ----------
    is_final
        Nothing about it will change any more.
    """

    index: int
    state: ReplicaState = ReplicaState.STARTING
    is_final: bool = False
    address: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    cause: Cause | None = None
    restarts: int = 0
    memory_peak_mb: int | None = None
    cpu_seconds: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the status in a replica's folder; None where there is none.

        Keys that another engine has added are left out.
        """
        try:
            found = json.loads((folder / FILE_NAME).read_text())
        except (OSError, ValueError):
            return None
        found["state"] = ReplicaState(found["state"])
        found["cause"] = Cause(found["cause"]) if found["cause"] else None
        names = {one.name for one in fields(cls)}
        return cls(**cls._revive({key: value for key, value in found.items() if key in names}))

    @classmethod
    def _revive(cls, found: dict[str, Any]) -> dict[str, Any]:
        """Turn plain values of an engine's own fields into its types."""
        return found

    def write(self, folder: Path) -> None:
        """Replace the file; a final status is on the disk when this returns.

        A full disk does not stop it: a reserve was set aside by :func:`reserve_room`.
        """
        try:
            self._write(folder)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            (folder / _RESERVE_NAME).unlink(missing_ok=True)
            self._write(folder)

    def _write(self, folder: Path) -> None:
        fresh = folder / (FILE_NAME + ".new")
        with fresh.open("w") as file:
            json.dump(asdict(self), file)
            file.flush()
            if self.is_final:
                os.fsync(file.fileno())
        fresh.replace(folder / FILE_NAME)

    def replica(self) -> Replica:
        """Return what the engine tells others of it."""
        return Replica(
            index=self.index,
            state=self.state,
            address=self.address,
            started_at=_time(self.started_at),
            ended_at=_time(self.ended_at),
            exit_code=self.exit_code,
            cause=self.cause,
            restarts=self.restarts,
            memory_peak_mb=self.memory_peak_mb,
            cpu_seconds=self.cpu_seconds,
            detail=dict(self.detail),
        )


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)


def now() -> str:
    """Return the present as stored in a status."""
    return dt.datetime.now(dt.UTC).isoformat()


def reserve_room(folder: Path) -> None:
    """Set room aside for later states, which must be written on a full disk too."""
    with contextlib.suppress(OSError), (folder / _RESERVE_NAME).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, _RESERVE_BYTES)
