"""What the engine tests run on: a fake engine, or a real runner in one of four situations.

==============  ==================================================================
``root``        root with every right: cgroups, namespaces, an account per workload
``bare-root``   root as in a container: Docker's capabilities, no cgroups: accounts, links
``user``        an ordinary user: one account, a watchdog, links
``own``         whoever runs the tests, where that is not root
==============  ==================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from kpl_lab import settings as settings_module
from kpl_lab.engines.base import Engine
from kpl_lab.engines.fake import Script
from kpl_lab.engines.local import cgroups, mounts, namespace, processes, syscalls
from kpl_lab.engines.local.engine import LocalEngine
from kpl_lab.engines.local.status import Status
from kpl_lab.engines.running.client import RunnerEngine
from kpl_lab.engines.spec import (
    Handle,
    Input,
    Kind,
    Limits,
    Observation,
    Recipe,
    Replica,
    ReplicaState,
    Workload,
)
from tests.places import passable

PATIENCE_SECONDS = 40.0
ORDINARY_UID = 61234
PR_CAPBSET_DROP = 24
# What a container's root has where nobody asks for more: Docker's default list, by number of
# <linux/capability.h>. Neither SYS_ADMIN nor SYS_PTRACE nor SYS_RESOURCE is among them.
CONTAINER_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})

SERVE = "import http.server, os; http.server.HTTPServer((os.environ['HOST'], int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()"

# name of a behaviour: what the fake plays, what a real engine runs
BEHAVIOURS: dict[str, tuple[Script, str]] = {
    "succeeds": (Script(log=b"hello\n"), "echo hello"),
    "fails": (Script(exit_code=3), "exit 3"),
    "sleeps": (Script(run_seconds=None, log=b"up\n"), "echo up; sleep 600"),
    "is-stubborn": (
        Script(run_seconds=None, is_stubborn=True, log=b"up\n"),
        "trap '' TERM; echo up; while true; do sleep 0.1; done",
    ),
    "writes": (
        Script(outputs={"save": {"model.bin": b"weights", "sub/a": b"a"}}),
        'mkdir "$OUT/save/sub"; printf weights >"$OUT/save/model.bin"; printf a >"$OUT/save/sub/a"',
    ),
    "serves": (Script(run_seconds=None), f'exec python -c "{SERVE}"'),
}


def limits(**changes: float) -> Limits:
    """Return small limits."""
    return replace(Limits(cpu=1, memory_mb=256, shm_mb=16), **changes)  # type: ignore[arg-type]


def task(name: str, line: str, **changes: object) -> Workload:
    """Return a task that runs a shell line."""
    found = Workload(
        name=name,
        kind=Kind.TASK,
        labels={"instance": "test", "owner": "alice", "resource": "tasks", "id": name},
        image=sys.prefix,
        command=("/bin/sh", "-c", line),
        identity=f"task:{name}",
        limits=limits(),
        environment={
            "OUT": "{{outputs}}",
            "IN": "{{inputs}}",
            "HOST": "{{host}}",
            "PORT": "{{port}}",
        },
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def behaving(name: str, behaviour: str, **changes: object) -> Workload:
    """Return a workload that every engine of these tests can play."""
    workload = task(name, BEHAVIOURS[behaviour][1], **changes)
    return replace(workload, labels={**workload.labels, "behaviour": behaviour})


async def start(engine: Engine, workload: Workload) -> Handle:
    """Run a workload; return the complete handle."""
    found = [handle async for handle in engine.run(workload)]
    return found[-1]


async def see(
    engine: Engine, name: str, is_it: Callable[[Observation], bool], seconds: float | None = None
) -> Observation:
    """Wait for an observation of ``name``; fails with the last one seen."""
    last: Observation | None = None
    try:
        async with asyncio.timeout(seconds or PATIENCE_SECONDS):
            async with contextlib.aclosing(engine.watch()) as stream:  # type: ignore[type-var]
                async for one in stream:
                    if one.name == name:
                        last = one
                        if is_it(one):
                            return one
    except TimeoutError:
        pass
    raise AssertionError(f"{name} never came to that; last seen: {last}")


def is_state(state: ReplicaState, index: int = 0) -> Callable[[Observation], bool]:
    """Say whether a replica is in a state."""
    return lambda one: any(r.index == index and r.state is state for r in one.replicas)


async def end_of(engine: Engine, name: str, index: int = 0) -> Replica:
    """Wait for the end of a replica."""
    found = await see(engine, name, is_state(ReplicaState.EXITED, index))
    return next(r for r in found.replicas if r.index == index)


async def text_of(engine: Engine, handle: Handle, *, follow: bool = False, replica: int = 0) -> str:
    """Return a log."""
    data = [chunk.data async for chunk in engine.logs(handle, replica=replica, follow=follow)]
    return b"".join(data).decode()


async def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition; fails when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("what was waited for did not come")
        await asyncio.sleep(0.02)


@dataclass
class Bench:
    """An engine, and where its store is."""

    engine: Engine
    store: Path
    mode: str = "fake"

    def folder(self, name: str, files: dict[str, str]) -> Path:
        """Make a folder of the store as the platform does: open itself, in closed folders."""
        root = self.store / name
        for path, text in files.items():
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o644)
        root.mkdir(parents=True, exist_ok=True)
        for folder in (root, *root.rglob("*")):
            if folder.is_dir():
                folder.chmod(0o755)
        for parent in root.parents:
            if self.store in parent.parents:
                parent.chmod(0o750)
        return root

    def recipe(self, *runs: str, digest: str = "abc", **changes: object) -> Recipe:
        """Return a recipe on this interpreter's environment."""
        found = Recipe(
            digest=digest,
            workspace="default",
            base=sys.prefix,
            runs=runs,
            limits=limits(memory_mb=1024),
        )
        return replace(found, **changes)  # type: ignore[arg-type]


@dataclass
class RunnerBench(Bench, ABC):
    """A real runner and its client."""

    settings: settings_module.Settings = field(kw_only=True)
    process: subprocess.Popen[bytes] | None = None

    @property
    def runner(self) -> RunnerEngine:
        """The engine, by its own type."""
        assert isinstance(self.engine, RunnerEngine)
        return self.engine

    @property
    def home(self) -> Path:
        """``KPL_HOME``."""
        return self.settings.home.root

    def replica_folder(self, name: str, index: int = 0) -> Path:
        """Return a replica's folder."""
        word = self.engine.name
        return self.home / word / "workloads" / name / "replicas" / str(index)

    @abstractmethod
    def launch(self) -> None:
        """Start the runner."""

    @abstractmethod
    def has_ended(self, name: str) -> bool:
        """Say whether a workload's one replica has ended, whatever the runner knows."""

    def touch(self, name: str, path: str) -> None:
        """Make a file in the working directory of a running command."""
        (self.replica_folder(name) / "inside" / "work" / path).touch()

    def kill(self) -> None:
        """Kill the runner as hard as can be."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class LocalBench(RunnerBench):
    """A runner of the local engine."""

    @property
    def local(self) -> LocalEngine:
        """The engine, by its own type."""
        assert isinstance(self.engine, LocalEngine)
        return self.engine

    @property
    def is_ordinary(self) -> bool:
        """Whether everything has one account."""
        return self.mode in ("user", "own")

    def has_ended(self, name: str) -> bool:
        """Say whether its supervisor has written down the end."""
        status = Status.read(self.replica_folder(name))
        return status is not None and status.is_final

    def folder(self, name: str, files: dict[str, str]) -> Path:
        """Make a folder of the store that belongs to the platform's account."""
        root = super().folder(f"kind/{name}", files)
        if self.mode == "user":
            above = [parent for parent in root.parents if self.store in parent.parents]
            for path in (*above, root, *root.rglob("*")):
                os.chown(path, ORDINARY_UID, ORDINARY_UID)
        return root

    def input(self, key: str, name: str, files: dict[str, str]) -> Input:
        """Return an input with these files."""
        return Input(key=key, source=str(self.folder(name, files)))

    def launch(self) -> None:
        """Start the runner."""
        environment = {
            **os.environ,
            "KPL_HOME": str(self.home),
            "PYTHONPATH": str(Path(settings_module.__file__).parents[1]),
        }
        with (self.home / "runner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kpl_lab.engines.local.runner"],
                env=environment,
                stdout=log,
                stderr=log,
                preexec_fn=self._become,
                cwd="/",
            )

    def _become(self) -> None:
        home = self.home
        if self.mode == "user":
            namespace.enter(namespace.platform_paths(), [home], uid=ORDINARY_UID, gid=ORDINARY_UID)
            namespace.drop_to(ORDINARY_UID, ORDINARY_UID)
        elif self.mode == "bare-root":
            if namespace.can_enter():
                namespace.enter(
                    namespace.platform_paths(), [home], uid=ORDINARY_UID, gid=ORDINARY_UID
                )
            last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
            for number in set(range(last + 1)) - CONTAINER_CAPABILITIES:
                syscalls.prctl(PR_CAPBSET_DROP, number)

    def marked(self) -> list[int]:
        """Return every process that belongs to this installation's workloads."""
        word = f"{processes.MARK}={self.settings.instance}/".encode()
        return [
            one.pid
            for one in processes.all_processes()
            if any(variable.startswith(word) for variable in processes.variables_of(one.pid))
        ]

    def groups(self) -> list[Path]:
        """Return the cgroups of this installation's workloads."""
        parents = cgroups.detect(self.settings.instance).parents.values()
        return [path for parent in set(parents) for path in Path(parent).iterdir() if path.is_dir()]

    async def clear(self) -> None:
        """Delete every workload, end the runner, and see that nothing is left."""
        if self.process is None or self.process.poll() is not None:
            self.launch()
        folder = self.home / "local" / "workloads"
        await until(folder.is_dir)  # a runner that nobody has asked yet may only begin
        for name in [path.name for path in folder.iterdir()]:
            await self.engine.delete(Handle(engine="local", name=name))
        assert list(folder.iterdir()) == []
        await until(lambda: not self.marked(), 5)
        assert [point for point in mounts.mount_points() if self.home in point.parents] == []
        if self.mode == "root":
            assert self.groups() == []
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def possible_modes() -> list[str]:
    """Return the situations that this machine allows."""
    if os.geteuid() != 0:
        return ["own"]
    return ["root", "bare-root", "user"] if namespace.can_enter() else ["bare-root"]


OPTIONS = {
    "wrong_port_seconds": 1.0,
    "health_seconds": 0.2,
    "health_timeout_seconds": 0.5,
    "restart_first_seconds": 0.1,
    "restart_last_seconds": 0.3,
    "restarts_max": 2,
    "watchdog_seconds": 0.05,
    "processes_max": 200,
    "relay_wait_seconds": 5.0,
    "warm_start": False,
}


@contextlib.asynccontextmanager
async def local_bench(
    root: Path, mode: str, options: dict[str, object] | None = None
) -> AsyncIterator[LocalBench]:
    """Give a runner in the situation ``mode``; nothing of it is left afterwards."""
    passable(root)
    home = root / "kpl home ü"  # spaces and other letters: they must not matter
    home.mkdir(exist_ok=True)
    changes: dict[str, object] = {**OPTIONS, **(options or {})}
    if mode == "bare-root":
        changes["cgroup_mode"] = "none"
    lines = [f"c.LocalOptions.{name} = {value!r}" for name, value in changes.items()]
    (home / "local_engine.py").write_text("\n".join(lines) + "\n")
    found = settings_module.load({"KPL_HOME": str(home)})
    found.home.storage.mkdir(exist_ok=True)
    home.chmod(0o755)
    found.home.storage.chmod(0o755)
    if mode == "user":
        for path in (home, *home.rglob("*")):
            os.chown(path, ORDINARY_UID, ORDINARY_UID)
    engine = LocalEngine(found.home, patience_seconds=20)
    bench = LocalBench(engine, found.home.storage, mode, settings=found)
    bench.launch()
    try:
        yield bench
        await bench.clear()
    except BaseException:
        show_logs(home)
        raise
    finally:
        if bench.process is not None and bench.process.poll() is None:
            bench.kill()
        sweep(bench)


def sweep(bench: LocalBench) -> None:
    """Remove what a failed test has left running or mounted."""
    for folder in bench.home.glob("local/workloads/*"):
        for place in folder.glob("replicas/*"):
            status = Status.read(place)
            if status is not None and status.shim is not None:
                status.shim.kill(signal.SIGKILL)
        mounts.remove_root(folder / "mounts")
    processes.send(bench.marked(), signal.SIGKILL)


def show_logs(home: Path, engine: str = "local") -> None:
    """Print what the processes of a failed test have said."""
    replicas = f"{engine}/workloads/*/replicas/*"
    for path in (home / "runner.log", *home.glob(f"{replicas}/*log")):
        if path.is_file() and path.stat().st_size:
            said = path.read_bytes()[-4000:].decode("utf-8", "replace")
            sys.stdout.write(f"--- {path}\n{said}\n")
    for path in home.glob(f"{replicas}/status.json"):
        sys.stdout.write(f"--- {path}\n{path.read_text()}\n")
