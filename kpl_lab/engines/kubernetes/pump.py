"""The output of a replica's pods, into its log file."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
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
_REFUSED_SECONDS = 2.0
# Between tries while a node does not answer; the second where the end of a replica waits for them.
_AWAY_SECONDS = 15.0
_HURRY_SECONDS = 2.0
# A stream that has ended before its container is asked for again, not sooner than this: a container that
# is started again is known as another run by then.
_ENDED_SECONDS = 1.0
# Between tries while the API server is away and nobody has met it again.
_ABSENCE_SECONDS = 60.0
# All logs are asked for again when the API server is back: spread over so long.
_SPREAD_SECONDS = 2.0


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
        # Set as soon as the run that is followed is over.
        self._over = asyncio.Event()

    def look(self, pod: Mapping[str, Any]) -> None:
        """Follow what runs, or has run last, in a pod; no-op when that is followed already."""
        run = run_of(pod)
        if run and run != self._run:
            self._run, self._over = run, asyncio.Event()
            name = str(pod["metadata"]["name"])
            self._task = asyncio.create_task(self._follow(name, run, self._over, self._task))
            self._task.add_done_callback(lambda _: self._on_through())
        if run and not _runs(pod):
            self._over.set()

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

    async def _follow(
        self, pod: str, run: str, over: asyncio.Event, before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        source = partial(output, self._cluster, pod, follow=True)
        refused, taken = 0, self._log.size
        soon, later = _waits()
        while run == self._run:
            was_over = over.is_set()
            try:
                await self._log.take(source, run)
                if was_over and not self._log.is_full_disk:
                    return
                # Also one that a node or the API server has cut ends like this.
                wait = max(next(later), _ENDED_SECONDS)
            except Missing:
                return  # the pod has gone, and its log with it
            except Refused:
                # It has hardly begun, or its files were cleared away.
                refused += 1
                if refused > _REFUSALS_MAX:
                    return
                wait = next(soon)
            except Unavailable:
                wait = await self._absence() or next(later)
            if self._log.size > taken:
                refused, taken = 0, self._log.size
                soon, later = _waits()
            await self._pause(over, wait)

    async def _pause(self, over: asyncio.Event, seconds: float) -> None:
        """Wait; not for long where the run is over, or as soon as it is."""
        if over.is_set():
            await asyncio.sleep(min(seconds, _HURRY_SECONDS))
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await over.wait()

    async def _absence(self) -> float:
        """Wait while the API server is away; return how much longer, so that not all come at once.

        Whoever follows objects asks for it meanwhile.
        """
        if self._cluster.is_answering:
            return 0.0
        await self._cluster.answering(_ABSENCE_SECONDS)
        return random.uniform(0.0, _SPREAD_SECONDS)  # noqa: S311 (spreads load)


def _waits() -> tuple[Iterator[float], Iterator[float]]:
    """Return how long to wait after refusals, and after silence."""
    return backoff(max_seconds=_REFUSED_SECONDS), backoff(max_seconds=_AWAY_SECONDS)


def run_of(pod: Mapping[str, Any]) -> str:
    """Name one start of the command of a pod; empty before the first."""
    for one in (pod.get("status") or {}).get("containerStatuses") or ():
        if one.get("name") == COMMAND_CONTAINER and one.get("containerID"):
            with contextlib.suppress(KeyError):
                return f"{pod['metadata']['uid']}/{one.get('restartCount', 0)}"
    return ""


def _runs(pod: Mapping[str, Any]) -> bool:
    """Say whether the command of a pod is running."""
    return any(
        one.get("name") == COMMAND_CONTAINER and "running" in (one.get("state") or {})
        for one in (pod.get("status") or {}).get("containerStatuses") or ()
    )
