"""What a replica's supervisor writes down of it; see :mod:`kpl_lab.engines.running.status`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.local.processes import ProcessId
from kpl_lab.engines.running import status
from kpl_lab.engines.running.status import FILE_NAME, now, reserve_room

__all__ = ["FILE_NAME", "Status", "now", "reserve_room"]


@dataclass(kw_only=True)
class Status(status.Status):
    """The present of one replica.

    Attributes
    ----------
    shim, relay
        The processes beside the command, to find them again.
    cgroups
        Folders to be removed with the replica.
    """

    shim: ProcessId | None = None
    relay: ProcessId | None = None
    cgroups: dict[str, str] = field(default_factory=dict)

    @classmethod
    def _revive(cls, found: dict[str, Any]) -> dict[str, Any]:
        for key in ("shim", "relay"):
            found[key] = ProcessId(**found[key]) if found[key] else None
        return found
