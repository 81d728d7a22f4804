"""A node for the tests of its agent: folders as a kubelet lays them out, real mounts, a pod that sees them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kpl_lab import mountinfo
from kpl_lab import settings as settings_module
from kpl_lab.engines.local import mounts, namespace

UID = "0a1b2c3d-0000-4000-8000-00000000000a"
NAME = "digits ü"
VERSION, OTHER = "a" * 32, "b" * 32
TOKEN = "the token of nodes"


def why_not() -> str:
    """Return why nothing can be mounted here; empty where it can."""
    if not namespace.can_enter():
        return "mounts need CAP_SYS_ADMIN"
    return "" if shutil.which("unshare") else "there is no unshare"


class Inside:
    """A process that sees a pod's folder as a container with ``HostToContainer`` does."""

    def __init__(self) -> None:
        words = ["unshare", "-m", "--propagation", "slave", "sh"]
        self._shell = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )  # fmt: skip
        self.run("true")

    def run(self, command: str) -> str:
        """Run a command; return what it says, and how it ended."""
        assert self._shell.stdin and self._shell.stdout
        self._shell.stdin.write(f"{command}; code=$?; echo; echo ended $code\n")
        self._shell.stdin.flush()
        said = []
        while not (line := self._shell.stdout.readline()).startswith("ended"):
            assert line, "the shell has ended"
            said.append(line)
        return "".join([*said, line]).strip()

    def close(self) -> None:
        """End it."""
        self._shell.kill()
        self._shell.communicate()


@dataclass
class Node:
    """A node's folders, and the agent on it."""

    root: Path
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def pods(self) -> Path:
        """The kubelet's folder of pods."""
        return self.root / "pods"

    @property
    def cache(self) -> Path:
        """Where versions lie."""
        return self.root / "cache"

    @property
    def marks(self) -> Path:
        """Where the kubelet looks whether the agent goes on."""
        return self.root / "marks"

    def volume(self, uid: str = UID) -> Path:
        """Return the volume of the live mounts of a pod."""
        return self.pods / uid / "volumes/kubernetes.io~empty-dir/datasets"

    def config(self, uid: str = UID) -> Path:
        """Return the volume of the Secret, which a kubelet takes away when a pod has ended."""
        return self.pods / uid / "volumes/kubernetes.io~secret/config"

    def pod(self, uid: str = UID) -> Path:
        """Make a pod; return its volume of live mounts."""
        for folder in (self.volume(uid), self.config(uid)):
            folder.mkdir(parents=True)
        self.volume(uid).chmod(0o2777)
        return self.volume(uid)

    def version(self, version: str = VERSION, size: int = 5) -> Path:
        """Put a version into the cache, as if it had been fetched."""
        data = self.cache / version / "data"
        data.mkdir(parents=True)
        (data / "file").write_bytes(b"x" * size)
        (self.cache / version / "about.json").write_text(f'{{"bytes": {size}}}')
        return data

    def points(self) -> list[Path]:
        """Return what is mounted in pods, relative to the folder of pods."""
        found = [one.point for one in mountinfo.mounts() if self.pods in one.point.parents]
        return [point.relative_to(self.pods) for point in found]

    def start(self, gate: int, *, cache_mb: int = 64) -> subprocess.Popen[bytes]:
        """Start the agent."""
        (self.root / "token").write_text(TOKEN + "\n")
        words = [
            sys.executable,
            "-m",
            "kpl_lab.engines.kubernetes.node",
            "--cache-mb",
            str(cache_mb),
        ]
        words += ["--gate", f"127.0.0.1:{gate}", "--token-file", str(self.root / "token")]
        words += ["--pods", str(self.pods), "--cache", str(self.cache)]
        words += ["--marks", str(self.marks)]
        environment = {
            **os.environ,
            "KPL_NODE": "node-1",
            "KPL_POD": "agent-x",
            "PYTHONPATH": str(Path(settings_module.__file__).parents[1]),
        }
        with (self.root / "agent.log").open("ab") as log:
            self.agents.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log))
        return self.agents[-1]

    def log(self) -> str:
        """Return what the agents have said."""
        return (self.root / "agent.log").read_text()


@contextlib.contextmanager
def made(root: Path) -> Iterator[Node]:
    """Give a node; nothing of it stays mounted."""
    node = Node(root.resolve() / "a node ü")
    for folder in (node.pods, node.cache, node.marks):
        folder.mkdir(parents=True)
    mounts.make_root(node.pods)
    try:
        yield node
    finally:
        for agent in node.agents:
            agent.kill()
            agent.wait()
        mounts.remove_root(node.pods)
