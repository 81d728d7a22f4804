"""``client.services``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import httpx

from kpl_lab.client.events import Events
from kpl_lab.client.resources import EndedBadly, Resource
from kpl_lab.client.transport import Request, Transport
from kpl_lab.client.uploads import Progress, Uploads, source_of_code
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.services import (
    RevisionCreate,
    RevisionRole,
    RevisionView,
    ServiceCreate,
    ServiceDetail,
    ServiceState,
    ServiceUpdate,
    ServiceView,
    TrafficUpdate,
)
from kpl_lab.schemas.tasks import LogPage

NO_ROUTES = b"404 page not found\n"
"""What a front door says that has not read its routes yet."""
# Longer than a front door that was just started takes to read its routes.
_ROUTES_SECONDS = 1.0

Look = Callable[[ServiceDetail], None]
B = TypeVar("B", ServiceCreate, RevisionCreate)


class Services(Resource[ServiceView, ServiceDetail]):
    """Services: deploy, list, get, call, log, scale, stop, start, delete; their revisions.

    Parameters
    ----------
    front_door
        Where services answer.
    """

    noun = "services"
    page = Page[ServiceView]
    detail = ServiceDetail

    def __init__(
        self, transport: Transport, uploads: Uploads, events: Events, *, front_door: Transport
    ) -> None:
        super().__init__(transport, uploads, events)
        self._front_door = front_door

    def deploy(
        self,
        body: ServiceCreate,
        code: Path | str | None = None,
        *,
        on_progress: Progress | None = None,
    ) -> ServiceDetail:
        """Ask for a service and return it as it is at once; ``wait_ready`` waits.

        Parameters
        ----------
        code
            A folder to pack and send; None where ``body`` names an algorithm or an upload.
        """
        return self._transport.create(
            "/services", self._with_code(body, code, on_progress), ServiceDetail
        )

    def _with_code(self, body: B, code: Path | str | None, on_progress: Progress | None) -> B:
        """Return a request with the code that was sent for it, if there is any."""
        if code is None:
            return body
        root = Path(code)
        upload = self._uploads.send(source_of_code(root), on_progress)
        sent = {"upload": upload.id, "code_name": body.code_name or root.resolve().name}
        return body.model_copy(update=sent)

    def revise(
        self,
        ref: str | int,
        body: RevisionCreate,
        code: Path | str | None = None,
        *,
        on_progress: Progress | None = None,
    ) -> ServiceDetail:
        """Ask for a candidate beside the current revision and return the service at once.

        Parameters
        ----------
        code
            A folder to pack and send; None where the code stays, or ``body`` names it.
        """
        path = self.path(self.get(ref).id, "revisions")
        return self._transport.create(path, self._with_code(body, code, on_progress), ServiceDetail)

    def set_traffic(self, ref: str | int, weight: int) -> ServiceDetail:
        """Let the candidate have so many percent of the calls."""
        body = TrafficUpdate(weight=weight)
        request = Request("PUT", self.path(ref, "traffic"), json=body, repeatable=True)
        return self._transport.call(request, ServiceDetail)

    def promote(self, ref: str | int) -> ServiceDetail:
        """Make the candidate the current revision."""
        return self._transport.call(Request("POST", self.path(ref, "promote")), ServiceDetail)

    def roll_back(self, ref: str | int) -> ServiceDetail:
        """Start the previous revision; it becomes the current one when it is ready."""
        return self._transport.call(Request("POST", self.path(ref, "rollback")), ServiceDetail)

    def drop_revision(self, ref: str | int, role: RevisionRole) -> ServiceDetail:
        """End the candidate, or forget the previous revision."""
        service = self.get(ref)
        self._transport.send(Request("DELETE", self.path(service.id, "revisions", role.value)))
        return self.get(service.id)

    def wait_revision(
        self,
        ref: str | int,
        number: int,
        *,
        timeout_seconds: float | None = None,
        on_look: Look | None = None,
    ) -> ServiceDetail:
        """Return the service when a candidate is ready, or promoted where it is to be.

        Raises
        ------
        EndedBadly
            It failed, or was dropped meanwhile.
        NotDoneInTime
            ``timeout_seconds`` are over; what runs goes on.
        """

        def is_done(service: ServiceDetail) -> bool:
            found = live_revision(service, number)
            if found is None or found.state in (ServiceState.FAILED, ServiceState.STOPPED):
                return True
            is_there = found.role is RevisionRole.CURRENT or not found.is_promoted_when_ready
            return is_there and found.state is ServiceState.RUNNING

        service = self._wait(ref, is_done, timeout_seconds, on_look)
        found = live_revision(service, number)
        if found is None or found.state is not ServiceState.RUNNING:
            why = (found.message if found else None) or "it was dropped."
            what = f"Revision {number} of service {service.name!r} does not run"
            raise EndedBadly(what, service, None, why)
        return service

    def wait_ready(
        self, ref: str | int, *, timeout_seconds: float | None = None, on_look: Look | None = None
    ) -> ServiceDetail:
        """Return the service when all its replicas are ready, and no more than those run.

        Raises
        ------
        EndedBadly
            It failed, or was stopped meanwhile.
        NotDoneInTime
            ``timeout_seconds`` are over; what runs goes on.
        """
        service = self._wait(ref, _is_settled, timeout_seconds, on_look)
        if service.state is not ServiceState.RUNNING:
            why = service.message or service.reason or f"it is {service.state.value}."
            raise EndedBadly(f"Service {service.name!r} does not run", service, service.reason, why)
        return service

    def wait_stopped(
        self, ref: str | int, *, timeout_seconds: float | None = None, on_look: Look | None = None
    ) -> ServiceDetail:
        """Return the service when none of its replicas runs."""

        def is_stopped(service: ServiceDetail) -> bool:
            return service.state in (ServiceState.STOPPED, ServiceState.FAILED)

        return self._wait(ref, is_stopped, timeout_seconds, on_look)

    def _wait(
        self,
        ref: str | int,
        is_done: Callable[[ServiceDetail], bool],
        timeout_seconds: float | None,
        on_look: Look | None,
    ) -> ServiceDetail:
        service = self.get(ref)
        return wait_until(
            self._events,
            Watch(("services",), service.id, timeout_seconds),
            lambda: self.get(service.id),
            is_done,
            on_look,
        )

    def call(self, ref: str | int, request: Request) -> httpx.Response:
        """Send ``request``, whose path is below the service's address, and return its answer.

        Raises
        ------
        Unavailable
            The front door does not answer.
        """
        service = self.get(ref)
        path = f"{service.url.rstrip('/')}/{request.path.lstrip('/')}"
        deadline = time.monotonic() + _ROUTES_SECONDS
        while True:
            answer = self._front_door.exchange(replace(request, path=path))
            if not has_no_routes(answer) or time.monotonic() > deadline:
                return answer
            time.sleep(_ROUTES_SECONDS / 10)

    def update(self, ref: str | int, body: ServiceUpdate) -> ServiceDetail:
        """Scale, stop, start or change access, and return it as it is at once."""
        service = self.get(ref)
        request = Request("PATCH", self.path(service.id), json=body, repeatable=True)
        self._transport.send(request)
        return self.get(service.id)

    def log(
        self,
        ref: str | int,
        *,
        replica: int = 0,
        offset: int = 0,
        revision: RevisionRole = RevisionRole.CURRENT,
    ) -> LogPage:
        """Return a part of what one replica printed, by byte offset."""
        path = self.path(ref, "log")
        return self._transport.get(
            path, LogPage, replica=replica, offset=offset, revision=revision.value
        )


def has_no_routes(answer: httpx.Response) -> bool:
    """Say whether the front door, just started again, had not read its routes yet.

    Then no service saw the request. What services answer, their own 404s too, carries a policy.
    """
    is_bare = "content-security-policy" not in answer.headers
    return answer.status_code == 404 and is_bare and answer.content == NO_ROUTES


def live_revision(service: ServiceDetail, number: int) -> RevisionView | None:
    """Return the current revision or the candidate, if it has that number."""
    live = (r for r in service.revisions if r.role is not RevisionRole.PREVIOUS)
    return next((one for one in live if one.number == number), None)


def _is_settled(service: ServiceDetail) -> bool:
    if service.state in (ServiceState.FAILED, ServiceState.STOPPED):
        return True
    return service.state is ServiceState.RUNNING and service.ready == service.replicas
