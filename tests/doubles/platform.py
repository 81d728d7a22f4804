"""A small platform in memory that speaks the schemas over real HTTP.

Only for what tests need to steer: what ends when and how, which answers get lost, when nobody
answers. What the platform really does is tested with the real one.
"""

from __future__ import annotations

import datetime as dt
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from kpl_lab.errors import NotFound
from kpl_lab.schemas.common import Event
from kpl_lab.schemas.datasets import (
    MountView,
    UploadCreate,
)
from kpl_lab.schemas.pools import Amount, PoolView
from kpl_lab.schemas.servers import CapacityView, ServerView
from kpl_lab.schemas.tasks import TaskMetrics

API = "/kpl/api/v1"


TOKEN = "right-token"


NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


Row = dict[str, Any]


_RESOURCES = {"cpu": 1, "memory": 512, "gpu": 0, "shm": 64}


def packed(files: dict[str, bytes]) -> bytes:
    """Return a tar of ``files``."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Return the files of a tar."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = [(m.name, tar.extractfile(m)) for m in tar if m.isfile()]
        return {name: content.read() for name, content in members if content}


def capacity(*pools: PoolView) -> CapacityView:
    """Return what a small machine has, a part of it in use."""
    some = Amount(limit=8, used=2)
    return CapacityView(
        cpu=some, cores=2, memory=some, gpu=some, queued_tasks=0, running_tasks=0,
        storage_free_bytes=1, pools=list(pools),
    )  # fmt: skip


@dataclass
class Platform:
    """The double's state and the switches of the tests.

    Attributes
    ----------
    ends
        What a create's version, or a task, becomes: state, reason, message.
    before_request
        Called with each request; may raise a ``KplError`` to refuse it.
    lose_answers
        So many answers to upload parts are lost after the part was stored.
    called
        How many calls to services came.
    calls_without_routes
        So many calls to services meet a front door that has not read its routes yet.
    """

    rows: dict[str, list[Row]] = field(default_factory=lambda: {noun: [] for noun in MORE})
    uploads: dict[int, bytearray] = field(default_factory=dict)
    announced: dict[int, UploadCreate] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)
    servers: list[ServerView] = field(default_factory=list)
    mounts: list[MountView] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    logs: dict[str, tuple[str, bool]] = field(default_factory=dict)
    metrics: TaskMetrics = field(
        default_factory=lambda: TaskMetrics(progress=None, scalars={}, curves=[])
    )
    download: bytes = b""
    ends: tuple[str, str | None, str | None] = ("ready", None, None)
    before_request: Callable[[Request], None] = lambda request: None
    lose_answers: int = 0
    calls_without_routes: int = 0
    called: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    idempotent: dict[str, Row] = field(default_factory=dict)
    streams: int = 0
    user: str = "ada"
    capacity: CapacityView = field(default_factory=capacity)

    def tell(self, resource: str, number: int, kind: str = "updated") -> None:
        """Put an event into the stream."""
        self.events.append(
            Event(
                id=len(self.events) + 1, time=NOW, resource=resource, resource_id=number, kind=kind
            )
        )

    def find(self, noun: str, ref: str) -> Row:
        """Return the newest row of that id or name."""
        for row in reversed(self.rows[noun]):
            if ref in (str(row["id"]), row["name"]):
                return row
        raise NotFound(f"There is no {noun.removesuffix('s')} {ref!r} here.")

    def add(self, noun: str, name: str, **fields: Any) -> Row:
        """Make a row with all that its detail needs."""
        row: Row = {
            "id": len(self.rows[noun]) + 1,
            "name": name,
            "state": "ready",
            "created_at": NOW,
            "updated_at": NOW,
            "owner": self.user,
            "workspace": "default",
            "visibility": "private",
            "reason": None,
            "message": None,
            **({} if noun == "builds" else {"description": ""}),
            **MORE[noun],
            **fields,
        }
        self.rows[noun].append(row)
        self.tell(noun, row["id"], "created")
        return row

    def end(self, noun: str, row: Row) -> None:
        """Bring a row to the end that the test chose, as the controller would."""
        state, reason, message = self.ends
        row.update(state=state, reason=reason, message=message)
        for version in row.get("versions", []):
            if version["state"] == "preparing":
                version.update(state=state, reason=reason, message=message)
                if state == "ready":
                    row["version"] = version["number"]
        if noun == "tasks":
            self.logs[f"tasks:{row['id']}"] = (
                self.logs.get(f"tasks:{row['id']}", ("", False))[0],
                True,
            )
        self.tell(noun, row["id"])


MORE: dict[str, Row] = {
    "builds": {
        "kind": "dockerfile",
        "finished_at": None,
        "digest": "",
        "cached": False,
        "for_catalog": True,
    },
    "datasets": {
        "purpose": "other",
        "version": None,
        "records": None,
        "bytes": None,
        "format": "kpl",
        "progress": None,
        "versions": [],
    },
    "models": {"version": None, "bytes": None, "task_id": None, "versions": []},
    "algorithms": {
        "version": None,
        "functions": [],
        "versions": [],
        "readme": "",
        "form": None,
        "files": [],
    },
    "tasks": {
        "function": "train",
        "code_name": "digits",
        "labels": {},
        "resources": _RESOURCES,
        "priority": 0,
        "started_at": None,
        "finished_at": None,
        "exit_code": None,
        "attempt": 1,
        "nodes": 1,
        "processes": 1,
        "launch": "process",
        "inputs": [],
        "outputs": [],
        "parameters": {},
        "environment": {},
        "save_as": [],
        "time_limit_seconds": None,
        "command": "python3 train.py",
        "files": [],
    },
    "services": {
        "url": "/svc/default/digits/",
        "access": "private",
        "replicas": 1,
        "ready": 0,
        "code_name": "digits",
        "resources": _RESOURCES,
        "instances": [],
        "interface": [],
        "parameters": {},
        "environment": {},
    },
}
