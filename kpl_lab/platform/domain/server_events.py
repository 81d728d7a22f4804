"""What happens to notebook servers: the one list of events, for all engines.

Names and ranks are those of the ModelArts manual ("查看Notebook实例事件", tables 1 to 6), where it has
one: 提示 is ``info``, 重要 ``important``, 紧急 ``urgent``. The manual has no queue, so ``Queued``,
``StartDelayed`` and what concerns them are ours, and so are the sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpl_lab.engines.spec import Step
from kpl_lab.platform.storage.records.work import ServerRecord
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store

LEVELS: Mapping[str, str] = {"info": "normal", "important": "normal", "urgent": "error"}


@dataclass(frozen=True, kw_only=True)
class ServerEvent:
    """One kind of event.

    Attributes
    ----------
    name
        As the manual spells it; stands in the event's data as ``event``.
    rank
        ``info``, ``important`` or ``urgent``; stands in the event's data.
    text
        A sentence; ``{name}`` is filled from the facts of one case, which stand in the data too.
    kind
        The word by which open pages know what became different.
    level
        ``normal``, ``warning`` or ``error``; by default as ``LEVELS`` says of the rank.
    """

    name: str
    rank: str
    text: str
    kind: str = "state"
    level: str = ""

    @property
    def shown_level(self) -> str:
        """The level of what is written."""
        return self.level or LEVELS[self.rank]


def _info(name: str, text: str, **more: str) -> ServerEvent:
    return ServerEvent(name=name, rank="info", text=text, **more)


def _important(name: str, text: str, **more: str) -> ServerEvent:
    return ServerEvent(name=name, rank="important", text=text, **more)


def _urgent(name: str, text: str = "{message}", **more: str) -> ServerEvent:
    return ServerEvent(name=name, rank="urgent", text=text, **more)


CREATED = _info("CreateNotebook", "The server is being prepared.", kind="created")
UPDATE_IMAGE = _important(
    "UpdateImage", "The image is {image} now; it was {before}.", kind="updated"
)
UPDATE_FLAVOR = _important(
    "UpdateFlavor", "The limits are {limits} now; they were {before}.", kind="updated"
)
QUEUED = _info("Queued", "{message}", kind="queued")
SCHEDULED = _info("Scheduled", "There is room; the server is starting.", kind="starting")
DELAYED = _important("StartDelayed", "{message}", kind="waiting", level="warning")
PULLING = _info("PullingImage", "The image is being pulled.", kind="image")
PULLED = _info("PulledImage", "The image is there.", kind="image")
HEALTHY = _important("NotebookHealthy", "The server is ready.")
UNHEALTHY = _urgent("NotebookUnhealthy")
STOPPING = _info("StoppingNotebook", "The server is stopping.", kind="stopping")
STOPPED = _important("StopNotebook", "The server has stopped.")
IDLE_SOON = _important(
    "StopNotebookResourceIdle",
    "Nothing runs in the server; it will be stopped in {time}.",
    kind="idle",
    level="warning",
)
IDLE_STOPPED = _important(
    "StopNotebookResourceIdle",
    "The server was stopped: nothing had run in it for {time}.",
    level="warning",
)
GPU_IDLE_SOON = _important(
    "StopNotebookResourceIdle",
    "The server's GPUs compute nothing; it will be stopped in {time}.",
    kind="idle",
    level="warning",
)
GPU_IDLE_STOPPED = _important(
    "StopNotebookResourceIdle",
    "The server was stopped: its GPUs had computed nothing for {time}.",
    level="warning",
)
KEPT_RUNNING = _info("KeepNotebookRunning", "Somebody asked that it keep running.", kind="idle")
MOUNTED = _important(
    "DynamicMountStorage", "The dataset {dataset} is mounted at {path}.", kind="mounted"
)
UNMOUNTED = _important(
    "DynamicUnmountStorage", "The dataset {dataset} is no longer mounted.", kind="unmounted"
)
NOT_MOUNTED = _urgent("MountVolumeFailed", kind="warning")
NOT_MOUNTED_AT_START = _urgent("MountVolumeFailed", kind="warning", level="warning")
IMAGE_SAVED = _important(
    "SaveImage", "The environment was saved as the image {image}.", kind="image"
)

CREATE_FAILED = _urgent("CreateNotebookFailed")
PULL_FAILED = _urgent("PullImageFailed")
CONTAINER_FAILED = _urgent("FailedToStartContainer")
START_FAILED = _urgent("StartNotebookFailed")
OUT_OF_MEMORY = _urgent("OutOfMemory")
PART_OUT_OF_MEMORY = _urgent(
    "OutOfMemory",
    "A kernel or program of the server was ended: its {limit} MiB of memory were used up. The server "
    "itself runs on.",
    kind="memory",
    level="warning",
)
IMAGE_NOT_SAVED = _urgent("SavedImageFailed", kind="image", level="warning")
DISK_FULL = _urgent("EphemeralStorageExceeded")
JUPYTER_KILLED = _urgent("JupyterProcessKilled")

EVENTS: tuple[ServerEvent, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, ServerEvent)
)

# Reason (a code of the fault dictionary or of a refusal) → event, whenever it comes.
_BY_REASON: Mapping[str, ServerEvent] = {
    "never_fits": CREATE_FAILED,
    "no_image": PULL_FAILED,
    "start_failed": CONTAINER_FAILED,
    "out_of_memory": OUT_OF_MEMORY,
    "memory_error": OUT_OF_MEMORY,
    "disk_full": DISK_FULL,
    "no_space": DISK_FULL,
    "disk_limit": DISK_FULL,
    "evicted_disk": DISK_FULL,
    "evicted_memory": OUT_OF_MEMORY,
    "lost": UNHEALTHY,
    **dict.fromkeys(("cluster_quota", "cluster_refused", "cluster_setup"), CREATE_FAILED),
    **dict.fromkeys(
        (
            *("registry_denied", "registry_unreachable", "registry_rate_limited", "registry_http"),
            *("registry_certificate", "image_missing", "image_reference", "wrong_architecture"),
            *("image_never_pulled", "image_signature", "node_certificate"),
        ),
        PULL_FAILED,
    ),
    **dict.fromkeys(
        (
            *("no_jupyter", "entry_missing", "entry_not_executable", "exec_format"),
            *("image_user", "gpu_runtime_missing", "image_runs_as_root", "folder_missing"),
            "config_missing",
        ),
        CONTAINER_FAILED,
    ),
    **dict.fromkeys(
        (
            *("killed", "signal", "child_killed", "segmentation_fault", "illegal_instruction"),
            *("bus_error", "division_trap", "aborted", "native_exception"),
        ),
        JUPYTER_KILLED,
    ),
}
PULLING_REASON = "pulling_image"
"""``reason`` of a starting server whose image is on its way."""
NO_PLACE_REASON = "no_place"
"""``reason`` of a starting server that has room by the platform's books, and no place in the cluster yet."""
REASON_OF_STEP: Mapping[Step, str] = {
    Step.QUEUED: NO_PLACE_REASON,
    Step.SCHEDULED: "being_set_up",
    Step.IMAGE: PULLING_REASON,
}
"""``reason`` of a starting server by where it stands; of one whose container starts it is empty."""


def failure(server: ServerRecord, reason: str | None) -> ServerEvent:
    """Return the event for a bad end of ``server``, as it was until then."""
    if server.state == "starting" and server.reason == PULLING_REASON:
        return PULL_FAILED
    by_default = START_FAILED if server.state in ("pending", "starting") else UNHEALTHY
    return _BY_REASON.get(reason or "", by_default)


def subject(server: ServerRecord) -> Subject:
    """Return the subject of events about a server."""
    return Subject(resource="servers", id=server.id, owner=server.user)


def tell(
    store: Store,
    server: ServerRecord,
    event: ServerEvent,
    data: Mapping[str, Any] | None = None,
    **facts: str | float,
) -> None:
    """Write an event of a server's history, with its sentence.

    Parameters
    ----------
    data
        What pages want to know beside the facts.
    facts
        Fill the sentence, and stand in the event's data for whoever speaks another language.
    """
    store.events.write(
        subject(server),
        event.kind,
        event.text.format_map(facts),
        level=event.shown_level,
        data={**(data or {}), "event": event.name, "rank": event.rank, **_short(facts)},
    )


def _short(facts: Mapping[str, str | float]) -> dict[str, str | float]:
    """Leave out the sentence itself, which the event has as its message, and what is empty."""
    return {name: value for name, value in facts.items() if name != "message" and value != ""}
