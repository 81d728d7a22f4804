"""The vocabulary between platform and engines: frozen, JSON-serialisable, free of users and SQL.

A value of ``Workload.environment`` or ``Workload.command`` may hold placeholders that only the
engine can fill, because only it knows where things are inside. Where ``Workload.templates`` names
variables, those alone are filled, and the command is not: what users wrote arrives as they wrote it.

===============  ==============================================================
``{{inputs}}``   folder under which each input lies as ``<key>`` (and ``<index>``)
``{{outputs}}``  folder with one writable folder per output key (and ``<index>``)
``{{work}}``     the working directory (a private copy of the code)
``{{home}}``     the home folder of the workload
``{{secrets}}``  folder with one file per entry of ``Workload.secrets``
``{{relay}}``    base URL of the relay beside the workload (tasks)
``{{host}}``     the address to listen on (services, servers)
``{{port}}``     the port to listen on (services, servers)
``{{replica}}``  number of the replica, from 0
``{{hosts}}``    where the replicas find each other, in their order, with commas between
``{{meeting}}``  the first of ``meeting_ports`` successive ports that are theirs there
===============  ==============================================================
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a workload is for; decides restarts, identity and warm start."""

    TASK = "task"
    SERVICE = "service"
    SERVER = "server"
    BUILD = "build"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ceilings of one replica."""

    cpu: float
    memory_mb: int
    gpu: int = 0
    shm_mb: int = 64


@dataclass(frozen=True, kw_only=True)
class Input:
    """A folder of the store shown read-only as ``{{inputs}}/<key>``."""

    key: str
    source: str


@dataclass(frozen=True, kw_only=True)
class RelayTarget:
    """Where the relay beside a task forwards what clients send.

    ``url`` is the platform's base for the runtime contract (``…/kpl/runtime``); ``token`` is the
    task's JWT, which the relay adds to what the oldest clients send without one.
    """

    url: str
    token: str
    metric_token: str
    task_id: int


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """What a registry lets somebody in with."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One thing to run, as an engine sees it.

    Attributes
    ----------
    name
        Unique, from ``naming.slug``; running the same name again adopts what is there.
    labels
        At least ``instance``, ``owner``, ``resource`` and ``id``, so that orphans can be found.
    image
        The engine's reference: on the local engine the prefix of a Python environment.
    command
        Argument vector; a shell line of a user comes as ``("/bin/sh", "-c", line)``.
    identity
        Key of the account it runs under (``user:alice``, ``task:42``): same key, same uid.
    code
        Folder of the store whose private copy is the working directory; None: the home.
    port
        The port that the code declares; an engine without networks of its own gives each replica
        another one as ``{{port}}``.
    home
        Name of a persistent home folder; None: a private, temporary one.
    skeleton
        Folder whose content a new persistent home begins with; None: an empty one.
    replicas
        Of a task: they run at once, and stand and fall together.
    login
        What the image is pulled with, where it is not there; None: what the engine has itself.
    pool
        Resource pool whose machines it runs on; empty: any.
    meeting_ports
        How many ports the replicas of a task need to find each other; 0: they do not.
    health
        Path for the HTTP check of a service; None: a TCP connect to the port.
    templates
        The variables whose values hold placeholders. None: any value and any word of the command
        may, for workloads in which nothing comes from users.
    """

    name: str
    kind: Kind
    labels: Mapping[str, str]
    image: str
    command: tuple[str, ...]
    identity: str
    limits: Limits
    code: str | None = None
    home: str | None = None
    skeleton: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = ()
    replicas: int = 1
    port: int | None = None
    health: str | None = None
    relay: RelayTarget | None = None
    time_limit_seconds: int | None = None
    grace_seconds: float = 10.0
    start_timeout_seconds: float = 120.0
    templates: tuple[str, ...] | None = None
    meeting_ports: int = 0
    login: RegistryLogin | None = None
    pool: str = ""


@dataclass(frozen=True, kw_only=True)
class Dockerfile:
    """A Dockerfile to build: for engines that have images.

    Attributes
    ----------
    text
        Its content; every image in it may be used by whoever builds.
    bases
        The references of these images.
    context
        Tar in the store with the files that it copies; None: it copies none.
    target
        Stage to stop at; None: the last.
    secrets
        What ``RUN --mount=type=secret`` reads, by id; in no layer and no log.
    needs_buildkit
        Whether the older builder does not understand it.
    """

    text: str
    bases: Sequence[str] = ()
    context: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    use_cache: bool = True
    needs_buildkit: bool = False


@dataclass(frozen=True, kw_only=True)
class Push:
    """Where to send an image when it is made."""

    reference: str
    login: RegistryLogin | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to make an environment or image.

    A base and lines to run on it, as ``environment.yml`` says; or a Dockerfile; or the archive of
    an image that was made elsewhere.

    Attributes
    ----------
    digest
        Names the result: same base, same lines, same workspace, same digest.
    labels
        Those of the build's workload.
    files
        Small text files that lie beside the lines, by name.
    dockerfile
        In place of base and lines.
    archive
        Tar in the store as ``docker save`` writes it, in place of base and lines.
    max_bytes
        What the result may take on disk; None: any amount.
    """

    digest: str
    workspace: str
    base: str
    runs: tuple[str, ...]
    limits: Limits
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    dockerfile: Dockerfile | None = None
    archive: str | None = None
    push: Push | None = None
    max_bytes: int | None = None
    time_limit_seconds: int = 3600


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """What an engine found in an image.

    Attributes
    ----------
    digest
        Name of exactly this content, ``sha256:…``; None where the engine has none.
    packages
        Versions of the Python distributions in it by normalised name, and of ``python``; empty
        where it has no Python.
    size_bytes
        What it takes on disk; None: unknown.
    """

    packages: Mapping[str, str]
    digest: str | None = None
    architecture: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Handle:
    """All that storage keeps of a workload; enough to find it again after any crash."""

    engine: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class ReplicaState(StrEnum):
    """What an engine sees of one replica."""

    STARTING = "starting"
    RUNNING = "running"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    EXITED = "exited"


class Cause(StrEnum):
    """Why a replica ended, where it was not its own decision."""

    EXIT = "exit"
    SIGNAL = "signal"
    OUT_OF_MEMORY = "out_of_memory"
    TIME_LIMIT = "time_limit"
    STOPPED = "stopped"
    KILLED = "killed"
    START_FAILED = "start_failed"
    WRONG_PORT = "wrong_port"
    NEVER_LISTENED = "never_listened"
    LOST = "lost"
    DISK_FULL = "disk_full"


class Step(StrEnum):
    """Where a replica that does not run yet stands on its way."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    IMAGE = "image"
    STARTING = "starting"


@dataclass(frozen=True, kw_only=True)
class Waits:
    """What a replica waits for, or how far it is: a stable word, a sentence, and where it stands."""

    code: str
    text: str
    is_progress: bool
    step: Step


@dataclass(frozen=True, kw_only=True)
class Replica:
    """The observed facts of one replica.

    ``exit_code`` is the command's own (negative: killed by that signal); ``address`` is
    ``host:port`` as the front door reaches it; memory is in MiB; ``detail`` holds numbers for the
    sentence (``used_mb``, ``limit_mb``, ``port``, ``listening`` …), and while it starts what it
    waits for: ``waits`` (``code``, ``text``, ``is_progress``, ``step``).
    """

    index: int
    state: ReplicaState
    address: str | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    exit_code: int | None = None
    cause: Cause | None = None
    restarts: int = 0
    memory_peak_mb: int | None = None
    cpu_seconds: float | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def waits(self) -> Waits | None:
        """What it waits for before it runs; None where it does not, or nobody knows."""
        found = self.detail.get("waits")
        if not found or self.state is not ReplicaState.STARTING:
            return None
        return Waits(
            code=str(found.get("code") or ""),
            text=str(found["text"]),
            is_progress=bool(found["is_progress"]),
            step=Step(found.get("step") or Step.STARTING),
        )


@dataclass(frozen=True, kw_only=True)
class Observation:
    """Everything an engine sees of one workload at one moment; ``gone`` when it has vanished."""

    name: str
    labels: Mapping[str, str]
    replicas: tuple[Replica, ...]
    gone: bool = False


@dataclass(frozen=True, kw_only=True)
class LogChunk:
    """A run of log bytes; ``offset`` is the position of its first byte in the whole log."""

    data: bytes
    offset: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Use at one moment: cores, MiB, bytes."""

    cpu: float
    cpu_seconds: float
    memory_mb: int
    memory_peak_mb: int
    processes: int


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the engine can give in all: cores, MiB, whole GPUs.

    Attributes
    ----------
    pools
        The same for each resource pool that has machines of its own; they may share machines.
    varies
        Whether machines come and go: there may be more again later.
    grows
        Whether machines are added for what asks for them.
    """

    cpu: float
    memory_mb: int
    gpu: int
    pools: Mapping[str, Capacity] = field(default_factory=dict)
    varies: bool = False
    grows: bool = False


@dataclass(frozen=True, kw_only=True)
class MountResult:
    """A live mount.

    Attributes
    ----------
    enforced
        False where read-only holds by file mode alone.
    note
        Which way it was made, as a sentence, where an engine has several.
    """

    path: str
    enforced: bool
    note: str = ""
