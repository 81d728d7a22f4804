"""The agent: what happens beside a command from the start of its pod to the end of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from kpl_lab.engines.kubernetes.agent.command import Command, Process
from kpl_lab.engines.kubernetes.agent.config import AgentConfig
from kpl_lab.engines.kubernetes.agent.doors import Doors
from kpl_lab.engines.kubernetes.agent.filling import fill
from kpl_lab.engines.kubernetes.agent.gateway import Gateway, Link, Refused
from kpl_lab.engines.kubernetes.agent.report import Phase, Report
from kpl_lab.engines.kubernetes.names import POD_VARIABLE
from kpl_lab.engines.kubernetes.plan import BESIDE, OUTPUTS, SPOOL
from kpl_lab.engines.kubernetes.wire import BEAT_SECONDS
from kpl_lab.engines.running.listening import Listening
from kpl_lab.engines.running.service_watch import Doom, ServiceWatch
from kpl_lab.engines.spec import Cause, ReplicaState
from kpl_lab.retry import backoff
from kpl_lab.trees import remove_tree

log = logging.getLogger(__name__)

READY_FILE = f"{BESIDE}/ready"
# For an agent that is started again beside its command: it was seen to run.
BEGUN_FILE = f"{BESIDE}/begun"
_LAST_WORDS = Path("/dev/termination-log")
_MEASURE_FIRST_SECONDS, _MEASURE_LAST_SECONDS = 1.0, 15.0
_KILL_AGAIN_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
# What hinders the filling of a home may pass.
_FILL_SECONDS, _FILL_TRIES = 1.0, 8
# So long a command that is not there yet is looked for without a pause.
_EARLY_SECONDS = 60.0
_PHASE_OF = {
    ReplicaState.READY: Phase.READY,
    ReplicaState.UNHEALTHY: Phase.UNHEALTHY,
}


class Agent:
    """One agent.

    Parameters
    ----------
    send_seconds
        How long outputs may take when the command has ended.
    is_together
        The command starts without waiting for this one, which ends by itself after it. Otherwise the
        kubelet starts the command when this one is ready, and ends this one after it.
    """

    def __init__(
        self, config: AgentConfig, send_seconds: float, *, is_together: bool = False
    ) -> None:
        self._config = config
        self._send_seconds = send_seconds
        self._is_together = is_together
        self._is_asked = False
        self._had_head = is_together and Path(BEGUN_FILE).exists()
        self._since = time.monotonic()
        self._gateway = Gateway(config, os.environ[POD_VARIABLE])
        self._report = Report()
        self._link = Link(self._gateway, self._report.plain, self._obey)
        self._doors = Doors(self._gateway, config.doors)
        self._command = Command()
        ours = frozenset({*config.doors, config.relay_port})
        self._listening = Listening(os.getpid(), ours)
        self._watch: ServiceWatch | None = None
        self._head: Process | None = None
        self._kill_at: float | None = None
        self._measure_wait = _MEASURE_FIRST_SECONDS
        self._next_measure = 0.0
        self._woken = asyncio.Event()
        self._is_over = asyncio.Event()
        self._errands: set[asyncio.Task[None]] = set()
        self._mounting: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._relay: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Prepare, watch, and send what is left until it has all gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        link = asyncio.create_task(self._link.run(BEAT_SECONDS))
        try:
            if await self._prepare():
                await self._look_until_over()
                await self._finish()
            await self._link.settle(5.0)
        finally:
            link.cancel()
            self._say_last_words()

    def _end(self) -> None:
        self._is_asked = True
        # One that is together with its command is asked at the same time as that.
        if not self._is_together:
            self._is_over.set()
        self._woken.set()

    async def _prepare(self) -> bool:
        """Fetch, open doors and let the command start; False when it cannot."""
        if self._is_together:
            # The command may need the doors at once, and does not wait for the rest.
            await self._doors.open()
            threading.Thread(target=self._fill_beside, daemon=True).start()
            self._report.phase = Phase.PREPARED
            self._link.tell()
            return True
        try:
            if not await asyncio.to_thread(Path(READY_FILE).exists):
                await asyncio.to_thread(fill, self._config, self._gateway)
            await self._doors.open()
            if self._config.relay is not None:
                await self._start_relay(self._config.relay)
        except (OSError, Refused) as error:
            log.warning("the command cannot be started: %s", error)
            self._report.doom = Doom(Cause.START_FAILED, {"error": str(error)})
            self._report.phase = Phase.FAILED
            self._link.tell()
            # The runner ends the pod when it hears of it; a new try would fail again.
            await self._is_over.wait()
            return False
        await asyncio.to_thread(Path(READY_FILE).touch)
        self._report.phase = Phase.PREPARED
        self._link.tell()
        return True

    def _fill_beside(self) -> None:
        """Make what the command may find; that it cannot is no reason to end it."""
        for wait in islice(backoff(_FILL_SECONDS), _FILL_TRIES):
            try:
                if not Path(READY_FILE).exists():
                    fill(self._config, self._gateway)
                    Path(READY_FILE).touch()
            except OSError as error:
                log.warning("its home has no first files yet: %s", error)
                time.sleep(wait)
            except Refused as error:
                log.warning("its home has no first files: %s", error)
                return
            else:
                return

    async def _start_relay(self, target: Any) -> None:  # noqa: ANN401 (JSON)
        socket_path = Path(BESIDE, "platform.sock")
        await self._doors.open_socket(socket_path, self._config.platform_port)
        port_file = Path(BESIDE, "relay.port")
        config = {
            **target,
            "spool": SPOOL,
            "outputs": OUTPUTS,
            "port": self._config.relay_port,
            "port_file": str(port_file),
            "gate": str(socket_path),
        }
        place = Path(BESIDE, "relay.json")

        def write() -> None:
            Path(SPOOL).mkdir(exist_ok=True)
            port_file.unlink(missing_ok=True)
            place.write_text(json.dumps(config))

        await asyncio.to_thread(write)
        command = (sys.executable, "-m", "kpl_lab.engines.local.relay", "--config", str(place))
        self._relay = await asyncio.create_subprocess_exec(*command)
        while not await asyncio.to_thread(port_file.exists):
            if self._relay.returncode is not None:
                raise OSError("the relay ended before it listened")
            await asyncio.sleep(0.01)

    async def _look_until_over(self) -> None:
        while not self._is_over.is_set():
            pause = self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            self._woken.clear()
            if self._relay is not None and self._relay.returncode is not None:
                await self._start_relay(self._config.relay)

    def _look(self) -> float:
        """Do what is due; return the seconds until something may be due."""
        processes = self._command.look()
        head = self._command.first(processes)
        if head is None or (self._head is not None and head.pid != self._head.pid):
            self._close_watch()
        if head is None:
            if self._head is not None and self._report.phase is not Phase.ENDED:
                self._report.phase = Phase.ENDED
                self._link.tell()
            if self._is_together and (self._had_head or self._is_asked):
                self._is_over.set()
            self._head = None
            is_late = time.monotonic() - self._since > _EARLY_SECONDS
            return _PAUSE_SECONDS if is_late or self._report.phase is Phase.ENDED else 0.05
        if self._head is None or self._head.pid != head.pid:
            self._begin(head)
        self._check_limit(head)
        self._check_service()
        self._end_command(processes)
        self._measure(processes)
        return self._pause(head)

    def _begin(self, head: Process) -> None:
        self._head, self._had_head = head, True
        if self._is_together:
            # A full disk is no reason to end the server.
            with contextlib.suppress(OSError):
                Path(BEGUN_FILE).touch()
        # A stop that was asked for goes for whatever the container runs.
        if self._report.doom is not None and self._report.doom.cause is not Cause.STOPPED:
            self._report.doom, self._kill_at = None, None
        self._measure_wait, self._next_measure = _MEASURE_FIRST_SECONDS, 0.0
        if self._config.port is not None:
            host = socket.gethostbyname(socket.gethostname())
            self._watch = ServiceWatch(
                self._config, self._config.port, self._listening.all, host=host
            )
        self._report.phase = Phase.RUNNING
        self._link.tell()

    def _close_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _check_limit(self, head: Process) -> None:
        limit = self._config.timing.time_limit
        if limit is not None and self._command.seconds_since(head) > limit:
            self._doom(Doom(Cause.TIME_LIMIT, {"limit_seconds": limit}), self._config.timing.grace)

    def _check_service(self) -> None:
        if self._watch is None or self._report.doom is not None:
            return
        doom = self._watch.step()
        if doom is not None:
            if self._config.port in self._listening.on_loopback():
                doom.detail["loopback"] = True
            self._doom(doom, self._config.timing.grace if doom.is_polite else 0.0)
            return
        phase = _PHASE_OF.get(self._watch.state, Phase.RUNNING)
        if phase is not self._report.phase:
            self._report.phase = phase
            self._link.tell()

    def _doom(self, doom: Doom, grace: float) -> None:
        """Begin to end the command; the first reason stays, a shorter grace wins."""
        kill_at = time.monotonic() + grace
        if self._report.doom is None:
            self._report.doom, self._kill_at = doom, kill_at
            if grace > 0:
                self._command.send(signal.SIGTERM, self._command.look())
            self._link.tell()
        elif self._kill_at is not None:
            self._kill_at = min(self._kill_at, kill_at)

    def _end_command(self, processes: list[Process]) -> None:
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._command.send(signal.SIGKILL, processes)
            self._kill_at = time.monotonic() + _KILL_AGAIN_SECONDS

    def _measure(self, processes: list[Process]) -> None:
        if time.monotonic() < self._next_measure:
            return
        self._report.note(self._command.use_of(processes), time.monotonic())
        self._next_measure = time.monotonic() + self._measure_wait
        self._measure_wait = min(self._measure_wait * 2, _MEASURE_LAST_SECONDS)
        self._link.tell()

    def _pause(self, head: Process) -> float:
        now = time.monotonic()
        moments = [self._next_measure - now, _PAUSE_SECONDS]
        if self._watch is not None:
            moments.append(self._watch.wait_seconds)
        if self._kill_at is not None:
            moments.append(min(self._kill_at - now, 0.1))
        if self._config.timing.time_limit is not None:
            moments.append(self._config.timing.time_limit - self._command.seconds_since(head))
        return max(0.02, min(moments))

    def _obey(self, order: dict[str, Any]) -> None:
        """Take an order of the runner: ``stop``, ``measure``, ``mount``, ``unmount``, ``open``."""
        if order["do"] == "stop":
            self._doom(Doom(Cause.STOPPED), float(order["grace"]))
        elif order["do"] == "measure":
            self._next_measure = 0.0
        elif order["do"] in ("mount", "unmount"):
            self._spawn(self._mount(order))
        elif order["do"] == "open":
            self._spawn(self._doors.lead_in(str(order["id"]), int(order["port"])))
        self._woken.set()

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _mount(self, order: dict[str, Any]) -> None:
        """Bring a folder of the store to where a server sees it, or take it away."""
        number, name = str(order["id"]), str(order["name"])
        async with self._mounting[name]:
            # It is told again where the connection was lost meanwhile.
            if number not in self._report.done:
                self._report.answer(number, await self._mounted(order["do"], name))
        self._link.tell()

    async def _mounted(self, what: str, name: str) -> str:
        target = Path(self._config.mounts or BESIDE, name)
        try:
            if what == "mount":
                args = {"what": "mount", "key": name}
                await asyncio.to_thread(self._gateway.fetch, args, target)
            else:
                await asyncio.to_thread(remove_tree, target)
        except (OSError, Refused) as failure:
            return str(failure)
        return ""

    async def _finish(self) -> None:
        """Deliver what the relay has, and send the outputs."""
        self._close_watch()
        self._report.phase = Phase.ENDED
        self._link.tell()
        until = time.monotonic() + self._send_seconds
        if self._relay is not None and self._relay.returncode is None:
            self._relay.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._config.timing.relay_wait):
                    await self._relay.wait()
        for key in self._config.outputs:
            try:
                await asyncio.to_thread(self._gateway.give, key, Path(OUTPUTS, key), until)
            except (Refused, OSError, TimeoutError) as error:
                log.warning("the output %s was not sent: %s", key, error)
                self._report.lost[key] = str(error)
        self._report.phase = Phase.SENT

    def _say_last_words(self) -> None:
        with contextlib.suppress(OSError):
            _LAST_WORDS.write_text(json.dumps(self._report.last_words()))


def main(config: AgentConfig, send_seconds: float, *, is_together: bool = False) -> None:
    """Run until the pod ends."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    log.info("beside %s; %s", config.workload, asdict(config.timing))
    asyncio.run(Agent(config, send_seconds, is_together=is_together).run())
