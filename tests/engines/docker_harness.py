"""A real Docker daemon for the tests, a base image for it, and a runner on top.

A daemon that answers at its usual place is used. Where none does, one is started in a folder of its
own (``dockerd`` of Debian's docker.io) and ended with the tests. No registry is reached: the image
is made on the spot, once per machine, from the packages that apt gets.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bcrypt

from kpl_lab import settings as settings_module
from kpl_lab.engines.docker import names
from kpl_lab.engines.docker.daemon import Daemon
from kpl_lab.engines.docker.engine import DockerEngine
from kpl_lab.engines.docker.ledger import Status
from kpl_lab.engines.docker.names import Address, Role
from kpl_lab.engines.local import mounts
from kpl_lab.engines.spec import Handle, Input, Recipe, Workload
from tests.engines.harness import RunnerBench, show_logs
from tests.places import passable

USUAL = Path("/var/run/docker.sock")
IMAGE = "kpl-test/base:bookworm"
BASE_FOLDER = Path(tempfile.gettempdir()) / "kpl-docker-base"
PACKAGES = "python3,python3-venv,ca-certificates"
START_SECONDS = 60.0


@dataclass
class TestDaemon:
    """A daemon; ``folder`` is where ours lives, None where it is not ours."""

    __test__ = False

    socket: Path
    folder: Path | None = None
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether ours does not run."""
        return self.process is None or self.process.poll() is not None

    def restart(self, *, live_restore: bool) -> None:
        """Start ours anew; with ``live_restore`` containers outlive the next end of it."""
        self.stop()
        self.start(live_restore=live_restore)

    def start(self, *, live_restore: bool = True) -> None:
        """Start ours, and wait until it answers."""
        assert self.folder is not None
        # One that was killed leaves them; where nobody reaps, their processes seem to live on.
        for name in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / name).unlink(missing_ok=True)
        options = ["--data-root", "data", "--exec-root", "exec", "--pidfile", "pid"]
        places = [str(self.folder / word) if not word.startswith("-") else word for word in options]
        lasting = ["--live-restore"] if live_restore else []
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                ["dockerd", *places, "-H", f"unix://{self.socket}", *lasting,
                 *self.options],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not answers(self.socket):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text()[-2000:]
                raise RuntimeError(f"dockerd does not start:\n{said}")
            time.sleep(0.1)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End ours; containers go on."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(timeout=60)

    def close(self) -> None:
        """End ours for good; its images stay for the next run."""
        if self.folder is None:
            return
        if self.has_ended:
            self.start()
        left = self.docker("ps", "-aq").split()
        if left:
            self.docker("rm", "-f", *left)
        self.docker("network", "prune", "-f")
        # What images were built by way of makes the next build of them short.
        self.docker("image", "prune", "-f", "--filter", "label!=kpl.image.stage")
        self.stop()

    def docker(self, *command: str) -> str:
        """Run Docker's command line."""
        done = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", *command],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout


def answers(path: Path) -> bool:
    """Say whether a daemon answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def lacking() -> str | None:
    """Return why there can be no Docker here, or None."""
    if answers(USUAL):
        return None if shutil.which("docker") else "there is no docker command"
    if os.geteuid() != 0:
        return "no Docker daemon answers, and only root can start one"
    for program in ("dockerd", "docker", "debootstrap"):
        if shutil.which(program) is None:
            return f"no Docker daemon answers, and there is no {program} to start one with"
    return None


@contextlib.contextmanager
def docker_daemon() -> Iterator[TestDaemon]:
    """Give a daemon that has the base image."""
    if answers(USUAL):
        yield with_image(TestDaemon(USUAL))
        return
    with private_daemon() as found:
        yield found


@contextlib.contextmanager
def private_daemon(*options: str) -> Iterator[TestDaemon]:
    """Give a daemon of ours that has the base image."""
    BASE_FOLDER.mkdir(exist_ok=True)
    folder = BASE_FOLDER / "daemon"
    folder.mkdir(exist_ok=True)
    with (BASE_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run has it; two daemons cannot share a folder
        found = TestDaemon(folder / "docker.sock", folder, options)
        found.start()
        try:
            yield with_image(found)
        finally:
            found.close()


def with_image(daemon: TestDaemon) -> TestDaemon:
    """Give a daemon the base image."""
    if not daemon.docker("images", "-q", IMAGE):
        daemon.docker("import", str(base_tar()), IMAGE)
    return daemon


def base_tar() -> Path:
    """Return a small Debian with Python as a tar, made where it is not there yet."""
    target = BASE_FOLDER / "base.tar"
    if target.exists():
        return target
    BASE_FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BASE_FOLDER) as folder:
        root = Path(folder) / "root"
        command = [
            "debootstrap",
            "--variant=minbase",
            f"--include={PACKAGES}",
            "bookworm",
            str(root),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (root / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
        fresh = target.with_suffix(".new")
        subprocess.run(["tar", "-C", root, "-cf", fresh, "."], check=True)
        fresh.replace(target)
    return target


class OnTestImage(DockerEngine):
    """The engine, given the test's image where a shared test names this interpreter's folder."""

    def run(self, workload: Workload) -> AsyncIterator[Handle]:
        """Run it in the image."""
        is_folder = workload.image == sys.prefix
        return super().run(replace(workload, image=IMAGE) if is_folder else workload)


@dataclass
class DockerBench(RunnerBench):
    """A runner of the Docker engine."""

    daemon: TestDaemon = field(kw_only=True)

    def has_ended(self, name: str) -> bool:
        """Say whether its container has exited."""
        mine = f"name={self.container(name)}"
        return "exited" in self.daemon.docker("ps", "-a", "-f", mine, "--format", "{{.State}}")

    def status(self, name: str, index: int = 0) -> Status:
        """Return what is written down of a replica."""
        found = Status.read(self.replica_folder(name, index))
        assert found is not None
        return found

    def container(self, name: str, index: int = 0, role: Role = Role.COMMAND) -> str:
        """Return a container's name."""
        return Address(name, index, role).container(self.settings.instance)

    def containers(self) -> list[str]:
        """Return the names of all containers of this installation."""
        label = f"label={names.INSTALLATION}={self.settings.instance}"
        return self.daemon.docker(
            "ps", "-a", "--filter", label, "--format", "{{.Names}}"
        ).splitlines()

    def recipe(self, *runs: str, digest: str = "abc", **changes: object) -> Recipe:
        """Return a recipe on the base image."""
        return super().recipe(*runs, digest=digest, base=IMAGE, **changes)

    def input(self, key: str, name: str, files: dict[str, str]) -> Input:
        """Return an input with these files."""
        return Input(key=key, source=str(self.folder(name, files)))

    def launch(self) -> None:
        """Start the runner."""
        environment = {
            **os.environ,
            "KPL_HOME": str(self.home),
            "KPL_ENGINE": "docker",
            "PYTHONPATH": str(Path(settings_module.__file__).parents[1]),
        }
        with (self.home / "runner.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kpl_lab.engines.docker.runner"],
                env=environment, stdout=log, stderr=log, cwd="/",
            )  # fmt: skip

    async def clear(self) -> None:
        """Delete every workload, end the runner, and see that nothing is left."""
        if self.process is None or self.process.poll() is not None:
            self.launch()
        await self.engine.capacity()  # it has begun
        folder = self.home / "docker" / "workloads"
        for name in [path.name for path in folder.iterdir()]:
            await self.engine.delete(Handle(engine="docker", name=name))
        assert list(folder.iterdir()) == []
        assert self.containers() == []
        network = names.network(self.settings.instance)
        assert network not in self.daemon.docker("network", "ls", "--format", "{{.Name}}").split()
        assert filter_rules(self.settings.instance) == []
        assert [point for point in mounts.mount_points() if self.home in point.parents] == []
        assert self.process is not None
        self.process.terminate()
        assert self.process.wait(timeout=20) == 0


def filter_rules(instance: str) -> list[str]:
    """Return what an installation has added to the packet filter, as iptables writes it."""
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        return []
    done = subprocess.run(
        ["iptables", "-w", "5", "-S"], capture_output=True, text=True, check=False
    )
    return [line for line in done.stdout.splitlines() if f"kpl-lab-{instance}" in line]


OPTIONS: dict[str, object] = {
    "wrong_port_seconds": 1.0,
    "health_seconds": 0.2,
    "health_timeout_seconds": 0.5,
    "restart_first_seconds": 0.1,
    "restart_last_seconds": 0.3,
    "restarts_max": 2,
    "processes_max": 200,
    "relay_wait_seconds": 5.0,
    "base_image": IMAGE,
}


@contextlib.asynccontextmanager
async def docker_bench(
    root: Path, daemon: TestDaemon, options: dict[str, object] | None = None
) -> AsyncIterator[DockerBench]:
    """Give a runner of an installation of its own; nothing of it is left afterwards."""
    passable(root)
    home = root / "kpl home ü"  # spaces and other letters: they must not matter
    home.mkdir()
    changes = {**OPTIONS, "socket": str(daemon.socket), **(options or {})}
    lines = [f"c.DockerOptions.{name} = {value!r}" for name, value in changes.items()]
    (home / "docker_engine.py").write_text("\n".join(lines) + "\n")
    found = settings_module.load({"KPL_HOME": str(home), "KPL_ENGINE": "docker"})
    for folder in (home, found.home.storage):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    engine = OnTestImage(found.home, patience_seconds=20)
    bench = DockerBench(engine, found.home.storage, "docker", settings=found, daemon=daemon)
    bench.launch()
    try:
        yield bench
        await bench.clear()
    except BaseException:
        show_logs(home, "docker")
        raise
    finally:
        if bench.process is not None and bench.process.poll() is None:
            bench.kill()
        await asyncio.to_thread(sweep, bench)


def sweep(bench: DockerBench) -> None:
    """Remove what a failed test has left."""
    with contextlib.suppress(subprocess.CalledProcessError):
        for name in bench.containers():
            bench.daemon.docker("rm", "-f", name)
        label = f"label={names.INSTALLATION}={bench.settings.instance}"
        own = f"label={names.IMAGE_INSTALLATION}={bench.settings.instance}"
        for image in bench.daemon.docker("images", "-q", "--filter", own).split():
            bench.daemon.docker("rmi", "-f", image)
        for network in bench.daemon.docker("network", "ls", "-q", "--filter", label).split():
            bench.daemon.docker("network", "rm", network)
    for rule in filter_rules(bench.settings.instance):
        subprocess.run(["iptables", "-w", "5", "-D", *shlex.split(rule)[1:]], check=False)
    for folder in bench.home.glob("docker/workloads/*"):
        mounts.remove_root(folder / "mounts")


async def inspect(bench: DockerBench, name: str) -> dict[str, Any]:
    """Return what the daemon says of a workload's container."""
    daemon = Daemon(bench.daemon.socket)
    try:
        found = await daemon.inspect(bench.container(name))
    finally:
        await daemon.close()
    assert found is not None
    return found


@contextlib.contextmanager
def registry(root: Path, *, password: str | None = None) -> Iterator[str]:
    """Give a real registry of our own on the loopback; its ``host:port``.

    With a password it lets in nobody but the user ``ada``.
    """
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{trial.getsockname()[1]}"
    config = root / "registry.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: '{root / 'registry'}'}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    if password is not None:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
        (root / "htpasswd").write_text(f"ada:{hashed}\n")
        with config.open("a") as file:
            file.write(f"auth: {{htpasswd: {{realm: kpl, path: '{root / 'htpasswd'}'}}}}\n")
    with (root / "registry.log").open("ab") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(config)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listens(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((root / "registry.log").read_text()[-2000:])
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as trial:
        return trial.connect_ex((host, int(port))) == 0
