"""Tasks: one run of one function of some code."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from kpl_lab.schemas.common import Remedy, Resources, ResourceView, Schema

FOLDER_LABEL = "kpl-lab/folder"
"""Label of a task that was submitted from a folder: where in the submitter's home it lay."""


class TaskState(StrEnum):
    """The states a user sees; the last three are final."""

    DRAFT = "draft"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more will happen to the task."""
        return self in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.STOPPED)


class TaskInput(Schema):
    """What one input key is filled with."""

    key: str
    kind: Literal["dataset", "model"]
    name: str = Field(description="name or id of the dataset or model")
    version: int | None = Field(None, description="null: the newest ready one")


class SaveAs(Schema):
    """Where one output goes after a successful end."""

    output: str
    kind: Literal["dataset", "model"]
    name: str


class ResourceOverride(Schema):
    """What a submitter changes of the function's declared limits."""

    cpu: float | None = Field(None, gt=0, le=1024)
    memory: int | None = Field(None, ge=16, description="MiB")
    gpu: int | None = Field(None, ge=0)
    shm: int | None = Field(None, ge=0, description="MiB")


class TaskCreate(Schema):
    """Submit (or with ``draft`` only save) a task; exactly one of upload and algorithm is given."""

    name: str | None = Field(None, description="default: function and code folder or algorithm")
    upload: int | None = Field(None, description="a finished upload with the code folder, packed")
    code_name: str | None = Field(None, description="the code folder's name; names the model")
    algorithm: str | None = Field(None, description="name or id, optionally :VERSION")
    function: Literal["train", "test", "infer", "compile"] = "train"
    inputs: list[TaskInput] = []
    parameters: dict[str, Any] = Field(
        {}, description="merged over parameter.yml: nested, or dotted keys"
    )
    resources: ResourceOverride = ResourceOverride.model_construct()
    pool: str | None = Field(None, description="resource pool; null: the caller's first")
    environment: dict[str, str] = Field({}, description="further environment variables")
    save_as: list[SaveAs] = []
    time_limit_seconds: int | None = Field(None, ge=1)
    nodes: int = Field(1, ge=1, le=1024, description="each has the limits of resources")
    processes: int = Field(1, ge=1, le=256, description="on each node")
    launch: Literal["process", "node"] | None = Field(
        None,
        description="process: the command is started once per process; node: once per node, and "
        "starts processes itself (torchrun, mp.spawn); null: by what the command looks like",
    )
    priority: int = Field(0, ge=-100, le=100)
    description: str = ""
    labels: dict[str, str] = {}
    draft: bool = False
    workspace: str = "default"


class TaskUpdate(Schema):
    """Change what is said about a task; ``start`` sends a draft off."""

    name: str | None = None
    description: str | None = None
    labels: dict[str, str] | None = None
    start: bool = False


class QueuePosition(Schema):
    """Why a task waits."""

    ahead: int
    waiting_for: str = Field(description="in words: waiting for 1 GPU; 2 ahead of you")


class TaskView(ResourceView):
    """A task as lists show it."""

    state: TaskState
    function: str
    code_name: str
    algorithm: str | None = Field(None, description="NAME:VERSION")
    description: str
    labels: dict[str, str]
    resources: Resources = Field(description="of each node")
    pool: str = Field("", description="resource pool; empty: there are none")
    nodes: int
    processes: int = Field(description="on each node")
    priority: int
    progress: float | None = Field(None, description="0–1")
    seconds_left: float | None = None
    queue: QueuePosition | None = None
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    exit_code: int | None
    attempt: int
    headline: str = Field("", description="the newest scalar results in one short line")


class TaskOutput(Schema):
    """What became of one output key."""

    key: str
    kind: str
    resource: str | None = Field(None, description="models or datasets")
    resource_id: int | None = None
    name: str | None = None
    version: int | None = None
    bytes: int | None = None
    message: str | None = None


class TaskUsage(Schema):
    """Measured use against the ceilings."""

    cpu_seconds: float = 0.0
    cpu: float | None = Field(None, description="cores in use now")
    memory: int | None = Field(None, description="MiB in use now")
    memory_peak: int | None = Field(None, description="MiB")


class TaskDetail(TaskView):
    """Everything about one task."""

    inputs: list[TaskInput]
    outputs: list[TaskOutput]
    parameters: dict[str, Any]
    environment: dict[str, str]
    save_as: list[SaveAs]
    time_limit_seconds: int | None
    launch: Literal["process", "node"]
    command: str
    files: list[str]
    notices: list[str] = Field([], description="e.g. an image that was replaced by the default")
    remedy: Remedy | None = None
    usage: TaskUsage | None = None


class Series(Schema):
    """One line of a figure; ``x`` and ``y`` have the same length; non-finite values are null."""

    name: str
    type: str = "line"
    x: list[float | None]
    y: list[float | None]
    total: int = Field(description="points stored; more than shown when down-sampled")


class Figure(Schema):
    """One chart."""

    title: str
    series: list[Series]


class CurveResult(Schema):
    """A result curve (``send_curve_result``)."""

    title: str
    x: str
    y: str
    data: list[tuple[float, float]]


class TaskMetrics(Schema):
    """Progress, scalar results, figures and result curves of a task."""

    progress: float | None
    scalars: dict[str, Any]
    curves: list[Figure]
    results: list[CurveResult] = []


class LogPage(Schema):
    """A part of a log, by byte offset."""

    text: str
    offset: int
    next_offset: int
    complete: bool = Field(description="true when the log has ended and all of it was read")
