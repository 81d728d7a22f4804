"""One replica from its plan to its final status: what a supervisor is on the local engine.

Everything is looked up in Docker before it is done, so that a life can begin anew at any moment: in
a runner that was restarted, or when the daemon has come back. It goes on by events; clocks serve
limits, health checks and grace alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from kpl_lab.engines.docker.ceiling import Ceiling
from kpl_lab.engines.docker.daemon import Daemon, DaemonGone, Event, NoImage, to_its_end
from kpl_lab.engines.docker.following import Following, Subject, time_of
from kpl_lab.engines.docker.ledger import Entry, Status
from kpl_lab.engines.docker.names import Role
from kpl_lab.engines.docker.network import Network
from kpl_lab.engines.docker.plan import command_config
from kpl_lab.engines.docker.planner import Planner
from kpl_lab.engines.docker.registry import Sending
from kpl_lab.engines.docker.sidecar import sidecars
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.running.ends import Ending, cause_of, exit_code_of
from kpl_lab.engines.running.logfile import LogFile
from kpl_lab.engines.running.prepare import prepare
from kpl_lab.engines.running.rules import has_little_room, may_try_again, restart_wait
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause, ReplicaState
from kpl_lab.errors import EngineError
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LOG_SECONDS = 5.0
_EVENT_SECONDS = 1.0
_DRAIN_LOOK_SECONDS = 30.0
_NEVER = "0001-01-01"


@dataclass(frozen=True)
class Tools:
    """What all lives of an installation share."""

    daemon: Daemon
    planner: Planner
    network: Network
    publish: Callable[[Entry], None]
    ceiling: Ceiling = field(default_factory=Ceiling)
    sending: Sending = field(default_factory=Sending)


class Life:
    """One replica."""

    def __init__(self, entry: Entry, index: int, tools: Tools) -> None:
        self._entry, self._tools = entry, tools
        self._daemon = tools.daemon
        self._place = entry.place(index)
        self._status = entry.statuses.setdefault(index, Status(index=index))
        self._plan = tools.planner.plan(entry.workload, index, self._status.gpus)
        self._installation = tools.planner.installation
        self._name = self._plan.address.container(self._installation)
        self._log = LogFile(
            self._place.log, max_bytes=self._plan.log_bytes, gid=self._plan.platform_gid
        )
        image = tools.planner.options.base_image
        self._sidecars = sidecars(
            self._plan, self._place, image=image, installation=self._installation
        )
        self._woken = asyncio.Event()
        self._is_over = self._status.is_final
        self._subject = Subject(
            container=self._name,
            daemon=self._daemon,
            plan=self._plan,
            place=self._place,
            status=self._status,
            log=self._log,
            woken=self._woken,
            save=self._save,
        )
        self._run: Following | None = None

    def wake(self) -> None:
        """Look at what was asked for."""
        self._woken.set()

    def look(self) -> None:
        """Ask Docker how it stands: events may have been missed."""
        if self._run is not None:
            self._run.look(is_gap=True)
        self._woken.set()

    def tell(self, event: Event) -> None:
        """Take an event of the command's container."""
        if self._run is not None:
            self._run.tell(event)
        self._woken.set()

    def tell_beside(self, role: Role, event: Event) -> None:
        """Take an event of a container beside the command."""
        for sidecar in self._sidecars:
            if sidecar.role is role and event.action in ("die", "destroy"):
                sidecar.has_ended()

    async def run(self) -> None:
        """Live until everything is told and the relay has delivered."""
        try:
            for wait in backoff(max_seconds=2.0):
                try:
                    await self._live()
                    await self._finish()
                except (DaemonGone, EngineError) as error:
                    log.info("%s waits: %s", self._name, error.message)
                    if self._run is not None and isinstance(error, DaemonGone):
                        self._run.is_unseen = True
                    await asyncio.sleep(wait)
                else:
                    return
        finally:
            for sidecar in self._sidecars:
                await sidecar.close()
            self._log.close()

    async def _live(self) -> None:
        """Go on from wherever it stands until the command has ended for good."""
        while not self._is_over:
            try:
                self._is_over = await self._go_on()
            except _CannotStartError as error:
                self._note_failure(error.reason)
                self._is_over = self._status.started_at is None or not self._shall_restart()
                if not self._is_over:
                    self._is_over = await self._wait_before_restart()

    async def _go_on(self) -> bool:
        """Take the next step; True when it was the last."""
        info = await self._daemon.inspect(self._name)
        if info is not None and info["State"]["Running"]:
            await self._follow(info)
        elif info is not None and not info["State"]["StartedAt"].startswith(_NEVER):
            await self._note_end(info)
            if not self._shall_restart() or await self._wait_before_restart():
                return True
            await self._start()
        elif self._is_stopped() or (info is None and self._has_vanished()):
            return True
        elif info is None:
            await self._make()
        else:
            await self._start()
        return False

    def _grace_asked(self) -> float | None:
        return self._place.grace_asked(self._plan.timing.grace)

    def _is_stopped(self) -> bool:
        """Say whether it was asked to stop while nothing runs, which is its end."""
        if self._grace_asked() is None:
            return False
        self._note(Doom(Cause.STOPPED))
        return True

    def _has_vanished(self) -> bool:
        """Say whether there was a container; a service gets another one."""
        if self._status.container is None:
            return False
        if self._plan.kind == "service":
            self._status.restarts += 1
            self._status.state = ReplicaState.STARTING
            return False
        run = self._run
        is_seen = run is not None and run.has_ended and not run.is_unseen
        self._note(Doom(Cause.KILLED if is_seen else Cause.LOST))
        return True

    async def _start(self) -> None:
        with _starting():
            for sidecar in self._sidecars:
                await sidecar.reset(self._daemon)
            await self._daemon.start(self._name)

    async def _make(self) -> None:
        """Make folders and container."""
        plan, place = self._plan, self._place
        config = command_config(plan, place, self._installation)
        with _starting():
            self._tools.planner.check(self._entry.workload)
            await asyncio.to_thread(prepare, plan, place)
            for sidecar in self._sidecars:
                await asyncio.to_thread(sidecar.prepare)
            await self._tools.network.make(self._entry.workload)
            await self._tools.sending.free(self._plan.image)
            try:
                id = await to_its_end(self._daemon.create(self._name, config))
            except NoImage:
                await self._pull()
                id = await to_its_end(self._daemon.create(self._name, config))
        self._status.container = id
        self._save()

    async def _pull(self) -> None:
        """Get the image; its progress is told in the log and in the detail."""
        image = self._plan.image
        if not self._tools.planner.options.pull:
            raise NoImage(
                f"The image {image} is not on this machine, and pulling is off.", code="no_image"
            )
        self._log.note(f"pulling {image}")
        layers: dict[str, str] = {}
        async with contextlib.aclosing(
            self._daemon.pull(image, self._entry.workload.login)
        ) as stream:
            async for item in stream:
                said = str(item.get("status"))
                layer = item.get("id")
                if layer is None or said.startswith("Pulling from") or layers.get(layer) == said:
                    continue
                layers[layer] = said
                done = sum(one in ("Pull complete", "Already exists") for one in layers.values())
                self._status.detail["pull"] = {"done": done, "total": len(layers)}
                self._save()
        self._status.detail.pop("pull", None)

    async def _follow(self, info: dict[str, Any]) -> None:
        """Be with the command until it has ended, and take its last words."""
        run = self._run = Following(self._subject, info)
        pump = asyncio.create_task(self._pump())
        # A log ends with its container: a second way to learn of an end, should an event be lost.
        pump.add_done_callback(lambda _: self._look_soon(run))
        try:
            with _starting():
                for sidecar in self._sidecars:
                    await sidecar.start(self._daemon, self._name)
            while not run.has_ended:
                await run.step()
            await asyncio.wait({pump}, timeout=_LOG_SECONDS)
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            run.close()

    def _look_soon(self, run: Following) -> None:
        def look() -> None:
            run.look()
            self._woken.set()

        asyncio.get_running_loop().call_later(_EVENT_SECONDS, look)

    async def _pump(self) -> None:
        """Follow the log until the container has ended."""
        for wait in backoff(max_seconds=2.0):
            with contextlib.suppress(EngineError, DaemonGone):
                await self._log.take(partial(self._daemon.log, self._name, follow=True))
                if not self._log.is_full_disk:
                    return
            await asyncio.sleep(wait)

    async def _note_end(self, info: dict[str, Any]) -> None:
        """Write down how a run has ended."""
        state, status, run = info["State"], self._status, self._run
        await self._log.take(partial(self._daemon.log, self._name, follow=False))
        status.started_at = time_of(state["StartedAt"])
        # Docker notes a start when it is through with it: the shortest runs have ended before.
        status.ended_at = max(time_of(state["FinishedAt"]), status.started_at)
        status.exit_code = exit_code_of(int(state["ExitCode"]))
        has_oom_kills = run is not None and run.oom_kills > 0
        end = Ending(
            exit_code=status.exit_code,
            doom=(run.doom if run else None) or self._doom_unseen(),
            limit_mb=self._plan.limits.memory_mb,
            is_short_of_memory=bool(state["OOMKilled"]) or has_oom_kills,
            is_disk_full=self._log.is_full_disk or has_little_room(self._place.root),
            is_foreign=run is not None and run.is_foreign,
            is_unseen=run is not None and run.is_unseen,
            last_line=self._log.last_line(),
        )
        found = cause_of(end)
        status.cause = found.cause
        status.detail |= found.detail

    def _doom_unseen(self) -> Doom | None:
        """Return why an earlier runner has ended it, where we cannot remember."""
        status, limit = self._status, self._plan.timing.time_limit
        if self._grace_asked() is not None:
            return Doom(Cause.STOPPED)
        if limit is None or status.exit_code == 0 or not status.started_at or not status.ended_at:
            return None
        started, ended = map(dt.datetime.fromisoformat, (status.started_at, status.ended_at))
        is_over = (ended - started).total_seconds() > limit
        return Doom(Cause.TIME_LIMIT, {"limit_seconds": limit}) if is_over else None

    def _shall_restart(self) -> bool:
        if self._plan.kind != "service" or self._grace_asked() is not None:
            return False
        was_ready = self._run is not None and self._run.was_ready
        tries = self._plan.timing.restarts_max
        return may_try_again(self._status, was_ready=was_ready, restarts_max=tries)

    async def _wait_before_restart(self) -> bool:
        """Wait; True when it was asked to stop meanwhile, which is its end."""
        status = self._status
        status.restarts += 1
        wait = restart_wait(status, self._plan.timing)
        self._log.note(f"ended ({status.cause}, exit code {status.exit_code}); restart in {wait} s")
        status.state, status.cause = ReplicaState.STARTING, None
        status.detail["restart_in_seconds"] = wait
        self._save()
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0 and self._grace_asked() is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._woken.wait()
            self._woken.clear()
        status.detail.pop("restart_in_seconds", None)
        return self._is_stopped()

    def _note(self, doom: Doom) -> None:
        """Write down an end of which Docker says nothing."""
        self._status.cause = doom.cause
        self._status.detail |= doom.detail
        self._status.ended_at = statuses.now()

    def _note_failure(self, error: EngineError | OSError) -> None:
        text = error.message if isinstance(error, EngineError) else str(error)
        is_full = isinstance(error, OSError) and error.errno in _NO_ROOM
        is_full = is_full or "no space left on device" in text
        self._note(Doom(Cause.DISK_FULL if is_full else Cause.START_FAILED, {"error": text}))
        self._log.note(f"could not be started: {text}")

    async def _finish(self) -> None:
        """Make the end known, durably, and only then let the container go."""
        status, daemon = self._status, self._daemon
        for sidecar in self._sidecars:
            await sidecar.stop(daemon)
        if not status.is_final:
            for sidecar in self._sidecars:
                await sidecar.wait(daemon, self._plan.timing.relay_wait)
            status.state, status.is_final = ReplicaState.EXITED, True
            self._save()
        await daemon.remove(self._name)
        for sidecar in self._sidecars:
            while not await sidecar.wait(daemon, _DRAIN_LOOK_SECONDS):
                pass

    def _save(self) -> None:
        try:
            self._status.write(self._place.root)
        except OSError as error:
            if error.errno not in _NO_ROOM or self._status.is_final:
                raise
        self._tools.publish(self._entry)


class _CannotStartError(Exception):
    """What was tried to start it has failed; trying again would fail again."""

    def __init__(self, reason: EngineError | OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    try:
        yield
    except (EngineError, OSError) as error:
        raise _CannotStartError(error) from error
