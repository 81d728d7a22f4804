"""Records of workspaces, events, tokens and leases."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Resource:
    """What every resource's record has."""

    id: int
    name: str
    owner: str
    workspace_id: int
    visibility: str
    state: str
    reason: str | None
    message: str | None
    created_at: dt.datetime
    updated_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class WorkspaceRecord:
    """A workspace."""

    id: int
    name: str
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """An event with whom it concerns."""

    id: int
    time: dt.datetime
    owner: str
    visibility: str
    resource: str
    resource_id: int
    kind: str
    level: str
    message: str
    data: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TokenRecord:
    """A token of a task, service or notebook."""

    id: int
    digest: str
    kind: str
    subject_id: int
    owner: str
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked: bool


@dataclass(frozen=True, kw_only=True)
class LeaseRecord:
    """A lease as it was when it was looked at; an empty holder has given it back."""

    name: str
    holder: str
    epoch: int
    until: dt.datetime
    is_over: bool
