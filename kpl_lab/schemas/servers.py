"""Notebook servers and capacity: what a user's working place is made of."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import Field

from kpl_lab.schemas.common import Event, Resources, Schema
from kpl_lab.schemas.datasets import MountView
from kpl_lab.schemas.pools import Amount, PoolView


class ServerCreate(Schema):
    """The hub's spawner asks for what a new server needs (hub token only)."""

    user: str
    name: str = ""
    image: str
    resources: Resources
    mounts: list[str] = Field([], description="datasets to mount at the start: NAME[:VERSION]")
    groups: list[str] = Field([], description="groups of the hub that the user is in")
    pool: str | None = Field(None, description="resource pool; null: the user's first")


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


class ServersAlive(Schema):
    """``GET /internal/servers``: which servers have not ended (hub token only)."""

    ids: list[int]
    running: list[int] = Field([], description="those of them that can be used")


class ServerStart(Schema):
    """One start of a notebook server, with what happened from there on."""

    id: int
    name: str = Field(description="the server's name; empty for a user's default server")
    user: str
    image: str
    state: str
    created_at: dt.datetime
    resources: Resources
    pool: str = Field("", description="resource pool; empty: there are none")
    reason: str | None = None
    message: str | None = None
    events: list[Event] = Field(
        description="oldest first; data.event is the name and data.rank the rank (info, important "
        "or urgent) that the ModelArts manual gives it"
    )


class IdleReport(Schema):
    """A running server says how idle it is; with ``over`` it asks to be stopped."""

    state: Literal["warned", "kept", "over"]
    what: Literal["server", "gpu"] = Field(
        "server", description="of what nothing is used: of the whole server, or of its GPUs"
    )
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
    pool: str = Field("", description="resource pool; empty: there are none")
    mounts: list[MountView]
    wanted_mounts: list[str] = Field(
        [],
        description="datasets, NAME[:VERSION], that a further start may begin with: those asked "
        "for, or once it ran and has ended those that were mounted then",
    )
    url: str
    reason: str | None = None
    message: str | None = None


class CapacityView(Schema):
    """The one ledger: servers, tasks, services and builds share it."""

    cpu: Amount = Field(description="cores, admitted up to a multiple of the real ones")
    cores: float = Field(description="the real ones")
    memory: Amount = Field(description="MiB, reserved")
    gpu: Amount = Field(description="whole GPUs, reserved")
    queued_tasks: int
    running_tasks: int
    storage_free_bytes: int
    pools: list[PoolView] = Field(
        [], description="resource pools that the caller may use; the first is theirs by default"
    )


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
