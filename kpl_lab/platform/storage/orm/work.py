"""Tasks with their metrics, services, notebook servers and mounts."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kpl_lab.platform.storage.orm.base import Base, ResourceColumns


class LimitColumns:
    """Ceilings: cores, MiB, whole GPUs, MiB; and the resource pool that they are of."""

    cpu: Mapped[float]
    memory: Mapped[int]
    gpu: Mapped[int]
    shm: Mapped[int]
    pool: Mapped[str] = mapped_column(server_default="")


class CodeColumns:
    """What runs and with what, as it was at the submission."""

    description: Mapped[str]
    code_name: Mapped[str]
    code_digest: Mapped[str]
    algorithm: Mapped[str | None]
    algorithm_id: Mapped[int | None]
    parameters: Mapped[dict[str, Any]]
    environment: Mapped[dict[str, Any]]
    inputs: Mapped[list[Any]]
    build_id: Mapped[int | None] = mapped_column(index=True)
    image: Mapped[str | None]
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class TaskRow(LimitColumns, CodeColumns, ResourceColumns, Base):
    """A task; ``desired`` is what the user wants of it: run, stop or delete."""

    __tablename__ = "tasks"
    __table_args__ = ({"sqlite_autoincrement": True},)
    function: Mapped[str]
    labels: Mapped[dict[str, Any]]
    outputs: Mapped[list[Any]]
    save_as: Mapped[list[Any]]
    priority: Mapped[int] = mapped_column(index=True)
    time_limit_seconds: Mapped[int | None]
    nodes: Mapped[int] = mapped_column(server_default="1")
    processes: Mapped[int] = mapped_column(server_default="1")
    launch: Mapped[str] = mapped_column(server_default="process")
    desired: Mapped[str] = mapped_column(index=True)
    stop_reason: Mapped[str | None]
    attempt: Mapped[int]
    notices: Mapped[list[Any]]
    progress: Mapped[float | None]
    progress_at: Mapped[dt.datetime | None]
    scalars: Mapped[dict[str, Any]]
    curves: Mapped[list[Any]]
    started_at: Mapped[dt.datetime | None]
    finished_at: Mapped[dt.datetime | None]
    exit_code: Mapped[int | None]
    ending: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class MetricSeriesRow(Base):
    """One line of one figure of a task."""

    __tablename__ = "metric_series"
    __table_args__ = (UniqueConstraint("task_id", "title", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    task_id: Mapped[int] = mapped_column(index=True)
    title: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    points: Mapped[int] = mapped_column(default=0)


class MetricChunkRow(Base):
    """A run of points: ``count`` pairs of little-endian float64, x and y in turn."""

    __tablename__ = "metric_chunks"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("metric_series.id"), index=True)
    count: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class DeliveryRow(Base):
    """A delivery of a relay or a batch of a client that has arrived, so that it counts once."""

    __tablename__ = "deliveries"
    task_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(primary_key=True)


class ServiceRow(LimitColumns, CodeColumns, ResourceColumns, Base):
    """A service; ``is_wanted`` is false while it is stopped with its address kept.

    Its other revisions are rows of their own: ``service_id`` names the service, ``role`` says what
    they are to it. A promotion exchanges what runs; ``origin_id`` is the row under which it was
    started first (None: this one), by which its workloads and tokens go on to be named.
    """

    __tablename__ = "services"
    __table_args__ = (UniqueConstraint("workspace_id", "name"), {"sqlite_autoincrement": True})
    access: Mapped[str]
    replicas: Mapped[int]
    is_wanted: Mapped[bool]
    is_deleted: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int]
    model: Mapped[str | None]
    model_id: Mapped[int | None]
    task_id: Mapped[int | None]
    instances: Mapped[list[Any]]
    ending: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    service_id: Mapped[int | None] = mapped_column(index=True)
    role: Mapped[str] = mapped_column(server_default="current")
    number: Mapped[int] = mapped_column(server_default="1")
    weight: Mapped[int] = mapped_column(server_default="0")
    is_promoted_when_ready: Mapped[bool] = mapped_column(server_default="0")
    origin_id: Mapped[int | None]


class ServerRow(LimitColumns, Base):
    """A notebook server; ``launch`` holds its environment until it runs and is wiped then."""

    __tablename__ = "servers"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str]
    user: Mapped[str] = mapped_column(index=True)
    image: Mapped[str]
    image_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(index=True)
    desired: Mapped[str]
    launch: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    wanted_mounts: Mapped[list[Any]]
    handle: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    address: Mapped[str | None]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    updated_at: Mapped[dt.datetime]


class MountRow(Base):
    """A dataset version shown in a server's file tree."""

    __tablename__ = "mounts"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    server_id: Mapped[int] = mapped_column(ForeignKey("servers.id"), index=True)
    dataset_id: Mapped[int] = mapped_column(index=True)
    dataset: Mapped[str]
    version: Mapped[int]
    path: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    enforced: Mapped[bool]
    reason: Mapped[str | None]
    message: Mapped[str | None]
    created_at: Mapped[dt.datetime]
