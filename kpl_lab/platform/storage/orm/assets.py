"""Uploads, datasets, models, algorithms and builds."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kpl_lab.platform.storage.orm.base import Base, ResourceColumns


class UploadRow(Base):
    """Bytes on their way in."""

    __tablename__ = "uploads"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    size: Mapped[int | None]
    received: Mapped[int] = mapped_column(default=0)
    complete: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[dt.datetime]


class VersionColumns:
    """What every version of an asset has."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    number: Mapped[int]
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    created_at: Mapped[dt.datetime]
    bytes: Mapped[int | None]
    task_id: Mapped[int | None]
    upload_id: Mapped[int | None]


class DatasetRow(ResourceColumns, Base):
    """A dataset; ``version`` is its newest ready version's number."""

    __tablename__ = "datasets"
    __table_args__ = (UniqueConstraint("owner", "name"), {"sqlite_autoincrement": True})
    description: Mapped[str]
    purpose: Mapped[str]
    version: Mapped[int | None]


class DatasetVersionRow(VersionColumns, Base):
    """An immutable version in the KPL format; ``format`` is what its import was asked for."""

    __tablename__ = "dataset_versions"
    __table_args__ = (UniqueConstraint("dataset_id", "number"),)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id"), index=True)
    format: Mapped[str]
    source: Mapped[str]
    records: Mapped[int | None]
    progress: Mapped[float | None]
    fields: Mapped[list[Any]] = mapped_column(default=list)
    classes: Mapped[list[Any]] = mapped_column(default=list)
    skipped: Mapped[list[Any]] = mapped_column(default=list)


class ModelRow(ResourceColumns, Base):
    """A model; ``version`` is its newest ready version's number."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("owner", "name"), {"sqlite_autoincrement": True})
    description: Mapped[str]
    version: Mapped[int | None]


class ModelVersionRow(VersionColumns, Base):
    """An immutable version: files, and what they were made from."""

    __tablename__ = "model_versions"
    __table_args__ = (UniqueConstraint("model_id", "number"),)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    files: Mapped[list[Any]] = mapped_column(default=list)
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lineage: Mapped[list[Any]] = mapped_column(default=list)


class AlgorithmRow(ResourceColumns, Base):
    """An algorithm; ``version`` is the newest one that can be used."""

    __tablename__ = "algorithms"
    __table_args__ = (UniqueConstraint("owner", "name"), {"sqlite_autoincrement": True})
    description: Mapped[str]
    version: Mapped[int | None]


class AlgorithmVersionRow(VersionColumns, Base):
    """An immutable version: a code snapshot and the environment it needs."""

    __tablename__ = "algorithm_versions"
    __table_args__ = (UniqueConstraint("algorithm_id", "number"),)
    algorithm_id: Mapped[int] = mapped_column(ForeignKey("algorithms.id"), index=True)
    code_digest: Mapped[str | None]
    build_id: Mapped[int | None] = mapped_column(index=True)


class BuildRow(Base):
    """One making of an environment, shared by all code of a workspace that needs the same; or of an image."""

    __tablename__ = "builds"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    owner: Mapped[str] = mapped_column(index=True)
    name: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="environment")
    request: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    sealed: Mapped[str | None]
    desired: Mapped[str] = mapped_column(server_default="run")
    image_id: Mapped[int | None]
    workspace_id: Mapped[int] = mapped_column(ForeignKey("workspaces.id"))
    digest: Mapped[str] = mapped_column(index=True)
    base: Mapped[str]
    runs: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str | None]
    message: Mapped[str | None]
    image: Mapped[str | None]
    cached: Mapped[bool] = mapped_column(default=False)
    handle: Mapped[dict[str, Any] | None]
    created_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
