"""Datasets, their versions, records and mounts."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import Field

from kpl_lab.schemas.common import AssetState, ResourceView, Schema, Visibility

DatasetFormat = Literal["auto", "kpl", "files", "image-folder"]


class DatasetCreate(Schema):
    """Make a dataset (or, when the name is the caller's already, its next version)."""

    name: str
    upload: int = Field(description="id of a finished upload: a tar, tar.gz or zip, or one file")
    format: DatasetFormat = "auto"
    description: str = ""
    purpose: str = Field("other", description="classification, detection, …")
    visibility: Visibility = Visibility.PRIVATE
    workspace: str = "default"


class DatasetUpdate(Schema):
    """Change what is said about a dataset; its versions stay as they are."""

    description: str | None = None
    purpose: str | None = None
    visibility: Visibility | None = None


class FieldSchema(Schema):
    """One field of the records."""

    name: str
    type: str = Field(description="String, Int, Float, ByteArray, File, List or Map")


class ClassCount(Schema):
    """How many records carry one class."""

    class_name: str
    count: int


class DatasetVersionView(Schema):
    """One immutable version."""

    id: int
    number: int
    state: AssetState
    created_at: dt.datetime
    records: int | None = None
    bytes: int | None = None
    format: str = "kpl"
    source: str = Field("", description="what it was imported from, in words")
    fields: list[FieldSchema] = []
    classes: list[ClassCount] = []
    skipped: list[str] = Field([], description="files of the import that were left out, and why")
    task_id: int | None = Field(None, description="the task whose output this is")
    reason: str | None = None
    message: str | None = None


class DatasetView(ResourceView):
    """A dataset with the facts of its newest version."""

    description: str
    purpose: str
    version: int | None
    records: int | None
    bytes: int | None
    format: str
    progress: float | None = Field(None, description="0–1 while it is being prepared")


class DatasetDetail(DatasetView):
    """A dataset with all its versions."""

    versions: list[DatasetVersionView]


class RecordView(Schema):
    """One record: bytes become ``{"kind": "bytes"|"image", "size": …, "href": …}``."""

    index: int
    values: dict[str, Any]


class RecordPage(Schema):
    """A page of records in storage order."""

    total: int
    offset: int
    items: list[RecordView]


class MountCreate(Schema):
    """Show a dataset version inside a running notebook server, read-only."""

    dataset: str = Field(description="name or id")
    version: int | None = None


class MountView(Schema):
    """A dataset in a server's file tree."""

    id: int
    server_id: int
    dataset_id: int
    dataset: str
    version: int
    path: str = Field(description="relative to the home folder, e.g. datasets/digits")
    state: Literal["mounting", "mounted", "unmounting", "failed"]
    enforced: bool = Field(description="false where read-only holds by file mode alone")
    reason: str | None = None
    message: str | None = None


class UploadCreate(Schema):
    """Announce bytes that will follow."""

    filename: str
    size: int | None = Field(None, ge=0, description="bytes, when known beforehand")
    is_code: bool = Field(False, description="a code folder, which has a limit of its own")


class UploadView(Schema):
    """How far an upload is."""

    id: int
    filename: str
    size: int | None
    received: int
    complete: bool
