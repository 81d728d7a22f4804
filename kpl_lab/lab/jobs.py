"""Sends that take a while: started by one request, looked at by others."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, Field

from kpl_lab.errors import KplError, NotFound
from kpl_lab.lab.base import problem_of
from kpl_lab.schemas.common import Problem

MAX_AT_ONCE = 4
MAX_KEPT = 100

Report = Callable[[int, int | None], None]
Work = Callable[[Report], BaseModel]


class Stopped(KplError):
    """The user gave the job up."""

    default_code = "stopped"
    http_status = 409


class JobView(BaseModel):
    """How far a job is; bytes are those of the packed folder."""

    id: int
    state: Literal["sending", "done", "failed"]
    sent: int
    total: int | None
    result: dict[str, Any] | None = None
    problem: Problem | None = None
    status: int | None = Field(None, description="the HTTP status that belongs to the problem")


@dataclass
class Job:
    """One send. ``work`` runs in a thread and looks at ``is_stopped`` between parts."""

    id: int
    sent: int = 0
    total: int | None = None
    is_stopped: threading.Event = field(default_factory=threading.Event)
    future: asyncio.Future[BaseModel] | None = None

    def report(self, sent: int, total: int | None) -> None:
        """Take down how far it is.

        Raises
        ------
        Stopped
            It was given up.
        """
        if self.is_stopped.is_set():
            raise Stopped("This was given up; nothing was made.")
        self.sent, self.total = sent, total

    def view(self) -> JobView:
        """Return how far it is."""
        facts: dict[str, Any] = {"id": self.id, "sent": self.sent, "total": self.total}
        if self.future is None or not self.future.done():
            return JobView(state="sending", **facts)
        error = self.future.exception()
        if error is not None:
            status, problem = problem_of(500, error)
            return JobView(state="failed", problem=problem, status=status, **facts)
        return JobView(state="done", result=self.future.result().model_dump(mode="json"), **facts)


class Jobs:
    """The jobs of this server; the oldest finished ones are forgotten."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._threads = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix="kpl-lab-send")

    def start(self, work: Work) -> Job:
        """Start ``work`` in a thread and return its job."""
        job = Job(next(self._numbers))
        loop = asyncio.get_running_loop()
        job.future = loop.run_in_executor(self._threads, work, job.report)
        # Whoever looks at the job sees its error; nobody having looked is no reason to complain.
        job.future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._jobs[job.id] = job
        finished = [j.id for j in self._jobs.values() if j.future is not None and j.future.done()]
        for number in finished[: max(0, len(self._jobs) - MAX_KEPT)]:
            del self._jobs[number]
        return job

    def get(self, number: int) -> Job:
        """Return a job.

        Raises
        ------
        NotFound
            There is none, or it ended long ago.
        """
        try:
            return self._jobs[number]
        except KeyError as error:
            raise NotFound(
                "There is no such job; the server may have been restarted. Start it again.",
                code="no_job",
            ) from error

    def close(self) -> None:
        """Stop all jobs and wait for none of them."""
        for job in self._jobs.values():
            job.is_stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
