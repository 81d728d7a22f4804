"""Services: a model and an algorithm's deploy function behind a stable address."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from kpl_lab.schemas.common import Remedy, Resources, ResourceView, Schema
from kpl_lab.schemas.tasks import ResourceOverride


class ServiceState(StrEnum):
    """The states a user sees."""

    DEPLOYING = "deploying"
    RUNNING = "running"
    DEGRADED = "degraded"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class ServiceCreate(Schema):
    """Deploy; exactly one of upload and algorithm names the code."""

    name: str
    model: str | None = Field(None, description="NAME[:VERSION] or id")
    algorithm: str | None = Field(None, description="NAME[:VERSION] or id")
    upload: int | None = None
    code_name: str | None = None
    replicas: int = Field(1, ge=0, le=64)
    parameters: dict[str, Any] = {}
    resources: ResourceOverride = ResourceOverride.model_construct()
    pool: str | None = Field(None, description="resource pool; null: the caller's first")
    environment: dict[str, str] = {}
    inputs: dict[str, str] = Field(
        {}, description="input key to model:NAME[:V] or dataset:NAME[:V]"
    )
    access: Literal["private", "workspace", "public"] = "private"
    description: str = ""
    workspace: str = "default"


class ServiceUpdate(Schema):
    """Scale, stop (``replicas`` kept, address kept), start, or change who may call."""

    replicas: int | None = Field(None, ge=1, le=64)
    running: bool | None = None
    access: Literal["private", "workspace", "public"] | None = None
    description: str | None = None


class RevisionRole(StrEnum):
    """What a revision is to its service."""

    CURRENT = "current"
    CANDIDATE = "candidate"
    PREVIOUS = "previous"


class RevisionCreate(Schema):
    """Another revision beside the current one; what is left out is as that one has it.

    With other code (an upload or an algorithm), parameters, environment and resources are as that
    code declares them, unless they are given.
    """

    model: str | None = Field(None, description="NAME[:VERSION] or id")
    algorithm: str | None = Field(None, description="NAME[:VERSION] or id")
    upload: int | None = None
    code_name: str | None = None
    parameters: dict[str, Any] = {}
    resources: ResourceOverride = ResourceOverride.model_construct()
    pool: str | None = Field(None, description="resource pool; null: as now")
    environment: dict[str, str] = {}
    inputs: dict[str, str] | None = Field(
        None, description="input key to model:NAME[:V] or dataset:NAME[:V]; null: as now"
    )
    weight: int = Field(0, ge=0, le=100, description="percent of the calls once it is ready")
    promote: bool = Field(False, description="promote it as soon as all its replicas are ready")


class TrafficUpdate(Schema):
    """How many percent of the calls go to the candidate; the others go to the current revision."""

    weight: int = Field(ge=0, le=100)


class ReplicaView(Schema):
    """One process behind a service."""

    index: int
    state: str = Field(description="starting, ready, unhealthy, failed or stopped")
    started_at: dt.datetime | None = None
    restarts: int = 0
    message: str | None = None


class ServiceView(ResourceView):
    """A service as lists show it."""

    state: ServiceState
    description: str
    url: str = Field(description="path behind the front door, e.g. /svc/default/digits/")
    access: str
    replicas: int
    ready: int
    model: str | None = Field(None, description="NAME:VERSION")
    algorithm: str | None = Field(None, description="NAME:VERSION, or null for a code folder")
    code_name: str
    resources: Resources
    pool: str = Field("", description="resource pool; empty: there are none")


class RevisionView(Schema):
    """What a service runs, ran before, or tries out."""

    number: int
    role: RevisionRole
    state: ServiceState
    weight: int = Field(description="percent of the calls that it shall get")
    replicas: int
    ready: int
    model: str | None = None
    algorithm: str | None = None
    code_name: str
    resources: Resources
    pool: str = ""
    parameters: dict[str, Any]
    environment: dict[str, str]
    instances: list[ReplicaView]
    is_promoted_when_ready: bool = False
    message: str | None = None
    remedy: Remedy | None = None


class ServiceDetail(ServiceView):
    """Everything about one service."""

    instances: list[ReplicaView]
    revisions: list[RevisionView] = Field([], description="the current one first")
    interface: list[dict[str, Any]]
    parameters: dict[str, Any]
    environment: dict[str, str]
    model_id: int | None = None
    task_id: int | None = None
    remedy: Remedy | None = None
    notices: list[str] = Field([], description="e.g. an image that the default stands in for")
