"""A ceiling for what the daemon's newer builder runs: it knows none of its own.

The older builder gives each step the limits that it is told. The newer one runs all steps of all
builds in groups below one cgroup (``/docker/buildkit``); this sets the memory of that one to what
the builds that run were promised together. Where the group cannot be written (no root, a daemon
elsewhere, a systemd driver), builds say that their memory is not limited.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

GROUP = "docker/buildkit"
_ROOT = Path("/sys/fs/cgroup")
_NONE = {"memory.limit_in_bytes": "-1", "memory.max": "max"}


@dataclass
class Ceiling:
    """The memory of the newer builder's steps together.

    Parameters
    ----------
    root
        Where the cgroups are.
    """

    root: Path = _ROOT
    _promised: list[int] = field(default_factory=list)

    @contextmanager
    def held(self, memory_bytes: int) -> Iterator[bool]:
        """Make room for one build; gives whether the ceiling holds."""
        self._promised.append(memory_bytes)
        try:
            yield self._set()
        finally:
            self._promised.remove(memory_bytes)
            self._set()

    def times_reached(self) -> int:
        """Return how often the ceiling was in somebody's way; 0 where that is not known."""
        with contextlib.suppress(OSError, ValueError):
            if (group := self._group("memory")) is not None:
                return int((group / "memory.failcnt").read_text())
            if (group := self._group("")) is not None:
                pairs = (
                    line.split() for line in (group / "memory.events").read_text().splitlines()
                )
                return int(dict(pairs).get("oom_kill", 0))
        return 0

    def _group(self, controller: str) -> Path | None:
        place = self.root / controller if controller else self.root
        group = place / GROUP
        name = "memory.limit_in_bytes" if controller else "memory.max"
        return group if (group / name).exists() else None

    def _set(self) -> bool:
        for controller, name in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
            try:
                self._make(controller)
                group = self._group(controller)
                if group is None:
                    continue
                value = str(sum(self._promised)) if self._promised else _NONE[name]
                (group / name).write_text(value)
            except OSError as error:
                log.info("the ceiling of builds cannot be set: %s", error)
            else:
                return True
        return False

    def _make(self, controller: str) -> None:
        """Make the group before the builder does, where its parent is a daemon's already."""
        parent = (self.root / controller / GROUP).parent
        name = "memory.limit_in_bytes" if controller else "memory.max"
        if (parent / name).exists():
            (parent / Path(GROUP).name).mkdir(exist_ok=True)
