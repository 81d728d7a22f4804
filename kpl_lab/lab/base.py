"""The base of all handlers: who may, the error shape, and what counts as activity."""

from __future__ import annotations

import json
import uuid
from typing import Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from pydantic import BaseModel, ValidationError
from tornado import web

from kpl_lab.errors import Invalid, KplError
from kpl_lab.lab.client import Door
from kpl_lab.schemas.common import Problem

AUTH_RESOURCE = "kpl_lab"
PROBLEM_TYPE = "application/problem+json"
_ACTIONS = {"GET": "read", "HEAD": "read", "OPTIONS": "read"}
_CODES = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}

S = TypeVar("S", bound=BaseModel)


class KplHandler(ExtensionHandlerMixin, APIHandler):
    """Authenticates, authorises and answers errors as problem documents."""

    @property
    def door(self) -> Door:
        """The way to the platform."""
        door = self.settings["kpl_lab_door"]
        assert isinstance(door, Door)  # noqa: S101 - set by the extension alone
        return door

    async def prepare(self, *, _redirect_to_login: bool = False) -> None:
        """Refuse whom the server's identity provider or authorizer refuses.

        Done before the body is read, so that a stranger cannot send a gigabyte first.
        """
        await super().prepare()
        if self._finished:
            return
        method = self.request.method or "GET"
        # Reading is what an open tab does by itself; an idle server must stay idle.
        self._track_activity = method not in _ACTIONS
        allowed = self.authorizer.is_authorized(
            self, self.current_user, _ACTIONS.get(method, "write"), AUTH_RESOURCE
        )
        if not (allowed if isinstance(allowed, bool) else await allowed):
            raise web.HTTPError(403)

    def read_body(self, model: type[S]) -> S:
        """Return the JSON body as ``model``.

        Raises
        ------
        Invalid
            It is not JSON, or not what the model asks for; the message names the field.
        """
        try:
            return model.model_validate_json(self.request.body)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "The body"
            raise Invalid(f"{where}: {first['msg']}.", code="invalid_body") from error

    def answer(self, item: BaseModel, status: int = 200) -> None:
        """Answer with ``item`` as JSON."""
        self.set_status(status)
        self.finish(item.model_dump_json())

    def log_exception(self, *exception: Any) -> None:  # noqa: ANN401 - tornado's own signature
        """Log what nobody foresaw with its trace; what users are told, not."""
        if isinstance(exception[1], KplError):
            self.log.debug("%s: %s", exception[1].code, exception[1].message)
        else:
            super().log_exception(*exception)

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ANN401 - tornado's own signature
        """Answer with a problem document: the only place where errors become answers."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        status, problem = problem_of(status_code, error)
        self.set_status(status)
        self.finish(json.dumps(problem.model_dump()), set_content_type=PROBLEM_TYPE)


def problem_of(status: int, error: BaseException | None) -> tuple[int, Problem]:
    """Return the status and document for an error that ended a request."""
    request_id = uuid.uuid4().hex
    if isinstance(error, KplError):
        known = str(error.detail.get("request_id") or request_id)
        return error.http_status, Problem(
            code=error.code, message=error.message, detail=error.detail, request_id=known
        )
    if isinstance(error, web.HTTPError):
        words = {403: "You may not do this here; sign in again."}.get(error.status_code)
        message = error.log_message or words or "The Jupyter server refused the request."
        code = _CODES.get(error.status_code, f"http_{error.status_code}")
        return error.status_code, Problem(code=code, message=message, request_id=request_id)
    return status, Problem(
        code="internal",
        message="The Jupyter server failed at this; its log says more. Try again.",
        request_id=request_id,
    )
