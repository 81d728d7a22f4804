"""Models: numbered versions with files, metrics and lineage."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import Field

from kpl_lab.schemas.common import AssetState, ResourceView, Schema, Visibility


class ModelCreate(Schema):
    """Make a model, or the next version of the caller's model of that name."""

    name: str
    upload: int
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    workspace: str = "default"


class ModelUpdate(Schema):
    """Change what is said about a model."""

    description: str | None = None
    visibility: Visibility | None = None


class LineageLink(Schema):
    """One thing that a version was made from or is used by."""

    kind: str = Field(description="dataset, model, algorithm, task or service")
    relation: str = Field(description="input, code, made_by or used_by")
    id: int
    name: str
    version: int | None = None
    key: str | None = None


class ModelFile(Schema):
    """A file of a version."""

    path: str
    bytes: int


class ModelVersionView(Schema):
    """One immutable version."""

    id: int
    number: int
    state: AssetState
    created_at: dt.datetime
    bytes: int | None = None
    files: list[ModelFile] = []
    metrics: dict[str, Any] = Field({}, description="scalar results of the task it came from")
    parameters: dict[str, Any] = {}
    task_id: int | None = None
    lineage: list[LineageLink] = []
    reason: str | None = None
    message: str | None = None


class ModelView(ResourceView):
    """A model with the facts of its newest version."""

    description: str
    version: int | None
    bytes: int | None
    task_id: int | None = None


class ModelDetail(ModelView):
    """A model with all its versions."""

    versions: list[ModelVersionView]
