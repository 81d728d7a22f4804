"""Workspaces, and what concerns the whole installation: events, tokens, repeated creates."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kpl_lab.platform.storage.orm.base import Base


class WorkspaceRow(Base):
    """A workspace; every resource belongs to one."""

    __tablename__ = "workspaces"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[dt.datetime]


class EventRow(Base):
    """A change that somebody may want to hear of; written with the change itself."""

    __tablename__ = "events"
    # AUTOINCREMENT: an id is never given twice, so a stream can be resumed after a deletion.
    __table_args__ = (
        Index("ix_events_thing", "resource", "resource_id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[dt.datetime]
    owner: Mapped[str]
    visibility: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[int]
    kind: Mapped[str]
    level: Mapped[str] = mapped_column(default="normal")
    message: Mapped[str] = mapped_column(default="")
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class TokenRow(Base):
    """A token of a task, service or notebook: known by hash, revocable, ends with its subject."""

    __tablename__ = "tokens"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    digest: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    subject_id: Mapped[int] = mapped_column(index=True)
    owner: Mapped[str]
    created_at: Mapped[dt.datetime]
    expires_at: Mapped[dt.datetime | None]
    revoked: Mapped[bool] = mapped_column(default=False)


class IdempotencyRow(Base):
    """What a create with an ``Idempotency-Key`` made, so that a repeated one makes nothing."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("owner", "key"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    owner: Mapped[str]
    key: Mapped[str]
    resource: Mapped[str]
    resource_id: Mapped[int]
    created_at: Mapped[dt.datetime]


class LeaseRow(Base):
    """Who does alone what only one process may do; each holder begins an epoch of its own."""

    __tablename__ = "leases"
    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    epoch: Mapped[int]
    until: Mapped[dt.datetime]


class MarkRow(Base):
    """A word that the installation has to know of itself."""

    __tablename__ = "marks"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
