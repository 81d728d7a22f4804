"""A kubelet in small: pods of the double whose commands really run here, each with its agent beside it.

A command is a process of this machine with folders of its own in the place of those of a pod; what its
agent says and gives goes over a real connection to the runner's gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kpl_lab.engines.kubernetes import names
from kpl_lab.engines.kubernetes.agent.report import Phase
from kpl_lab.engines.kubernetes.plan import INSIDE, OUTPUTS, WORK
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.engines.running.rules import MEETING_PORT
from kpl_lab.engines.running.service_watch import Doom
from kpl_lab.engines.spec import Cause
from kpl_lab.settings import free_ports
from tests.doubles import kubernetes_play as play
from tests.doubles.kubernetes_store import Json
from tests.engines.kubernetes.benches import NS, Agent, Doubled
from tests.engines.kubernetes.plans import expanded

_LOOK_SECONDS = 0.01
_NOT_FOUND, _BY_SIGNAL = 128, 128
_EVERYWHERE = "0.0.0.0"
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": play.NODE},
    "status": {
        "allocatable": {"cpu": "8", "memory": "16Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


@dataclass
class Run:
    """The command of one pod."""

    bench: Doubled
    pod: Json
    folder: Path
    ip: str
    meeting: int
    has_ended: bool = False
    _process: asyncio.subprocess.Process | None = None
    _doom: Doom | None = None
    _kill_at: float | None = None

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.pod["metadata"]["name"])

    @property
    def workload(self) -> str:
        """Name of its workload."""
        return str(self.pod["metadata"]["labels"][names.WORKLOAD])

    async def act(self) -> None:
        """Do what happens in the pod, from its place on a node to its end."""
        store = self.bench.server.store
        play.place(store, self.pod)
        async with self.bench.agent(self.workload, self.pod) as agent:
            for output in agent.config.outputs:
                self._inside(f"{OUTPUTS}/{output}").mkdir(parents=True)
            self._inside(WORK).mkdir(parents=True, exist_ok=True)
            try:
                await self._begin()
            except FileNotFoundError as error:
                text = f'exec: "{error.filename}": executable file not found in $PATH'
                self.bench.says(self.pod, "", ends=True)
                play.end(store, self.pod, _NOT_FOUND, reason="StartError", message=text)
                return
            play.run(store, self.pod, ready=False, ip=self.ip)
            await self._watch(agent)
            await self._finish(agent)

    def _inside(self, path: str) -> Path:
        return self.folder / path.removeprefix("/")

    async def _begin(self) -> None:
        command = self.pod["spec"]["containers"][-1]
        words = [*command["command"], *command.get("args", ())]
        self._process = await asyncio.create_subprocess_exec(
            *(expanded(word, {}) for word in words),
            cwd=self._inside(WORK),
            env=self._environment(command["env"]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self, given: list[Json]) -> dict[str, str]:
        """Return the variables as the kubelet makes them, with the places and addresses of this machine."""
        found = {"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}
        for one in given:
            source = one.get("valueFrom", {})
            if "secretKeyRef" in source:
                value = self.bench.secret(self.workload)[source["secretKeyRef"]["key"]]
            elif "fieldRef" in source:
                label = source["fieldRef"]["fieldPath"].partition("'")[2].rstrip("']")
                value = self.pod["metadata"]["labels"][label]
            else:
                value = expanded(one["value"], found)
            found[one["name"]] = self._here(value)
        return found

    def _here(self, value: str) -> str:
        domain = self.pod["spec"].get("subdomain")
        if domain:
            value = re.sub(rf"[^,\s]*\.{re.escape(domain)}[^,\s]*", "127.0.0.1", value)
        if value.startswith(f"{INSIDE}/"):
            return str(self._inside(value))
        if value == str(MEETING_PORT):
            return str(self.meeting)
        return value.replace(_EVERYWHERE, self.ip)

    async def _watch(self, agent: Agent) -> None:
        """Follow the process until it has ended, and obey the runner meanwhile."""
        process = self._process
        assert process is not None
        printing = asyncio.create_task(self._print(process))
        try:
            await self._until_over(agent, process)
        finally:
            # All that it has left, so that nothing holds its output any more.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            self.has_ended = True
            await process.wait()
            await printing

    async def _until_over(self, agent: Agent, process: asyncio.subprocess.Process) -> None:
        await agent.say(Phase.RUNNING, processes=1, memory_mb=1, memory_peak_mb=1)
        begun, limit = time.monotonic(), agent.config.timing.time_limit
        is_ready = False
        while process.returncode is None:
            for order in (one for one in agent.orders if one["do"] == "stop"):
                self._end(Doom(Cause.STOPPED), float(order["grace"]))
            if limit is not None and time.monotonic() - begun > limit:
                self._end(Doom(Cause.TIME_LIMIT, {"limit_seconds": limit}), 0.0)
            if self._kill_at is not None and time.monotonic() > self._kill_at:
                self._send(signal.SIGKILL)
            if agent.config.port and not is_ready and await self._listens(agent.config.port):
                is_ready = True
                play.run(self.bench.server.store, self.pod, ip=self.ip)
                await agent.say(Phase.READY)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _print(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.bench.says(self.pod, line.decode())

    def _end(self, doom: Doom, grace: float) -> None:
        """Begin to end the command; the first reason stays, a shorter grace wins."""
        kill_at = time.monotonic() + grace
        if self._doom is None:
            self._doom, self._kill_at = doom, kill_at
            self._send(signal.SIGTERM)
        else:
            self._kill_at = min(self._kill_at or kill_at, kill_at)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def _listens(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(self.ip, port)
        except OSError:
            return False
        writer.close()
        return True

    async def _finish(self, agent: Agent) -> None:
        """Give the outputs, and let the pod end."""
        assert self._process is not None
        code = self._process.returncode
        assert code is not None
        until = time.monotonic() + 20
        for output in agent.config.outputs:
            place = self._inside(f"{OUTPUTS}/{output}")
            await asyncio.to_thread(agent.gateway.give, output, place, until)
        await agent.say(Phase.SENT, self._doom)
        self.bench.ends(self.pod, code if code >= 0 else _BY_SIGNAL - code)


@dataclass
class Played(Doubled):
    """A runner on the double, whose pods' commands run; it can be killed and launched."""

    runs: dict[str, Run] = field(default_factory=dict)
    _meetings: dict[str, int] = field(default_factory=dict)

    @property
    def runner(self) -> RunnerEngine:
        """The engine, by its own type."""
        assert isinstance(self.engine, RunnerEngine)
        return self.engine

    @property
    def home(self) -> Path:
        """``KPL_HOME``."""
        return self.settings.home.root

    def kill(self) -> None:
        """End the runner wherever it is."""
        assert self._runner is not None
        self._runner.cancel()

    def launch(self) -> None:
        """Start it again."""
        before = self._runner

        async def follow() -> None:
            if before is not None:
                await asyncio.gather(before, return_exceptions=True)
            await self._serve()

        self._runner = asyncio.create_task(follow())

    def _run_of(self, workload: str) -> Run:
        return next(run for run in self.runs.values() if run.workload == workload)

    def has_ended(self, name: str) -> bool:
        """Say whether the command of a workload has ended, whatever the runner knows."""
        return self._run_of(name).has_ended

    def touch(self, name: str, path: str) -> None:
        """Make a file in the working directory of a running command."""
        (self._run_of(name)._inside(WORK) / path).touch()

    @contextlib.asynccontextmanager
    async def playing(self, root: Path) -> AsyncIterator[None]:
        """Run the commands of all pods for the time of a block."""
        self.server.store.create(NODE)
        task = asyncio.create_task(self._play(root))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _play(self, root: Path) -> None:
        store = self.server.store
        acts: dict[str, asyncio.Task[None]] = {}
        numbers = itertools.count(1)
        try:
            while True:
                changed = store.changed
                there: Mapping[str, Json] = {
                    pod["metadata"]["name"]: pod for pod in store.all("Pod", NS)
                }
                for name in acts.keys() - there.keys():
                    acts[name].cancel()  # the pod is gone, and with it what runs in it
                for name in there.keys() - self.runs.keys():
                    # Loopback addresses of its own, by which others on this machine are not met.
                    ip = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250}.{next(numbers)}"
                    workload = there[name]["metadata"]["labels"][names.WORKLOAD]
                    if workload not in self._meetings:
                        (self._meetings[workload],) = free_ports(1)
                    run = Run(self, dict(there[name]), root / name, ip, self._meetings[workload])
                    self.runs[name] = run
                    acts[name] = asyncio.create_task(run.act())
                if changed is store.changed:
                    await changed.wait()
        finally:
            for act in acts.values():
                act.cancel()
            await asyncio.gather(*acts.values(), return_exceptions=True)
