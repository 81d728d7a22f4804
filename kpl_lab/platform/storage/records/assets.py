"""Records of uploads, datasets, models, algorithms and builds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from kpl_lab.platform.storage.records.workspaces import Resource


@dataclass(frozen=True, kw_only=True)
class UploadRecord:
    """Bytes on their way in."""

    id: int
    owner: str
    filename: str
    size: int | None
    received: int
    complete: bool
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True)
class Version:
    """What every version of an asset has."""

    id: int
    number: int
    state: str
    reason: str | None
    message: str | None
    created_at: dt.datetime
    bytes: int | None
    task_id: int | None
    upload_id: int | None


@dataclass(frozen=True, kw_only=True)
class Asset(Resource):
    """What datasets, models and algorithms have in common; ``version`` is the one in use."""

    description: str
    version: int | None


@dataclass(frozen=True, kw_only=True)
class DatasetRecord(Asset):
    """A dataset."""

    purpose: str


@dataclass(frozen=True, kw_only=True)
class DatasetVersionRecord(Version):
    """A dataset's version."""

    dataset_id: int
    format: str
    source: str
    records: int | None
    progress: float | None
    fields: list[Any]
    classes: list[Any]
    skipped: list[Any]


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Asset):
    """A model."""


@dataclass(frozen=True, kw_only=True)
class ModelVersionRecord(Version):
    """A model's version."""

    model_id: int
    files: list[Any]
    metrics: dict[str, Any]
    parameters: dict[str, Any]
    lineage: list[Any]


@dataclass(frozen=True, kw_only=True)
class AlgorithmRecord(Asset):
    """An algorithm."""


@dataclass(frozen=True, kw_only=True)
class AlgorithmVersionRecord(Version):
    """An algorithm's version."""

    algorithm_id: int
    code_digest: str | None
    build_id: int | None


@dataclass(frozen=True, kw_only=True)
class BuildRecord:
    """One making of an environment or image.

    Attributes
    ----------
    name
        The catalog's image that it makes; None: an environment for code.
    request
        What is to be made where it is more than base and lines; see ``domain.image_builds``.
    sealed
        Secrets and passwords, encrypted; None once it has ended.
    desired
        ``run`` or ``stop``.
    """

    id: int
    owner: str
    name: str | None
    kind: str
    request: dict[str, Any]
    sealed: str | None
    desired: str
    image_id: int | None
    workspace_id: int
    digest: str
    base: str
    runs: list[Any]
    state: str
    reason: str | None
    message: str | None
    image: str | None
    cached: bool
    handle: dict[str, Any] | None
    created_at: dt.datetime
    finished_at: dt.datetime | None
