"""The agent of a node: makes the node's mounts what the runner says they are to be."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from dataclasses import dataclass, field
from typing import Any

from kpl_lab.engines.kubernetes.agent.gateway import AGAIN, Gateway, Link, Refused
from kpl_lab.engines.kubernetes.node.cache import Cache, Progress, Withdrawn
from kpl_lab.engines.kubernetes.node.config import NodeConfig
from kpl_lab.engines.kubernetes.node.marks import Marks
from kpl_lab.engines.kubernetes.node.mounts import CannotMount, Mounts, Shown
from kpl_lab.engines.kubernetes.node.report import NodeReport, Showing, State
from kpl_lab.errors import EngineError
from kpl_lab.retry import backoff
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)

Wanted = dict[str, dict[str, str]]
# The runner takes an agent that says nothing for longer for one that is away.
BEAT_SECONDS = 5.0
_FETCHING_PAUSE, _PAUSE = 0.5, 2.0
_AT_ONCE = 3
# After so many tries that the gate answered, and that brought no further byte, it is given up.
_IDLE_TRIES = 5


@dataclass
class _Fetch:
    """A version on its way; with an ``error`` it will not come while it is wanted."""

    progress: Progress = field(default_factory=Progress)
    error: str = ""
    task: asyncio.Task[None] | None = None


class NodeAgent:
    """One node's agent.

    Parameters
    ----------
    pod
        Name of its own pod.
    """

    def __init__(self, config: NodeConfig, pod: str) -> None:
        self._marks = Marks(config.marks)
        self._gateway = Gateway(config, pod)
        self._cache = Cache(config.cache, config.cache_bytes)
        self._cache.open()
        self._mounts = Mounts(config.pods, config.cache)
        self._mounts.clear()
        self._link = Link(self._gateway, lambda: self._report.plain(), self._obey)
        self._report = NodeReport(cache=self._facts())
        self._heard = 0
        self._wanted: Wanted | None = None
        self._fetches: dict[str, _Fetch] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()  # what is wanted is not put aside meanwhile
        self._woken = asyncio.Event()
        self._is_over = False

    async def run(self) -> None:
        """Work until asked to end; what is shown stays, for the next agent of this node."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        link = asyncio.create_task(self._link.run(BEAT_SECONDS))
        try:
            while not self._is_over:
                self._woken.clear()
                await self._look()
                self._marks.set(is_linked=self._link.is_up)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FETCHING_PAUSE if self._fetches else _PAUSE):
                        await self._woken.wait()
        finally:
            # Threads that fetch end when nobody wants what they bring.
            self._is_over = True
            link.cancel()

    def _end(self) -> None:
        self._is_over = True
        self._woken.set()

    def _obey(self, order: dict[str, Any]) -> None:
        """Take what is to be shown on this node from now on: all of it."""
        if order["do"] == "show":
            self._heard, self._wanted = int(order["id"]), order["pods"]
            self._woken.set()

    async def _look(self) -> None:
        """Bring the mounts to what is wanted, as far as that goes now, and tell how far it went."""
        heard, wanted = self._heard, self._wanted
        try:
            pods = await asyncio.to_thread(self._bring, wanted)
        except OSError as error:
            log.warning("the node's mounts: %s", error)
            return
        self._fetch_missing(wanted or {}, pods)
        report = NodeReport(heard, pods, self._report.cache)
        if report != self._report:
            self._report = report
            self._link.tell()

    # --- mounts -------------------------------------------------------------------------------------

    def _bring(self, wanted: Wanted | None) -> dict[str, dict[str, Showing]]:
        """Take away what is not wanted and show what is; before an order only the first of it."""
        there: dict[tuple[str, str], Shown] = {}
        for one in self._mounts.shown():
            if self._stays(one, wanted) and (one.uid, one.name) not in there:
                there[one.uid, one.name] = one
            else:
                self._hide(one)
        if wanted is None:
            # A runner that has lost its notes learns from this what it had asked for.
            wanted = {}
            for one in there.values():
                wanted.setdefault(one.uid, {})[one.name] = one.version
        return {
            uid: {
                name: self._have(uid, name, version, is_shown=(uid, name) in there)
                for name, version in names.items()
            }
            for uid, names in wanted.items()
        }

    def _stays(self, one: Shown, wanted: Wanted | None) -> bool:
        if not one.name or not one.is_read_only or self._mounts.is_going(one.uid):
            return False
        return wanted is None or wanted.get(one.uid, {}).get(one.name) == one.version

    def _hide(self, one: Shown) -> None:
        try:
            self._mounts.hide(one)
        except OSError as error:
            log.warning("%s stays mounted for now: %s", one.mount.point, error)
            return
        log.info("took %s away", one.mount.point)
        with contextlib.suppress(OSError, EngineError):
            self._cache.used(one.version)

    def _have(self, uid: str, name: str, version: str, *, is_shown: bool) -> Showing:
        if is_shown:
            return Showing(State.SHOWN, version)
        try:
            if self._mounts.is_going(uid):
                raise CannotMount(f"This node has no pod {uid}, or it is ending.", code="gone")
            with self._lock:
                if self._cache.has(version):
                    self._mounts.show(uid, name, version)
                    self._cache.used(version)
                    log.info("showed %s as %s in the pod %s", version, name, uid)
                    return Showing(State.SHOWN, version)
        except (EngineError, OSError) as error:
            return Showing(State.FAILED, version, error=str(error))
        fetch = self._fetches.get(version, _Fetch())
        if fetch.error:
            return Showing(State.FAILED, version, error=fetch.error)
        now = fetch.progress
        return Showing(State.FETCHING, version, done=now.done, total=now.total)

    # --- versions -----------------------------------------------------------------------------------

    def _facts(self) -> dict[str, int]:
        sizes = self._cache.sizes()
        return {"bytes": sum(sizes.values()), "limit": self._cache.most, "versions": len(sizes)}

    def _fetch_missing(self, wanted: Wanted, pods: dict[str, dict[str, Showing]]) -> None:
        """Begin to fetch what is missing, and forget what failed and is wanted no more."""
        for version in list(self._fetches):
            if self._fetches[version].error and not _is_in(version, wanted):
                del self._fetches[version]
        for showing in (one for names in pods.values() for one in names.values()):
            if showing.state is State.FETCHING and showing.version not in self._fetches:
                fetch = self._fetches[showing.version] = _Fetch()
                fetch.task = asyncio.create_task(self._fetch(showing.version, fetch))

    async def _fetch(self, version: str, fetch: _Fetch) -> None:
        try:
            await self._until_here(version, fetch)
        except (Refused, EngineError, OSError) as error:
            log.warning("%s does not come: %s", version, error)
            fetch.error = str(error)
        except Exception as error:  # whoever waits for it has to be told, whatever it is
            log.exception("%s does not come", version)
            fetch.error = f"The node agent failed ({type(error).__name__}: {error})."
        if not fetch.error:
            del self._fetches[version]
        self._report.cache = await asyncio.to_thread(self._facts)
        self._woken.set()

    async def _until_here(self, version: str, fetch: _Fetch) -> None:
        """Fetch a version; again while the gate is away and somebody wants it."""

        def is_wanted() -> bool:
            return not self._is_over and _is_in(version, self._wanted or {})

        def make_room(size: int) -> None:
            self._make_room(version, fetch.progress, size)

        most, idle_tries = 0, 0
        for wait in backoff():
            answers = fetch.progress.answers
            try:
                async with self._slots:
                    work = (version, self._gateway, make_room, fetch.progress, is_wanted)
                    await asyncio.to_thread(self._cache.fetch, *work)
            except Withdrawn:
                return
            except AGAIN as error:
                log.warning("%s: %s; trying again", version, error)
                if fetch.progress.answers > answers:
                    idle_tries = 0 if fetch.progress.done > most else idle_tries + 1
                    most = max(most, fetch.progress.done)
                if idle_tries == _IDLE_TRIES:
                    raise EngineError(
                        f"What the platform sends of it breaks off each time ({error}).",
                        code="breaks_off",
                    ) from error
            else:
                return
            await asyncio.sleep(wait)
            if not is_wanted():
                return

    def _make_room(self, version: str, progress: Progress, size: int) -> None:
        with self._lock:
            wanted = (self._wanted or {}).values()
            kept = {one.version for one in self._mounts.shown()}
            kept.update(one for names in wanted for one in names.values())
            coming = [
                one.progress
                for other, one in list(self._fetches.items())
                if other != version and not one.error and not self._cache.has(other)
            ]
            aside = self._cache.make_room(size, kept, coming)
            progress.total = size
        for path in aside:
            log.info("removing %s: room is needed", path.name)
            remove_tree(path)


def _is_in(version: str, wanted: Wanted) -> bool:
    return any(version in names.values() for names in wanted.values())


def main(config: NodeConfig, pod: str) -> None:
    """Run until the pod of the agent ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    log.info("on %s; pods %s, cache %s", config.node, config.pods, config.cache)
    os.umask(0o022)

    async def run() -> None:
        await NodeAgent(config, pod).run()

    asyncio.run(run())
