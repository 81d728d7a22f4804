"""Records of the image catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kpl_lab.platform.storage.records.workspaces import Resource

FILE = "file"
"""The source of what the administrator's file lists."""
# Each server runs one of them.
_SERVER_PACKAGES = ("jupyterlab", "kpl-lab")


@dataclass(frozen=True, kw_only=True)
class ImageRecord(Resource):
    """An image of the catalog.

    Attributes
    ----------
    source
        ``file``, ``registered``, ``loaded``, ``built`` or ``saved``.
    position
        Its place in the file, from 0; of no meaning for others.
    reference
        What the engine knows it by.
    packages
        Versions of the Python distributions in it, and of ``python``; empty before it is ready.
    shown_packages
        Those of them that cards show.
    """

    source: str
    position: int
    reference: str
    digest: str | None
    architecture: str | None
    size_bytes: int | None
    packages: dict[str, Any]
    shown_packages: list[Any]
    title: str
    description: str
    documentation: str | None
    framework: str
    accelerator: str
    aliases: list[Any]
    icon: str | None
    groups: list[Any]
    variables: dict[str, Any]
    default_resources: dict[str, Any]
    max_resources: dict[str, Any] | None
    is_default: bool
    is_online: bool
    credentials: str | None

    @property
    def is_of_file(self) -> bool:
        """Whether the administrator's file lists it, and alone changes it."""
        return self.source == FILE

    @property
    def serves_notebooks(self) -> bool:
        """Whether a notebook server can start from it."""
        return all(name in self.packages for name in _SERVER_PACKAGES)

    @property
    def is_usable(self) -> bool:
        """Whether anything can start from it now."""
        return self.state == "ready" and self.is_online
