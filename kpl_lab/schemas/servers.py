"""Notebook servers and capacity: what a user's working place is made of."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from kpl_lab.schemas.common import Event, Resources, Schema
from kpl_lab.schemas.datasets import MountView


class ServerCreate(Schema):
    """The hub's spawner asks for what a new server needs (hub token only)."""

    user: str
    name: str = ""
    image: str
    resources: Resources
    mounts: list[str] = Field([], description="datasets to mount at the start: NAME[:VERSION]")
    groups: list[str] = Field([], description="groups of the hub that the user is in")


class ServerGrant(Schema):
    """The platform's answer: identity and tokens of the new server."""

    id: int
    token: str = Field(description="JWT for the original clients' calls; ends with the server")
    api_url: str


class ServerLaunch(Schema):
    """``POST /internal/servers/{id}/start``: what the hub wants run (hub token only).

    Values may hold the placeholders of ``kpl_lab.engines.spec``, ``{{port}}`` above all.
    """

    command: list[str]
    environment: dict[str, str]
    skeleton: str | None = Field(
        None, description="folder whose content a home gets when it is made"
    )
    idle_stop_minutes: float | None = Field(
        None,
        ge=0,
        description="minutes without work after which it is stopped; 0: never, null: as the "
        "administrator has set it",
    )


class ServerStatus(Schema):
    """``GET /internal/servers/{id}``: how far a server is (hub token only)."""

    id: int
    state: Literal["pending", "starting", "running", "stopping", "stopped", "failed"]
    address: str | None = Field(None, description="host:port, once it listens")
    reason: str | None = None
    message: str | None = Field(None, description="what it waits for, or why it ended, in words")
    events: list[Event] = Field([], description="its history so far, oldest first")


class ServerStart(Schema):
    """One start of a notebook server, with what happened from there on."""

    id: int
    name: str = Field(description="the server's name; empty for a user's default server")
    user: str
    image: str
    state: str
    created_at: dt.datetime
    resources: Resources
    reason: str | None = None
    message: str | None = None
    events: list[Event] = Field(
        description="oldest first; data.event is the name and data.rank the rank (info, important "
        "or urgent) that the ModelArts manual gives it"
    )


class IdleReport(Schema):
    """A running server says how idle it is; with ``over`` it asks to be stopped."""

    state: Literal["warned", "kept", "over"]
    minutes: float = Field(
        ge=0, description="warned: until it is stopped; over: for which nothing has run"
    )


class ServerReport(Schema):
    """The spawner tells what became of a server (hub token only)."""

    state: Literal["starting", "running", "stopped", "failed"]
    workload: str | None = Field(None, description="name of the engine's workload")
    reason: str | None = None
    message: str | None = None


class ServerView(Schema):
    """A notebook server."""

    id: int
    name: str = Field(description="the server's name; empty for a user's default server")
    user: str
    image: str
    state: str
    created_at: dt.datetime
    resources: Resources
    mounts: list[MountView]
    wanted_mounts: list[str] = Field(
        [],
        description="datasets, NAME[:VERSION], that a further start may begin with: those asked "
        "for, or once it ran and has ended those that were mounted then",
    )
    url: str
    reason: str | None = None
    message: str | None = None


class Amount(Schema):
    """Capacity of one kind; ``limit`` is what may be promised, ``used`` what is."""

    limit: float
    used: float


class CapacityView(Schema):
    """The one ledger: servers, tasks, services and builds share it."""

    cpu: Amount = Field(description="cores, admitted up to a multiple of the real ones")
    cores: float = Field(description="the real ones")
    memory: Amount = Field(description="MiB, reserved")
    gpu: Amount = Field(description="whole GPUs, reserved")
    queued_tasks: int
    running_tasks: int
    storage_free_bytes: int


class Me(Schema):
    """Who the caller is and what they may do."""

    name: str
    admin: bool
    scopes: list[str]
    kind: Literal["user", "service", "task", "notebook"]


class VersionView(Schema):
    """What answers."""

    version: str
    api_version: str
    engine: str
