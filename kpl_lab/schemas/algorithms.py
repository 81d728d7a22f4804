"""Algorithms: checked, versioned code with a locked environment."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from kpl_lab.schemas.common import AssetState, Resources, ResourceView, Schema, Visibility


class AlgorithmCreate(Schema):
    """Publish a code folder; a name that is the caller's already becomes the next version."""

    name: str
    upload: int = Field(description="id of a finished upload: a tar or zip of the folder")
    description: str = ""
    visibility: Visibility = Visibility.PRIVATE
    workspace: str = "default"


class AlgorithmUpdate(Schema):
    """Change what is said about an algorithm."""

    description: str | None = None
    visibility: Visibility | None = None


class PortView(Schema):
    """An input or output of a function."""

    key: str
    name: str
    kind: str = Field(description="inputs: dataset or model; outputs: dataset, model or files")
    optional: bool = False
    format: str | None = None
    is_kind_declared: SkipJsonSchema[bool] = Field(
        False, exclude=True, description="whether the file says the kind; else its key tells it"
    )


class FunctionView(Schema):
    """One of train, test, infer, deploy, compile as ``environment.yml`` declares it."""

    name: str
    cmd: str
    resources: Resources
    inputs: list[PortView]
    outputs: list[PortView]
    port: int | None = None
    health: str | None = None
    interface: list[dict[str, Any]] = []


class FormDescription(Schema):
    """What a submit form needs: functions, and the parameters as a JSON schema with defaults."""

    functions: list[FunctionView]
    parameter_schema: dict[str, Any]
    parameter_defaults: dict[str, Any]
    warnings: list[str] = []


class AlgorithmVersionView(Schema):
    """One immutable version."""

    id: int
    number: int
    state: AssetState
    created_at: dt.datetime
    functions: list[FunctionView] = []
    environment: str | None = Field(None, description="digest of the locked environment")
    build_id: int | None = None
    reason: str | None = None
    message: str | None = None


class AlgorithmView(ResourceView):
    """An algorithm with the facts of its newest usable version."""

    description: str
    version: int | None
    functions: list[str]


class AlgorithmDetail(AlgorithmView):
    """An algorithm with all its versions, its README and its form."""

    versions: list[AlgorithmVersionView]
    readme: str
    form: FormDescription | None
    files: list[str]
    notices: list[str] = Field([], description="e.g. an image that the default stands in for")
