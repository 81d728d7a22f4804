"""Builds: the making of an environment or of an image for the catalog."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from kpl_lab.schemas.common import ResourceView, Schema
from kpl_lab.schemas.images import Credentials, ImageChanges

MAX_TEXT = 256 * 1024
MAX_SECRET = 64 * 1024


class BuildState(StrEnum):
    """States of a build."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"


class BuildKind(StrEnum):
    """What a build is made from."""

    ENVIRONMENT = "environment"
    """Lines of ``environment.yml``."""
    REQUIREMENTS = "requirements"
    DOCKERFILE = "dockerfile"
    ARCHIVE = "archive"


class BuildView(ResourceView):
    """One making of a locked, cached environment or of an image; named after the image."""

    kind: BuildKind
    state: BuildState
    finished_at: dt.datetime | None
    digest: str
    cached: bool
    for_catalog: bool = Field(description="whether it makes an image; else what code needs")
    image_id: int | None = Field(None, description="id of the catalog's image that it has made")
    pushed_to: str | None = Field(None, description="where the image was to be sent")


class DockerfileSource(Schema):
    """A Dockerfile with what it copies."""

    text: str = Field(max_length=MAX_TEXT)
    upload: int | None = Field(
        None, description="id of a finished upload: a tar of the context, not compressed"
    )
    arguments: dict[str, str] = {}
    target: str | None = Field(None, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    secrets: dict[str, str] = Field(
        {}, description="what RUN --mount=type=secret reads; stored encrypted, forgotten at the end"
    )
    use_cache: bool = True


class PushTarget(Schema):
    """A registry to send the image to."""

    reference: str = Field(min_length=1, max_length=512)
    credentials: Credentials | None = None


class BuildCreate(ImageChanges):
    """Make an image for the catalog from exactly one source; its name becomes or stays yours."""

    name: str
    workspace: str = "default"
    dockerfile: DockerfileSource | None = None
    environment_yml: str | None = Field(
        None, max_length=MAX_TEXT, description="the file's text; its `image` alone counts"
    )
    requirements: str | None = Field(
        None, max_length=MAX_TEXT, description="the text of a requirements file"
    )
    archive: int | None = Field(
        None, description="id of a finished upload: what `docker save` has written"
    )
    base: str | None = Field(None, description="image below requirements; null: the default")
    server: int | None = Field(
        None, description="notebook server of the caller's: requirements are what was added to it"
    )
    push: PushTarget | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.dockerfile, self.environment_yml, self.requirements, self.archive)
        if sum(one is not None for one in sources) != 1:
            raise ValueError(
                "give exactly one of dockerfile, environment_yml, requirements and archive"
            )
        return self
