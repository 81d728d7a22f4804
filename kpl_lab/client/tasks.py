"""``client.tasks``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kpl_lab.client.logged import LoggedResource
from kpl_lab.client.resources import EndedBadly
from kpl_lab.client.transport import Request
from kpl_lab.client.uploads import Progress, source_of_code
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.schemas.common import Event, Page
from kpl_lab.schemas.tasks import (
    FOLDER_LABEL,
    TaskCreate,
    TaskDetail,
    TaskMetrics,
    TaskState,
    TaskUpdate,
    TaskView,
)


class Tasks(LoggedResource[TaskView, TaskDetail]):
    """Tasks: submit, list, get, log, metrics, wait, stop, delete."""

    noun = "tasks"
    page = Page[TaskView]
    detail = TaskDetail

    def submit(
        self,
        body: TaskCreate,
        code: Path | str | None = None,
        *,
        on_progress: Progress | None = None,
    ) -> TaskDetail:
        """Send a task off and return it as it is at once.

        Parameters
        ----------
        body
            Everything but the code folder.
        code
            A folder to pack and send; None where ``body`` names an algorithm or an upload.

        Raises
        ------
        Invalid
            The code, an input or a parameter is wrong; the message says where.
        """
        if code is not None:
            root = Path(code)
            upload = self._uploads.send(source_of_code(root), on_progress)
            sent: dict[str, object] = {
                "upload": upload.id,
                "code_name": body.code_name or root.resolve().name,
            }
            if place := _place(root):
                sent["labels"] = {**place, **body.labels}
            body = body.model_copy(update=sent)
        return self._transport.create("/tasks", body, TaskDetail)

    def wait(
        self,
        ref: str | int,
        *,
        timeout_seconds: float | None = None,
        on_look: Callable[[TaskDetail], None] | None = None,
    ) -> TaskDetail:
        """Return the task when it has ended, in whatever way."""
        task = self.get(ref)
        return wait_until(
            self._events,
            Watch(("tasks",), task.id, timeout_seconds),
            lambda: self.get(task.id),
            lambda found: found.state.is_final,
            on_look,
        )

    def stop(self, ref: str | int, *, wait: bool = True) -> TaskDetail:
        """Ask a task to stop and return it, with ``wait`` when it has ended."""
        task = self.get(ref)
        self._transport.send(Request("POST", self.path(task.id, "stop"), repeatable=True))
        return self.wait(task.id) if wait else self.get(task.id)

    def update(self, ref: str | int, body: TaskUpdate) -> TaskDetail:
        """Change what is said about a task, or send a draft off."""
        task = self.get(ref)
        self._transport.send(Request("PATCH", self.path(task.id), json=body, repeatable=True))
        return self.get(task.id)

    def metrics(self, ref: str | int, *, points: int = 1000) -> TaskMetrics:
        """Return progress, scalar results and curves, each of at most ``points`` points."""
        return self._transport.get(self.path(ref, "metrics"), TaskMetrics, points=points)

    def events(self, ref: str | int) -> Page[Event]:
        """Return what happened to a task, newest first."""
        return self._transport.get(self.path(ref, "events"), Page[Event])

    def succeeded(self, task: TaskDetail) -> TaskDetail:
        """Return ``task`` if it ended with success.

        Raises
        ------
        EndedBadly
            It did not.
        """
        if task.state is not TaskState.SUCCEEDED:
            why = task.message or task.reason or "no reason was given."
            raise EndedBadly(
                f"Task {task.name!r} ({task.id}) {task.state.value}", task, task.reason, why
            )
        return task


def _place(folder: Path) -> dict[str, str]:
    """Return the label that says where in the home the code lies; none where it lies elsewhere."""
    here, home = folder.resolve(), Path.home().resolve()
    return {FOLDER_LABEL: here.relative_to(home).as_posix()} if home in here.parents else {}
