"""The image catalog."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from kpl_lab.platform.storage.orm.base import Base, ResourceColumns


class ImageRow(ResourceColumns, Base):
    """An image; ``credentials`` are encrypted, ``packages`` what was found in it by name."""

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("owner", "name"), {"sqlite_autoincrement": True})
    source: Mapped[str] = mapped_column(index=True)
    position: Mapped[int]
    reference: Mapped[str]
    digest: Mapped[str | None]
    architecture: Mapped[str | None]
    size_bytes: Mapped[int | None]
    packages: Mapped[dict[str, Any]]
    shown_packages: Mapped[list[Any]]
    title: Mapped[str]
    description: Mapped[str]
    documentation: Mapped[str | None]
    framework: Mapped[str]
    accelerator: Mapped[str]
    aliases: Mapped[list[Any]]
    icon: Mapped[str | None]
    groups: Mapped[list[Any]]
    variables: Mapped[dict[str, Any]]
    default_resources: Mapped[dict[str, Any]]
    max_resources: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    is_default: Mapped[bool]
    is_online: Mapped[bool]
    credentials: Mapped[str | None] = mapped_column(Text)
