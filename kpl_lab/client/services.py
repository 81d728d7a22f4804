"""``client.services``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from kpl_lab.client.events import Events
from kpl_lab.client.resources import EndedBadly, Resource
from kpl_lab.client.transport import Request, Transport
from kpl_lab.client.uploads import Progress, Uploads, source_of_code
from kpl_lab.client.waiting import Watch, wait_until
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.services import (
    ServiceCreate,
    ServiceDetail,
    ServiceState,
    ServiceUpdate,
    ServiceView,
)
from kpl_lab.schemas.tasks import LogPage

NO_ROUTES = b"404 page not found\n"
"""What a front door says that has not read its routes yet."""
# Longer than a front door that was just started takes to read its routes.
_ROUTES_SECONDS = 1.0

Look = Callable[[ServiceDetail], None]


class Services(Resource[ServiceView, ServiceDetail]):
    """Services: deploy, list, get, call, log, scale, stop, start, delete.

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
        if code is not None:
            root = Path(code)
            upload = self._uploads.send(source_of_code(root), on_progress)
            sent = {"upload": upload.id, "code_name": body.code_name or root.resolve().name}
            body = body.model_copy(update=sent)
        return self._transport.create("/services", body, ServiceDetail)

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

    def log(self, ref: str | int, *, replica: int = 0, offset: int = 0) -> LogPage:
        """Return a part of what one replica printed, by byte offset."""
        path = self.path(ref, "log")
        return self._transport.get(path, LogPage, replica=replica, offset=offset)


def has_no_routes(answer: httpx.Response) -> bool:
    """Say whether the front door, just started again, had not read its routes yet.

    Then no service saw the request. What services answer, their own 404s too, carries a policy.
    """
    is_bare = "content-security-policy" not in answer.headers
    return answer.status_code == 404 and is_bare and answer.content == NO_ROUTES


def _is_settled(service: ServiceDetail) -> bool:
    if service.state in (ServiceState.FAILED, ServiceState.STOPPED):
        return True
    return service.state is ServiceState.RUNNING and service.ready == service.replicas
