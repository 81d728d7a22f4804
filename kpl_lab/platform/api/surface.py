"""The surface of code that runs here, as an application of its own: its calls and its errors."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from kpl_lab.errors import KplError
from kpl_lab.platform.api import runtime, saves
from kpl_lab.platform.api.runtime import Answer
from kpl_lab.platform.context import Context

RUNTIME_PREFIX = "/kpl/runtime"
_CODES = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 413: "TooLarge"}


async def _on_error(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, KplError)  # noqa: S101 (registered for this type alone)
    code = _CODES.get(error.http_status, error.code)
    answer = Answer(code=code, msg=error.message)
    return JSONResponse(answer.model_dump(), error.http_status)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    field = ".".join(str(p) for p in first["loc"][1:])
    answer = Answer(code="InvalidParameter", msg=f"{field}: {first['msg']}")
    return JSONResponse(answer.model_dump(), 400)


async def _on_defect(request: Request, error: Exception) -> JSONResponse:
    """Answer in the same shape what nobody has foreseen; the server logs it with its trace."""
    del request, error
    answer = Answer(code="InternalError", msg="The platform failed at this; its log says how.")
    return JSONResponse(answer.model_dump(), 500)


def create_runtime(context: Context) -> FastAPI:
    """Return the surface as an application of its own, with the original error shape."""
    app = FastAPI(title="KPL runtime", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.context = context
    app.add_exception_handler(KplError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_defect)
    app.include_router(runtime.router)
    app.include_router(saves.router)
    return app
