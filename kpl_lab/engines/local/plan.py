"""``plan.json``: all that a replica's supervisor is told, decided by the runner.

Plain values only: the supervisor starts fast because it imports the standard library alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kpl_lab.engines.local.connect_filter import SERVICE_PORTS
from kpl_lab.engines.running.service_watch import Timing

FILE_NAME = "plan.json"
# Outside the range that the kernel gives to outgoing connections, so that no connection takes one
# before the command does.
_PORTS = range(10_000, 30_000)


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """What one replica may use; ``gpus`` are the indices given to it."""

    cpu: float
    memory_mb: int
    shm_mb: int
    processes: int
    log_bytes: int
    gpus: list[int] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class RelayPlan:
    """How to start the relay beside a task.

    The supervisor listens, so that the port is known before the relay is up, and writes
    ``<replica>/relay/config.json`` with these fields, ``spool``, ``outputs`` and ``listen_fd``.
    """

    url: str
    token: str
    metric_token: str
    task_id: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One replica to be.

    Attributes
    ----------
    mark
        Value of the variable by which its processes can be told from all others.
    argv, environment
        With placeholders still in them (see ``kpl_lab.engines.spec`` and ``templates``).
    prefix
        The Python environment; its ``bin`` comes first on PATH.
    inputs
        Key and folder.
    home
        Persistent home; None: a private one.
    shown
        Folders that it needs to see beside its own: environments, packages.
    mounts
        Root of the live mounts, shown as ``datasets`` in the home; None: no live mounts here.
    cgroups
        Parent folder by controller; empty: no cgroups, a watchdog instead.
    build
        Folder of the environment that a build makes.
    service_ports
        First and last port for replicas of services.
    templates
        The variables that are filled, and nothing else then; None: all, and ``argv``.
    hosts
        Addresses of all replicas.
    meeting
        The first port at which they meet.
    """

    mark: str
    name: str
    index: int
    kind: str
    argv: list[str]
    environment: dict[str, str]
    secrets: dict[str, str]
    prefix: str
    inputs: list[tuple[str, str]]
    outputs: list[str]
    code: str | None
    home: str | None
    skeleton: str | None
    user: str
    uid: int
    gid: int
    owns_uid: bool
    platform_uid: int
    platform_gid: int
    kpl_home: str
    package_root: str
    is_namespaced: bool
    shown: list[str]
    relay_shown: list[str]
    mounts: str | None
    cgroups: dict[str, str]
    cgroup_mode: str
    ceilings: Ceilings
    timing: Timing
    health: str | None
    relay: RelayPlan | None
    build: str | None = None
    service_ports: tuple[int, int] = (SERVICE_PORTS[0], SERVICE_PORTS[-1])
    templates: list[str] | None = None
    hosts: list[str] = field(default_factory=list)
    meeting: int | None = None

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Return the plan in a replica's folder."""
        found = json.loads((folder / FILE_NAME).read_text())
        found["ceilings"] = Ceilings(**found["ceilings"])
        found["timing"] = Timing(**found["timing"])
        found["relay"] = RelayPlan(**found["relay"]) if found["relay"] else None
        first, last = found.pop("service_ports", cls.service_ports)
        found["service_ports"] = (first, last)
        found["inputs"] = [(key, source) for key, source in found["inputs"]]
        return cls(**found)

    def write(self, folder: Path) -> None:
        """Store it for the supervisor; nobody else may read it, it holds secrets."""
        fresh = folder / (FILE_NAME + ".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(asdict(self), file)
        fresh.replace(folder / FILE_NAME)

    @property
    def serves(self) -> bool:
        """Whether it listens on a port and is watched for that."""
        return self.kind in ("service", "server")

    @property
    def ports(self) -> Sequence[int]:
        """Where it may listen: a service's replica where no workload connects to.

        A notebook server asks for a token, and its own programs may call it: it listens elsewhere.
        """
        first, last = self.service_ports
        reserved = range(first, last + 1)
        return reserved if self.kind == "service" else [p for p in _PORTS if p not in reserved]
