"""Records of tasks, metrics, services, notebook servers and mounts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from kpl_lab.platform.storage.records.workspaces import Resource
from kpl_lab.schemas.common import Resources


@dataclass(frozen=True, kw_only=True)
class Limited:
    """Ceilings: cores, MiB, whole GPUs, MiB; and the resource pool that they are of.

    The pool is empty where the installation had none.
    """

    cpu: float
    memory: int
    gpu: int
    shm: int
    pool: str

    @property
    def resources(self) -> Resources:
        """The ceilings as the API shows them."""
        return Resources(cpu=self.cpu, memory=self.memory, gpu=self.gpu, shm=self.shm)


@dataclass(frozen=True, kw_only=True)
class Coded(Resource, Limited):
    """What runs and with what."""

    description: str
    code_name: str
    code_digest: str
    algorithm: str | None
    algorithm_id: int | None
    parameters: dict[str, Any]
    environment: dict[str, Any]
    inputs: list[Any]
    build_id: int | None
    image: str | None
    handle: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class TaskRecord(Coded):
    """A task."""

    function: str
    labels: dict[str, Any]
    outputs: list[Any]
    save_as: list[Any]
    priority: int
    time_limit_seconds: int | None
    nodes: int
    processes: int
    launch: str
    desired: str
    stop_reason: str | None
    attempt: int
    notices: list[Any]
    progress: float | None
    progress_at: dt.datetime | None
    scalars: dict[str, Any]
    curves: list[Any]
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    exit_code: int | None
    ending: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class MetricSeriesRecord:
    """One line of one figure."""

    id: int
    task_id: int
    title: str
    name: str
    type: str
    points: int


@dataclass(frozen=True, kw_only=True)
class ServiceRecord(Coded):
    """A service, or a further revision of one."""

    access: str
    replicas: int
    is_wanted: bool
    is_deleted: bool
    revision: int
    model: str | None
    model_id: int | None
    task_id: int | None
    instances: list[Any]
    ending: dict[str, Any] | None
    service_id: int | None
    role: str
    number: int
    weight: int
    is_promoted_when_ready: bool
    origin_id: int | None

    @property
    def run_id(self) -> int:
        """What its workloads and tokens are named by; a promotion takes it along."""
        return self.origin_id or self.id

    @property
    def public_id(self) -> int:
        """The id of the service, also for its further revisions."""
        return self.service_id or self.id

    @property
    def title(self) -> str:
        """The service's name, also for its further revisions."""
        return self.name.partition("#")[0]


@dataclass(frozen=True, kw_only=True)
class ServerRecord(Limited):
    """A notebook server."""

    id: int
    name: str
    user: str
    image: str
    image_id: int | None
    state: str
    desired: str
    launch: dict[str, Any] | None
    wanted_mounts: list[Any]
    handle: dict[str, Any] | None
    address: str | None
    reason: str | None
    message: str | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class MountRecord:
    """A dataset version in a server's file tree."""

    id: int
    server_id: int
    dataset_id: int
    dataset: str
    version: int
    path: str
    state: str
    enforced: bool
    reason: str | None
    message: str | None
    created_at: dt.datetime
