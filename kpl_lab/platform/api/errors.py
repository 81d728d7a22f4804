"""The one place where errors become answers: ``application/problem+json``."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from kpl_lab.errors import KplError
from kpl_lab.platform.api.middleware import MEDIA_TYPE
from kpl_lab.schemas.common import Problem

log = logging.getLogger(__name__)

_WORDS = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "The request is larger than allowed."),
}


def request_id(request: Request) -> str:
    """Return the id of this request; made once, told in the answer and in the log."""
    found = getattr(request.state, "request_id", None)
    if found is None:
        found = request.state.request_id = uuid.uuid4().hex[:16]
    return str(found)


def problem(
    request: Request, status: int, code: str, message: str, detail: dict[str, Any] | None = None
) -> JSONResponse:
    """Return an answer in the one error shape."""
    body = Problem(code=code, message=message, detail=detail or {}, request_id=request_id(request))
    headers = {"WWW-Authenticate": "token"} if status == 401 else None
    return JSONResponse(body.model_dump(), status, headers, media_type=MEDIA_TYPE)


async def on_kpl_error(request: Request, error: Exception) -> JSONResponse:
    """Answer one of our own errors."""
    assert isinstance(error, KplError)  # noqa: S101 (registered for this type alone)
    if error.http_status >= 500:
        log.warning("%s %s: %s", request_id(request), error.code, error.message)
    return problem(request, error.http_status, error.code, error.message, error.detail)


async def on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer the framework's own refusals in our shape."""
    assert isinstance(error, HTTPException)  # noqa: S101
    code, message = _WORDS.get(error.status_code, ("http_error", str(error.detail)))
    answer = problem(request, error.status_code, code, message)
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(methods(request))
    return answer


def methods(request: Request) -> list[str]:
    """Return what this path takes; the framework tells of the first route at a path alone."""
    return [
        method
        for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
        if _takes(request, "GET" if method == "HEAD" else method)
    ]


def _takes(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


async def on_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer a request that does not fit its schema: which field, and what is allowed."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = [
        {"field": ".".join(str(p) for p in e["loc"][1:]), "message": e["msg"], "type": e["type"]}
        for e in error.errors()
    ]
    first = fields[0] if fields else {"field": "body", "message": "is not valid"}
    message = f"{first['field'] or 'The body'}: {first['message']}."
    return problem(request, 422, "invalid", message, {"fields": fields})


async def on_crash(request: Request, error: Exception) -> JSONResponse:
    """Answer what nobody foresaw, without its innards; the log has them."""
    log.error("%s failed", request_id(request), exc_info=error)
    return problem(
        request,
        500,
        "internal",
        "Something went wrong on the platform's side. Try again; if it stays, give an "
        f"administrator this number: {request_id(request)}.",
    )


def install(app: FastAPI) -> None:
    """Register all of the above."""
    app.add_exception_handler(KplError, on_kpl_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_crash)
