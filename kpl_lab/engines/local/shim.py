"""The supervisor of one replica, forked by the template.

Prepares the folder, starts the command, keeps its output, watches limits and health, ends it when
it must end, and writes its end down before it ends itself. It outlives the runner and the platform:
all it needs is in ``plan.json``, all it knows is in ``status.json``. One thread, no framework, the
standard library alone: it starts in tens of milliseconds and costs little memory.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import time
from pathlib import Path
from types import FrameType

from kpl_lab.engines.local import environments, launch, syscalls
from kpl_lab.engines.local import status as statuses
from kpl_lab.engines.local.cage import Cage, GroupCage, make_cage
from kpl_lab.engines.local.connect_filter import ConnectFilter
from kpl_lab.engines.local.launch import Launched, LaunchError
from kpl_lab.engines.local.logpump import LogPump
from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.local.processes import ProcessId, listening_ports, send
from kpl_lab.engines.local.relay_process import RelayProcess
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.local.vitals import Vitals, cause_of
from kpl_lab.engines.running.place import Place
from kpl_lab.engines.running.prepare import prepare
from kpl_lab.engines.running.probe import free_port
from kpl_lab.engines.running.rules import has_little_room, may_try_again, restart_wait
from kpl_lab.engines.running.service_watch import Doom, ServiceWatch
from kpl_lab.engines.spec import Cause, ReplicaState

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Shim:
    """One supervisor, from its plan to the final status."""

    def __init__(self, folder: Path, connect_filter: ConnectFilter | None) -> None:
        self._filter = connect_filter
        self._place = Place(folder)
        self._plan = Plan.read(folder)
        before = Status.read(folder)
        self._status = Status(
            index=self._plan.index,
            shim=ProcessId.of(os.getpid()),
            restarts=before.restarts if before else 0,
        )
        self._helpers: set[int] = set()
        self._cage: Cage = make_cage(self._plan, without=self._helpers)
        if isinstance(self._cage, GroupCage):
            self._status.cgroups = dict(self._cage.group.folders)
        ceilings = self._plan.ceilings
        gid = self._plan.platform_gid
        self._log = LogPump(self._place.log, max_bytes=ceilings.log_bytes, gid=gid)
        self._relay: RelayProcess | None = None
        self._selector = selectors.DefaultSelector()
        self._main: int | None = None
        self._exit: int | None = None
        self._doom: Doom | None = None
        self._kill_at: float | None = None
        self._begin = 0.0
        self._vitals = Vitals(self._plan, self._cage)
        self._watch: ServiceWatch | None = None
        self._is_asked_to_stop = False

    def run(self) -> None:
        """Live the replica's whole life."""
        self._listen_to_signals()
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
        statuses.reserve_room(self._place.root)
        self._save()
        try:
            self._prepare()
            self._run_until_done()
        except (OSError, LaunchError) as error:
            self._fail_to_start(error)
        self._finish()

    def _listen_to_signals(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self._selector.register(reader, selectors.EVENT_READ, "signal")
        self._selector.register(self._log.reader, selectors.EVENT_READ, "log")

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._is_asked_to_stop = True

    def _save(self) -> None:
        with contextlib.suppress(OSError):  # a full disk: the next change, or the end, tells it
            self._status.write(self._place.root)

    def _prepare(self) -> None:
        prepare(self._plan, self._place)
        self._cage.open()
        self._tell_inside()
        if self._plan.relay is not None:
            self._relay = RelayProcess(self._plan, self._plan.relay, self._place, self._helpers)

    def _must_stop(self) -> bool:
        return self._is_asked_to_stop  # set by a signal at any moment

    def _run_until_done(self) -> None:
        while not self._must_stop():
            self._run_once()
            self._note_end()
            if not self._shall_restart():
                return
            self._wait_before_restart()
        self._status.cause = Cause.STOPPED

    def _run_once(self) -> None:
        plan, status = self._plan, self._status
        port = None
        if plan.serves:
            # Replicas share the machine's loopback, so the declared port cannot be theirs all.
            port = free_port(plan.index, plan.ports)
            self._watch = ServiceWatch(plan, port, self._listening)
            status.address = f"127.0.0.1:{port}"
        relay = self._relay.url if self._relay else None
        values = launch.placeholders(plan, self._place, port=port, relay=relay)
        self._exit, self._doom, self._kill_at = None, None, None
        self._begin = time.monotonic()
        self._vitals.begin()
        self._main = self._start_command(values, port).pid
        status.started_at, status.ended_at = statuses.now(), None
        status.exit_code, status.cause = None, None
        status.state = ReplicaState.STARTING if plan.serves else ReplicaState.RUNNING
        if self._relay is not None:
            self._relay.step()
            status.relay = self._relay.identity
        self._save()
        while not self._has_exited():
            self._wait(self._pause())
            self._step()
        if self._watch is not None:
            self._watch.close()
        self._end_the_rest()

    def _listening(self) -> set[int]:
        return listening_ports(self._cage.pids())

    def _start_command(self, values: dict[str, str], port: int | None) -> Launched:
        """Start the command, which reaches no replica of a service but itself."""
        confine = None
        if self._filter is not None:
            confine = self._filter.enforce
            if port is not None and self._plan.kind == "service":
                self._filter.grow()
                self._filter.allow(port)
        found = launch.start_command(
            self._plan,
            self._place,
            values,
            output=self._log.writer,
            join=self._cage.join,
            confine=confine,
        )
        if self._filter is not None and self._plan.kind == "service":
            self._filter.close()
            self._filter = self._filter.again()  # for a restart, which gets another port
        return found

    def _has_exited(self) -> bool:
        return self._exit is not None  # set while children are reaped

    def _pause(self) -> float:
        pause = self._vitals.pause_seconds
        if self._watch is not None:
            pause = min(pause, self._watch.wait_seconds)
        return 0.05 if self._kill_at is not None else pause

    def _wait(self, seconds: float) -> None:
        """Sleep until something happens; move output and reap children."""
        for key, _ in self._selector.select(seconds):
            if key.data == "log":
                self._log.pump()
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(key.fd, 4096)
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, code = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._main:
                self._exit = os.waitstatus_to_exitcode(code)
            elif self._relay is not None:
                self._relay.has_ended(pid)

    def _step(self) -> None:
        moment = time.monotonic()
        timing = self._plan.timing
        if self._is_asked_to_stop:
            self._end(Doom(Cause.STOPPED), grace=self._grace_asked())
        if timing.time_limit is not None and moment - self._begin > timing.time_limit:
            self._end(Doom(Cause.TIME_LIMIT, {"limit_seconds": timing.time_limit}))
        self._look_at_memory()
        if self._watch is not None and self._doom is None:
            doom = self._watch.step()
            if doom is not None:
                self._end(doom)
            elif self._watch.state is not self._status.state:
                self._status.state = self._watch.state
                self._save()
        if self._relay is not None:
            with contextlib.suppress(LaunchError):
                self._relay.step()
        if self._kill_at is not None and moment >= self._kill_at and self._exit is None:
            self._cage.kill()

    def _grace_asked(self) -> float:
        try:
            return float(json.loads(self._place.stop.read_text()))
        except (OSError, ValueError, TypeError):
            return self._plan.timing.grace

    def _end(self, doom: Doom, *, grace: float | None = None) -> None:
        """Begin to end the command; the first reason stays, a shorter grace wins."""
        wait = (self._plan.timing.grace if grace is None else grace) if doom.is_polite else 0.0
        kill_at = time.monotonic() + wait
        if self._doom is None:
            self._doom = doom
            if wait > 0:
                send(self._cage.pids(), signal.SIGTERM)
            self._kill_at = kill_at
        elif doom.cause is self._doom.cause and grace is not None and self._kill_at is not None:
            # A second stop, with less patience.
            self._kill_at = min(self._kill_at, kill_at)

    def _look_at_memory(self) -> None:
        doom = self._vitals.look()
        if doom is not None:
            self._end(doom)
        news = self._vitals.news()
        if news is not None:
            self._status.detail |= news
            self._save()
            self._tell_inside()

    def _tell_inside(self) -> None:
        """Say to what runs inside how often something was killed; a group says it itself."""
        if isinstance(self._cage, GroupCage):
            return
        with contextlib.suppress(OSError):
            # In place: the file itself is what a workload sees in its view.
            self._place.memory_events.write_text(f"oom_kill {self._cage.oom_kills()}\n")

    def _end_the_rest(self) -> None:
        """Kill what the command has left behind, and take its last words."""
        self._main = None
        self._status.cpu_seconds = self._cage.cpu_seconds()
        self._cage.kill()
        self._log.drain()
        self._reap()

    def _note_end(self) -> None:
        status, folder = self._status, self._place.root
        status.ended_at, status.exit_code = statuses.now(), self._exit
        is_disk_full = self._log.is_full_disk or has_little_room(folder)
        end = cause_of(self._exit, self._doom, self._vitals, is_disk_full=is_disk_full)
        status.cause = end.cause
        status.detail |= end.detail
        status.memory_peak_mb = self._vitals.peak_mb

    def _shall_restart(self) -> bool:
        if self._plan.kind != "service" or self._is_asked_to_stop:
            return False
        was_ready = self._watch is not None and self._watch.was_ready
        tries = self._plan.timing.restarts_max
        return may_try_again(self._status, was_ready=was_ready, restarts_max=tries)

    def _wait_before_restart(self) -> None:
        status = self._status
        status.restarts += 1
        wait = restart_wait(status, self._plan.timing)
        status.state = ReplicaState.STARTING
        status.detail["restart_in_seconds"] = wait
        self._save()
        self._log.note(f"ended ({status.cause}, exit code {status.exit_code}); restart in {wait} s")
        until = time.monotonic() + wait
        while time.monotonic() < until and not self._is_asked_to_stop:
            self._wait(min(1.0, until - time.monotonic()))
        status.detail.pop("restart_in_seconds", None)

    def _fail_to_start(self, error: OSError | LaunchError) -> None:
        is_full = isinstance(error, OSError) and error.errno in _NO_ROOM
        self._status.cause = Cause.DISK_FULL if is_full else Cause.START_FAILED
        self._status.detail |= {"error": str(error)}
        self._status.ended_at = statuses.now()
        self._log.note(f"could not be started: {error}")
        self._cage.kill()

    def _finish(self) -> None:
        """Make the end known, durably, and only then leave."""
        status = self._status
        if self._plan.build is not None:
            self._finish_build(Path(self._plan.build))
        if self._relay is not None:
            self._relay.stop()
            self._wait_for_relay(time.monotonic() + self._plan.timing.relay_wait)
        status.state = ReplicaState.EXITED
        status.ended_at = status.ended_at or statuses.now()
        self._cage.close()
        status.is_final = True
        while True:
            try:
                status.write(self._place.root)
                break
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                time.sleep(0.5)  # somebody else's file took the reserve; room will come
        self._wait_for_relay(None)
        self._log.close()

    def _finish_build(self, folder: Path) -> None:
        status = self._status
        try:
            if status.cause is Cause.EXIT and status.exit_code == 0:
                environments.seal(folder, self._plan.prefix)
                return
        except OSError as error:
            status.cause = Cause.DISK_FULL if error.errno in _NO_ROOM else Cause.START_FAILED
            status.exit_code = 1
            status.detail |= {"error": str(error)}
            self._log.note(f"the environment could not be finished: {error}")
        environments.discard(folder)

    def _wait_for_relay(self, until: float | None) -> None:
        while self._relay is not None and self._relay.pid is not None:
            if until is not None and time.monotonic() > until:
                return
            self._wait(0.5)
