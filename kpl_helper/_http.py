"""Requests to the platform: one JSON call, or one streamed upload.

The bare token goes into ``Authorization``, and every answer is ``{"code", "msg", "data"}`` (runtime
contract, section 4).
"""

from __future__ import annotations

import http.client
import json
import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kpl_helper.errors import NotOnPlatformError, PlatformRefusedError, PlatformUnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kpl_helper.base import Config

#: Statuses behind which a platform that restarts may hide, a full disk, or a token that is being renewed.
PASSING_STATUSES = frozenset({401, 403, 404, 408, 425, 429, 500, 502, 503, 504, 507})
#: Statuses that say that the platform never looked at the request.
GATEWAY_STATUSES = frozenset({502, 503, 504})


class Connection:
    """A connection that is kept open between calls; for one thread.

    Parameters
    ----------
    config
        Names the base URL and gives the token.
    timeout
        Seconds for connecting and for each read or write.

    Raises
    ------
    NotOnPlatformError
        When the base URL is missing or not http(s).
    """

    def __init__(self, config: Config, timeout: float) -> None:
        url = urlsplit(config.api)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise NotOnPlatformError(
                f"KPL_ENV_INTERNAL_API_HOST is {config.api!r}; it should be the platform's http(s) address"
            )
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._http = kind(url.hostname, url.port, timeout=timeout)
        self._prefix = url.path.rstrip("/")
        self._config = config
        self._sent_all = False

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        self._http.close()

    def post_json(self, route: str, body: bytes) -> object:
        """Post a JSON body and return the ``data`` of the answer.

        Raises
        ------
        PlatformUnreachableError
            When there is no usable answer; a connection that went stale is opened anew once.
        PlatformRefusedError
            When the platform says no.
        """
        reused = self._http.sock is not None
        try:
            return self._post(route, "application/json", len(body), body)
        except PlatformUnreachableError:
            if not reused:
                raise
        return self._post(route, "application/json", len(body), body)

    def post_form(self, route: str, form: Form, answer_timeout: float) -> object:
        """Stream a form and return the ``data`` of the answer.

        Parameters
        ----------
        route
            Path below the base URL.
        form
            Read block by block.
        answer_timeout
            Seconds that the platform may take to answer after the last block.
        """

        def blocks() -> Iterator[bytes]:
            yield from form.blocks()
            if self._http.sock is not None:
                self._http.sock.settimeout(answer_timeout)

        return self._post(route, form.content_type, form.length, blocks())

    def _post(self, route: str, kind: str, length: int, body: bytes | Iterable[bytes]) -> object:
        headers = {
            "Authorization": self._config.token(),
            "Content-Type": kind,
            "Content-Length": str(length),
        }
        try:
            answer = self._exchange(self._prefix + route, headers, body)
            status, content = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            reason = str(error) or type(error).__name__
            raise PlatformUnreachableError(
                f"the platform at {self._config.api} did not answer: {reason}"
            ) from error
        return _data(status, content)

    def _exchange(
        self, path: str, headers: dict[str, str], body: bytes | Iterable[bytes]
    ) -> http.client.HTTPResponse:
        try:
            self._http.request("POST", path, body=body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            if self._http.sock is None:
                raise
            # The platform may have answered and closed before it read everything (too large, say).
        return self._http.getresponse()


def _data(status: int, content: bytes) -> object:
    try:
        answer = json.loads(content)
        code, reason = str(answer["code"]), str(answer.get("msg", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        if status < 400:
            raise PlatformUnreachableError(
                "what answered is not the platform (no JSON with a code); is KPL_ENV_INTERNAL_API_HOST right?"
            ) from None
        raise PlatformRefusedError(f"HTTP {status}", "", status) from None
    if status >= 400 or code != "Success":
        raise PlatformRefusedError(code, reason, status)
    return answer.get("data")


class Form:
    """A multipart form with text fields and one streamed file.

    Parameters
    ----------
    fields
        Text fields by name.
    file_name
        Name that the file part carries.
    size
        Bytes of the file.
    content
        Its blocks; together exactly `size` bytes.
    """

    def __init__(
        self, fields: dict[str, str], file_name: str, size: int, content: Iterable[bytes]
    ) -> None:
        boundary = uuid.uuid4().hex
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        # Quoted as browsers do it (HTML standard, multipart/form-data encoding).
        quoted = file_name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        self._head = "".join(parts).encode("utf-8", "surrogateescape")
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        self._content = content
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self.length = len(self._head) + size + len(self._tail)

    def blocks(self) -> Iterator[bytes]:
        """Yield the encoded form."""
        yield self._head
        yield from self._content
        yield self._tail
