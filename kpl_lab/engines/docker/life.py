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
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.docker import ports, vitals
from kpl_lab.engines.docker.daemon import Daemon, DaemonGone, Event, NoImage
from kpl_lab.engines.docker.ends import Ending, cause_of, exit_code_of, memory_numbers
from kpl_lab.engines.docker.ledger import Entry, Status
from kpl_lab.engines.docker.logfile import LogFile
from kpl_lab.engines.docker.network import Network
from kpl_lab.engines.docker.plan import command_config
from kpl_lab.engines.docker.planner import Planner
from kpl_lab.engines.docker.sidecar import Sidecar
from kpl_lab.engines.running import status as statuses
from kpl_lab.engines.running.prepare import prepare
from kpl_lab.engines.running.rules import has_little_room, may_try_again, restart_wait
from kpl_lab.engines.running.service_watch import Doom, ServiceWatch
from kpl_lab.engines.spec import Cause, ReplicaState
from kpl_lab.errors import EngineError
from kpl_lab.retry import backoff

log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LOG_SECONDS = 5.0
_KILL_AGAIN_SECONDS = 5.0
_DRAIN_LOOK_SECONDS = 30.0
_PAUSE_SECONDS = 5.0
_NEVER = "0001-01-01"


@dataclass(frozen=True)
class Tools:
    """What all lives of an installation share."""

    daemon: Daemon
    planner: Planner
    network: Network
    publish: Callable[[Entry], None]


class Life:
    """One replica."""

    def __init__(self, entry: Entry, index: int, tools: Tools) -> None:
        self._entry, self._index, self._tools = entry, index, tools
        self._daemon = tools.daemon
        self._place = entry.place(index)
        self._status = entry.statuses.setdefault(index, Status(index=index))
        self._plan = tools.planner.plan(entry.workload, index, self._status.gpus)
        self._installation = tools.planner.installation
        self._name = self._plan.address.container(self._installation)
        self._log = LogFile(
            self._place.log, max_bytes=self._plan.log_bytes, gid=self._plan.platform_gid
        )
        self._sidecar = self._make_sidecar()
        self._woken = asyncio.Event()
        self._must_look = False
        self._is_over = self._status.is_final
        self._begin_run()

    def _make_sidecar(self) -> Sidecar | None:
        if self._plan.relay is None:
            return None
        image = self._tools.planner.options.base_image
        return Sidecar(
            self._daemon, self._plan, self._place, installation=self._installation, image=image
        )

    def _begin_run(self) -> None:
        self._has_ended = False
        self._doom: Doom | None = None
        self._kill_at: float | None = None
        self._asked_grace: float | None = None
        self._watch: ServiceWatch | None = None
        self._oom_kills = 0
        self._is_foreign = False
        self._is_unseen = False
        self._started_nanoseconds = 0
        self._next_measure, self._measure_wait = time.monotonic() + 1.0, 1.0

    def wake(self) -> None:
        """Look at what was asked for."""
        self._woken.set()

    def look(self) -> None:
        """Ask Docker how it stands: events may have been missed."""
        self._must_look = True
        self._woken.set()

    def tell(self, event: Event) -> None:
        """Take an event of the command's container."""
        if event.nanoseconds < self._started_nanoseconds:
            return  # of an earlier run
        if event.action in ("die", "destroy"):
            self._has_ended = True
        elif event.action == "oom":
            self._oom_kills += 1
        elif event.action == "kill" and self._doom is None:
            self._is_foreign = True
        self._woken.set()

    def tell_relay(self, event: Event) -> None:
        """Take an event of the relay's container."""
        if event.action in ("die", "destroy") and self._sidecar is not None:
            self._sidecar.has_ended()

    async def run(self) -> None:
        """Live until everything is told and the relay has delivered."""
        try:
            for wait in backoff(max_seconds=2.0):
                try:
                    if not self._is_over:
                        await self._live()
                        self._is_over = True
                    await self._finish()
                except _CannotStartError as error:
                    self._fail(error.reason)
                    if self._shall_return():
                        self._is_over = False
                        await self._wait_before_restart()
                except (DaemonGone, EngineError) as error:
                    log.info("%s waits: %s", self._name, error.message)
                    await asyncio.sleep(wait)
                else:
                    return
        finally:
            if self._sidecar is not None:
                await self._sidecar.close()
            self._log.close()

    async def _live(self) -> None:
        """Go on from wherever it stands until the command has ended for good."""
        while True:
            info = await self._daemon.inspect(self._name)
            if info is not None and info["State"]["Running"]:
                await self._follow(info)
            elif info is not None and not info["State"]["StartedAt"].startswith(_NEVER):
                await self._note_end(info)
                if not self._shall_restart():
                    return
                await self._wait_before_restart()
                if self._is_stopped():
                    return
                await self._start()
            elif self._is_stopped() or (info is None and self._has_vanished()):
                return
            elif info is None:
                await self._make()
            else:
                await self._start()

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
            return False
        is_seen = self._is_foreign or (self._has_ended and not self._is_unseen)
        self._note(Doom(Cause.KILLED if is_seen else Cause.LOST))
        return True

    async def _start(self) -> None:
        with _starting():
            await self._daemon.start(self._name)

    async def _make(self) -> None:
        """Make folders and container."""
        plan, place = self._plan, self._place
        config = command_config(plan, place, self._installation)
        with _starting():
            self._tools.planner.check(self._entry.workload)
            await asyncio.to_thread(prepare, plan, place)
            if self._sidecar is not None:
                await asyncio.to_thread(self._sidecar.prepare)
            await self._tools.network.make()
            try:
                id = await self._create(config)
            except NoImage:
                await self._pull()
                id = await self._create(config)
        self._status.container = id
        self._save()

    async def _create(self, config: dict[str, Any]) -> str:
        """Create the container; a call that was cut short would leave one behind."""
        making = asyncio.ensure_future(self._daemon.create(self._name, config))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait({making})
            raise

    async def _pull(self) -> None:
        """Get the image; its progress is told in the log and in the detail."""
        if not self._tools.planner.options.pull:
            raise NoImage(
                f"The image {self._plan.image} is not on this machine, and pulling is off.",
                code="no_image",
            )
        self._log.note(f"pulling {self._plan.image}")
        layers: dict[str, str] = {}
        async with contextlib.aclosing(self._daemon.pull(self._plan.image)) as stream:
            async for item in stream:
                if "id" not in item or layers.get(item["id"]) == item.get("status"):
                    continue
                layers[item["id"]] = str(item.get("status"))
                done = sum(
                    1 for said in layers.values() if said in ("Pull complete", "Already exists")
                )
                self._status.detail["pull"] = {"done": done, "total": len(layers)}
                self._save()
        self._status.detail.pop("pull", None)

    async def _follow(self, info: dict[str, Any]) -> None:
        """Be with the command until it has ended, and take its last words."""
        self._note_start(info)
        pump = asyncio.create_task(self._pump())
        try:
            if self._sidecar is not None:
                with _starting():
                    await self._sidecar.start(self._name)
            while not self._has_ended:
                await self._step(info)
                await self._wait(self._pause())
            await asyncio.wait({pump}, timeout=_LOG_SECONDS)
        finally:
            pump.cancel()
            await asyncio.wait({pump})
            if self._watch is not None:
                self._watch.close()

    def _note_start(self, info: dict[str, Any]) -> None:
        plan, status = self._plan, self._status
        self._begin_run()
        self._started_nanoseconds = _nanoseconds(info["State"]["StartedAt"])
        status.container = info["Id"]
        status.started_at, status.ended_at = _time(info["State"]["StartedAt"]), None
        status.exit_code, status.cause = None, None
        if plan.port is None:
            status.state = ReplicaState.RUNNING
        else:
            host = ports.address_of(info, plan.network)
            status.address = f"{host}:{plan.port}"
            self._listening = ports.Listening(int(info["State"]["Pid"]))
            self._watch = ServiceWatch(
                plan, plan.port, self._listening.all, host=host, state=status.state
            )
        self._save()

    def _pause(self) -> float:
        if self._kill_at is not None:
            return 0.05
        pause = _PAUSE_SECONDS if self._watch is None else self._watch.wait_seconds
        limit = self._plan.timing.time_limit
        if limit is not None:
            pause = min(pause, max(0.05, limit - self._seconds()))
        return min(pause, max(0.05, self._next_measure - time.monotonic()))

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        if self._must_look:
            self._must_look = False
            info = await self._daemon.inspect(self._name)
            if info is None or not info["State"]["Running"]:
                self._has_ended = self._is_unseen = True

    async def _step(self, info: dict[str, Any]) -> None:
        timing = self._plan.timing
        grace = self._grace_asked()
        if grace is not None:
            await self._end(Doom(Cause.STOPPED), grace=grace)
        if timing.time_limit is not None and self._seconds() > timing.time_limit:
            await self._end(Doom(Cause.TIME_LIMIT, {"limit_seconds": timing.time_limit}))
        if self._oom_kills != self._status.detail.get("oom_kills", 0) and self._oom_kills:
            numbers = memory_numbers(self._plan.limits.memory_mb)
            self._status.detail |= {"oom_kills": self._oom_kills, **numbers}
            self._save()
        await self._look_at_service()
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            await self._daemon.kill(self._name, "SIGKILL")
            self._kill_at = time.monotonic() + _KILL_AGAIN_SECONDS
        if time.monotonic() >= self._next_measure:
            await self._measure()

    async def _look_at_service(self) -> None:
        if self._watch is None or self._doom is not None:
            return
        doom = self._watch.step()
        if doom is not None:
            if self._plan.port in self._listening.on_loopback():
                doom.detail["loopback"] = True
                self._log.note(
                    f"it listens on port {self._plan.port} of 127.0.0.1, where nobody reaches it; "
                    "let it listen on 0.0.0.0 (the variable HOST says so)"
                )
            await self._end(doom)
        elif self._watch.state is not self._status.state:
            self._status.state = self._watch.state
            self._save()

    async def _measure(self) -> None:
        self._measure_wait = min(self._measure_wait * 2, self._plan.timing.watchdog)
        self._next_measure = time.monotonic() + self._measure_wait
        found = vitals.measured(await self._daemon.stats(self._name))
        if found is not None:
            self._status.memory_peak_mb = max(
                self._status.memory_peak_mb or 0, found.memory_peak_mb
            )
            self._status.cpu_seconds = found.cpu_seconds

    async def _end(self, doom: Doom, *, grace: float | None = None) -> None:
        """Begin to end the command; the first reason stays, a shorter grace wins."""
        wait = (self._plan.timing.grace if grace is None else grace) if doom.is_polite else 0.0
        kill_at = time.monotonic() + wait
        if self._doom is None:
            self._doom, self._kill_at = doom, kill_at
            if wait > 0:
                await self._daemon.kill(self._name, "SIGTERM")
            self._asked_grace = grace
        elif doom.cause is self._doom.cause and grace is not None and grace != self._asked_grace:
            self._asked_grace = grace
            self._kill_at = min(self._kill_at or kill_at, kill_at)

    def _grace_asked(self) -> float | None:
        """Return the grace of a stop that was asked for; None where none was."""
        try:
            return float(json.loads(self._place.stop.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError):
            return self._plan.timing.grace

    def _seconds(self) -> float:
        """Return how long it has run, by the clock on the wall: runs outlive runners."""
        started = dt.datetime.fromisoformat(self._status.started_at or statuses.now())
        return (dt.datetime.now(dt.UTC) - started).total_seconds()

    async def _pump(self) -> None:
        """Follow the log until the container has ended."""
        for wait in backoff(max_seconds=2.0):
            with contextlib.suppress(EngineError, DaemonGone):
                await self._log.follow(self._daemon, self._name)
                if not self._log.is_full_disk:
                    return
            await asyncio.sleep(wait)

    async def _note_end(self, info: dict[str, Any]) -> None:
        """Write down how a run has ended."""
        state, status = info["State"], self._status
        await self._log.catch_up(self._daemon, self._name)
        status.started_at, status.ended_at = _time(state["StartedAt"]), _time(state["FinishedAt"])
        status.exit_code = exit_code_of(int(state["ExitCode"]))
        end = Ending(
            exit_code=status.exit_code,
            doom=self._doom or self._doom_unseen(),
            limit_mb=self._plan.limits.memory_mb,
            is_short_of_memory=bool(state["OOMKilled"]) or self._oom_kills > 0,
            is_disk_full=self._log.is_full_disk or has_little_room(self._place.root),
            is_foreign=self._is_foreign,
            is_unseen=self._is_unseen,
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
        lasted = dt.datetime.fromisoformat(status.ended_at) - dt.datetime.fromisoformat(
            status.started_at
        )
        is_over = lasted.total_seconds() > limit
        return Doom(Cause.TIME_LIMIT, {"limit_seconds": limit}) if is_over else None

    def _shall_restart(self) -> bool:
        if self._plan.kind != "service" or self._grace_asked() is not None:
            return False
        was_ready = self._watch is not None and self._watch.was_ready
        tries = self._plan.timing.restarts_max
        return may_try_again(self._status, was_ready=was_ready, restarts_max=tries)

    async def _wait_before_restart(self) -> None:
        status = self._status
        status.restarts += 1
        wait = restart_wait(status, self._plan.timing)
        self._log.note(f"ended ({status.cause}, exit code {status.exit_code}); restart in {wait} s")
        status.state, status.cause = ReplicaState.STARTING, None
        status.detail["restart_in_seconds"] = wait
        self._save()
        until = time.monotonic() + wait
        while time.monotonic() < until and self._grace_asked() is None:
            await self._wait(until - time.monotonic())
        status.detail.pop("restart_in_seconds", None)

    def _note(self, doom: Doom) -> None:
        """Write down an end of which Docker says nothing."""
        self._status.cause = doom.cause
        self._status.detail |= doom.detail
        self._status.ended_at = statuses.now()

    def _fail(self, error: EngineError | OSError) -> None:
        is_full = isinstance(error, OSError) and error.errno in _NO_ROOM
        text = error.message if isinstance(error, EngineError) else str(error)
        is_full = is_full or "no space left on device" in text
        self._note(Doom(Cause.DISK_FULL if is_full else Cause.START_FAILED, {"error": text}))
        self._log.note(f"could not be started: {text}")
        self._is_over = True

    def _shall_return(self) -> bool:
        """Say whether a failed start is tried again: of a service that has run, it may pass."""
        return self._status.started_at is not None and self._shall_restart()

    async def _finish(self) -> None:
        """Make the end known, durably, and only then let the container go."""
        status = self._status
        if self._sidecar is not None:
            await self._sidecar.stop()
            if not status.is_final:
                await self._sidecar.wait(self._plan.timing.relay_wait)
        if not status.is_final:
            status.state, status.is_final = ReplicaState.EXITED, True
            self._save()
        await self._daemon.remove(self._name)
        while self._sidecar is not None and not await self._sidecar.wait(_DRAIN_LOOK_SECONDS):
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


def _time(text: str) -> str:
    """Return a time of Docker's as a status holds it."""
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC).isoformat()


def _nanoseconds(text: str) -> int:
    moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    return int(moment.timestamp() * 10**6) * 1000
