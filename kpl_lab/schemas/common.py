"""What all resources share."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Schema(BaseModel):
    """Base of every model: unknown fields are refused, attributes may be read from records."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)


class Visibility(StrEnum):
    """Who sees a resource."""

    PRIVATE = "private"
    WORKSPACE = "workspace"
    PUBLIC = "public"
    PRESET = "preset"


class AssetState(StrEnum):
    """States of datasets, models, algorithms and their versions."""

    PREPARING = "preparing"
    READY = "ready"
    FAILED = "failed"


class Resources(Schema):
    """Ceilings of a workload: slow at the CPU ceiling, killed above the memory ceiling."""

    cpu: float = Field(1, gt=0, le=1024, description="cores")
    memory: int = Field(1024, ge=16, description="MiB")
    gpu: int = Field(0, ge=0, description="whole GPUs")
    shm: int = Field(64, ge=0, description="shared memory, MiB")

    def above(self, most: Resources) -> list[str]:
        """Return the kinds of which this is more than ``most``."""
        return [kind for kind, amount in most if getattr(self, kind) > amount]


class ResourceView(Schema):
    """Fields that every resource has in every list, view and event."""

    id: int
    name: str
    state: str
    created_at: dt.datetime
    updated_at: dt.datetime
    owner: str
    workspace: str
    visibility: Visibility
    reason: str | None = Field(None, description="code of why it ended badly")
    message: str | None = Field(None, description="the same as a sentence, with the next step")


class Page(BaseModel, Generic[T]):
    """A bounded part of a list, newest first."""

    items: list[T]
    next: str | None = Field(None, description="cursor of the next page; null on the last")


class Problem(BaseModel):
    """The one error body (``application/problem+json``)."""

    code: str
    message: str
    detail: dict[str, Any] = Field(default_factory=dict)
    request_id: str


class Remedy(Schema):
    """An entry of the fault dictionary applied to one failure."""

    code: str
    cause: str
    who: str = Field(description="user, admin or platform: who can mend it")
    action: str = Field(description="what to do next")
    usual_duration: str | None = None


class Event(Schema):
    """One line of the event stream: something became different."""

    id: int
    time: dt.datetime
    resource: str = Field(description="plural noun: tasks, datasets, …")
    resource_id: int
    kind: str = Field(description="created, updated, deleted, mounted, progress, warning, …")
    level: str = Field("normal", description="normal, warning or error")
    message: str = ""
    data: dict[str, Any] = Field(default_factory=dict)
