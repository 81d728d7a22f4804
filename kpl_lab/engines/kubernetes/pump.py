"""The output of a replica's pods, into its log file."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kpl_lab.engines.kubernetes.cluster import Cluster
from kpl_lab.engines.kubernetes.names import COMMAND_CONTAINER
from kpl_lab.engines.kubernetes.output import output
from kpl_lab.engines.kubernetes.words import Missing, Refused
from kpl_lab.engines.running.logfile import LogFile
from kpl_lab.errors import Unavailable
from kpl_lab.retry import backoff

_REFUSALS_MAX = 10


class Pump:
    """Follows one run after the other: each start of each pod of a replica is one.

    Parameters
    ----------
    on_through
        Called when all of a run was taken.
    """

    def __init__(self, log: LogFile, cluster: Cluster, on_through: Callable[[], None]) -> None:
        self._log = log
        self._cluster = cluster
        self._on_through = on_through
        self._run = ""
        self._task: asyncio.Task[None] | None = None

    def look(self, pod: Mapping[str, Any]) -> None:
        """Follow what runs, or has run last, in a pod; no-op when that is followed already."""
        run = run_of(pod)
        if run and run != self._run:
            self._run = run
            name = str(pod["metadata"]["name"])
            self._task = asyncio.create_task(self._follow(name, run, self._task))
            self._task.add_done_callback(lambda _: self._on_through())

    @property
    def is_through(self) -> bool:
        """Whether all that there is was taken."""
        return self._task is None or self._task.done()

    def note(self, text: str) -> None:
        """Add a line of our own."""
        self._log.note(text)

    async def close(self) -> None:
        """Let go of the file; the mark stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._log.close()

    async def _follow(self, pod: str, run: str, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        source = partial(output, self._cluster, pod, follow=True)
        refused = 0
        for wait in backoff(max_seconds=2.0):
            try:
                await self._log.take(source, run)
                if not self._log.is_full_disk:
                    return
            except Missing:
                return  # the pod has gone, and its log with it
            except Refused:
                # It has hardly begun, or its files were cleared away.
                refused += 1
                if refused > _REFUSALS_MAX:
                    return
            except Unavailable:
                pass
            await asyncio.sleep(wait)


def run_of(pod: Mapping[str, Any]) -> str:
    """Name one start of the command of a pod; empty before the first."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        if one.get("name") == COMMAND_CONTAINER and one.get("containerID"):
            with contextlib.suppress(KeyError):
                return f"{pod['metadata']['uid']}/{one.get('restartCount', 0)}"
    return ""
