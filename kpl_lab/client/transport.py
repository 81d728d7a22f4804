"""Requests to one base address with a token: encoded, tried again where that is safe, checked."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from kpl_lab import __version__
from kpl_lab.client.failures import error_from, interrupted, unreachable
from kpl_lab.errors import Invalid, Unavailable
from kpl_lab.retry import backoff

M = TypeVar("M", bound=BaseModel)
Param = str | int | float | bool | None

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
DEFAULT_RETRY_SECONDS = 4.0
"""Longer than the supervisor takes to restart a process that died."""


@dataclass(frozen=True)
class Request:
    """One request as values.

    Attributes
    ----------
    content
        Raw bytes of the body, in place of ``json``.
    files
        Fields of a multipart form: name to file name and open file.
    repeatable
        Whether sending it twice does no harm; None: decided by the method.
    """

    method: str
    path: str
    json: BaseModel | Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    files: Mapping[str, tuple[str, BinaryIO]] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool | None = None

    @property
    def is_repeatable(self) -> bool:
        """Tell whether the request may be sent again after a lost answer."""
        if self.repeatable is not None:
            return self.repeatable
        return self.method in ("GET", "PUT", "DELETE") or "Idempotency-Key" in self.headers


class Transport:
    """One base address, one token.

    Parameters
    ----------
    base_url
        What every path is below, e.g. ``http://127.0.0.1:8000/kpl/api/v1``.
    token
        Sent as ``Authorization: token …``; never shown in errors or ``repr``.
    transport
        An httpx transport in place of the network, for tests.
    retry_seconds
        For how long a request that may be repeated is tried while nobody answers.
    sleep
        How to wait between the tries.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        transport: httpx.BaseTransport | None = None,
        retry_seconds: float = DEFAULT_RETRY_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.retry_seconds = retry_seconds
        self.sleep = sleep
        self._http = httpx.Client(
            base_url=self.base_url,
            headers={"Authorization": f"token {token}", "User-Agent": f"kpl/{__version__}"},
            timeout=httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            transport=transport,
            follow_redirects=False,
            # The platform is near; a proxy of the environment would only see its tokens.
            trust_env=False,
        )

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, model: type[M], **params: Param) -> M:
        """Return what lies at ``path`` as ``model``; parameters that are None are left out."""
        return self.call(Request("GET", path, params=params), model)

    def create(self, path: str, body: BaseModel, model: type[M]) -> M:
        """Make something, safely even when the answer is lost, and return it."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return self.call(Request("POST", path, json=body, headers=key), model)

    def call(self, request: Request, model: type[M]) -> M:
        """Send ``request`` and return the answer as ``model``.

        Raises
        ------
        KplError
            Of the class that the answer's problem details name; ``Unavailable`` where nobody
            answers or the answer is not one of the platform.
        """
        response = self.send(request)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise Unavailable(
                f"{self.base_url} did not answer as this version ({__version__}) of kpl expects; "
                "are both of the same version? `kpl version` tells.",
                code="wrong_answer",
                detail={"path": request.path, "cause": str(error)},
            ) from error

    def send(self, request: Request) -> httpx.Response:
        """Send ``request``, again while nobody answers, and return the checked answer."""
        deadline = time.monotonic() + self.retry_seconds
        for wait in backoff(0.1, max_seconds=1.0):
            try:
                return self._once(request)
            except Unavailable as error:
                again = request.is_repeatable or error.code == "unreachable"
                if not again or time.monotonic() + wait > deadline:
                    raise
            self.sleep(wait)
        raise AssertionError("back-off never ends")

    def _once(self, request: Request) -> httpx.Response:
        response = self.exchange(request)
        if response.status_code >= 300:
            raise error_from(response)
        return response

    def exchange(self, request: Request) -> httpx.Response:
        """Send ``request`` once and return the answer, whatever its status.

        Raises
        ------
        Unavailable
            Nobody answered.
        """
        try:
            return self._http.send(self._build(request))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise unreachable(self.base_url, error) from error
        except httpx.TransportError as error:
            raise interrupted(self.base_url, error) from error

    @contextmanager
    def stream(
        self, path: str, *, params: Mapping[str, Any] | None = None, read_seconds: float = 60.0
    ) -> Iterator[httpx.Response]:
        """Open ``path`` for reading piece by piece.

        Parameters
        ----------
        read_seconds
            Raise when nothing came for so long.

        Raises
        ------
        KplError
            The answer was a refusal; ``Unavailable`` when the connection breaks while it is read.
        """
        timeout = httpx.Timeout(CONNECT_SECONDS, read=read_seconds)
        request = self._build(Request("GET", path, params=params or {}), timeout=timeout)
        try:
            response = self._http.send(request, stream=True)
            try:
                if response.status_code >= 300:
                    response.read()
                    raise error_from(response)
                yield response
            finally:
                response.close()
        except httpx.ConnectError as error:
            raise unreachable(self.base_url, error) from error
        except httpx.TransportError as error:
            raise interrupted(self.base_url, error) from error

    def _build(self, request: Request, timeout: httpx.Timeout | None = None) -> httpx.Request:
        body = request.json
        if isinstance(body, BaseModel):
            # What was not set is left to the platform's defaults.
            body = body.model_dump(mode="json", exclude_unset=True)
        params = {key: value for key, value in request.params.items() if value is not None}
        try:
            return self._http.build_request(
                request.method,
                request.path,
                json=body,
                content=request.content,
                # None and not empty: an empty one would take the path's own query away.
                params=params or None,
                headers=dict(request.headers),
                files=request.files,
                timeout=timeout or httpx.USE_CLIENT_DEFAULT,
            )
        except httpx.InvalidURL as error:
            raise Invalid(
                f"{self.base_url} is not an address: {error}. Write it as http://HOST:PORT.",
                code="invalid_url",
            ) from error
