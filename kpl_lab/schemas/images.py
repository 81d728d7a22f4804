"""The image catalog: what notebook servers, tasks, services and builds start from."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

from pydantic import Field

from kpl_lab.schemas.common import Resources, ResourceView, Schema, Visibility

PRESET_OWNER = "kpl-lab"
"""Who owns what the administrator's file lists."""
_FOR_EVERYBODY = (Visibility.WORKSPACE, Visibility.PUBLIC, Visibility.PRESET)
Accelerator = Literal["cpu", "gpu"]


class Shared(Protocol):
    """What decides who may use an image."""

    @property
    def owner(self) -> str:
        """Who registered it."""

    @property
    def visibility(self) -> str:
        """For whom it is at all."""

    @property
    def groups(self) -> Collection[str]:
        """Groups of the hub to which it is restricted; empty: to none."""


def is_shown(image: Shared, user: str, groups: Collection[str]) -> bool:
    """Say whether a user in ``groups`` may use an image; administrators may use all."""
    if image.owner == user:
        return True
    return image.visibility in _FOR_EVERYBODY and (
        not image.groups or not set(groups).isdisjoint(image.groups)
    )


class ImageView(ResourceView):
    """An entry of the catalog."""

    state: Literal["preparing", "ready", "failed", "offline"]
    source: Literal["file", "registered", "loaded", "built", "saved"]
    reference: str = Field(description="the engine's: a reference of a registry, or a folder")
    digest: str | None = None
    architecture: str | None = None
    size_bytes: int | None = None
    title: str
    description: str
    documentation: str | None = None
    framework: str
    versions: dict[str, str] = Field(description="e.g. python: 3.11.7, scikit-learn: 1.5.2")
    accelerator: Accelerator
    aliases: list[str] = []
    icon: str | None = None
    groups: list[str] = []
    default: bool = False
    serves_notebooks: bool = Field(
        True, description="whether a notebook server can start from it: it has JupyterLab"
    )
    default_resources: Resources
    max_resources: Resources | None = None


class ImageDetail(ImageView):
    """An entry with everything that was found in it."""

    packages: dict[str, str] = Field(description="Python distributions and their versions")
    variables: dict[str, str] = Field({}, description="set in whatever starts from it")


class CatalogView(Schema):
    """The administrator's file, which lists the presets."""

    file: str = Field(description="its name")
    problem: str | None = Field(
        None, description="why it cannot be used: file, line and reason; the last good one stays"
    )


class Credentials(Schema):
    """What a registry lets a user in with; stored encrypted, never shown."""

    username: str = Field(min_length=1, max_length=200)
    password: str = Field(min_length=1, max_length=4000)


class ImageChanges(Schema):
    """What may be said about an image."""

    title: str | None = Field(None, min_length=1, max_length=200)
    description: str | None = Field(None, max_length=2000)
    documentation: str | None = Field(None, max_length=2000, pattern=r"^(https?://\S+)?$")
    framework: str | None = Field(None, min_length=1, max_length=100)
    accelerator: Accelerator | None = None
    aliases: list[str] | None = Field(None, max_length=20)
    icon: str | None = Field(
        None, max_length=16, description="a letter or sign in place of the framework's first letter"
    )
    visibility: Visibility | None = None
    groups: list[str] | None = Field(None, max_length=50)
    default_resources: Resources | None = None
    max_resources: Resources | None = None
    variables: dict[str, str] | None = None


class ImageCreate(ImageChanges):
    """Register an image that is there already; it is looked at in the background."""

    name: str
    reference: str = Field(min_length=1, max_length=512)
    workspace: str = "default"
    credentials: Credentials | None = None


class ImageUpdate(ImageChanges):
    """Change what is said about an image, who may use it, or whether anybody may."""

    online: bool | None = None
    credentials: Credentials | None = None
