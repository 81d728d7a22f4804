"""The one tree of errors: raised once, mapped once per edge.

Each error carries a ``code`` for machines, a ``message`` that a user understands and that says
what to do next, and a ``detail`` with the facts behind it (numbers, names, file and line).
``platform.api.errors`` turns them into problem details, ``cli`` into exit codes, ``lab.base``
into answers for the panels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class KplError(Exception):
    """Something that a user may be told.

    Parameters
    ----------
    message
        One or two sentences: the cause and the next step. Safe to show.
    code
        Stable word for machines; defaults to the class's own.
    detail
        JSON-serialisable facts, shown folded.
    """

    default_code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, code: str | None = None, detail: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.detail: dict[str, Any] = dict(detail or {})


class Invalid(KplError):
    """What was asked for cannot be: a wrong value, file or archive."""

    default_code = "invalid"
    http_status = 422


class NotFound(KplError):
    """No such thing, or none that the caller may see."""

    default_code = "not_found"
    http_status = 404


class Conflict(KplError):
    """Right in itself, but not in the present state (name taken, already running, in use)."""

    default_code = "conflict"
    http_status = 409


class Unauthenticated(KplError):
    """The caller has not said who they are, or their token is wrong or expired."""

    default_code = "unauthenticated"
    http_status = 401


class Forbidden(KplError):
    """The caller is known but may not do this."""

    default_code = "forbidden"
    http_status = 403


class TooLarge(KplError):
    """More bytes than the limit allows."""

    default_code = "too_large"
    http_status = 413


class QuotaExceeded(KplError):
    """A limit of capacity or quota is reached; the detail holds the numbers."""

    default_code = "quota_exceeded"
    http_status = 429


class EngineError(KplError):
    """The engine could not do what was asked."""

    default_code = "engine_error"
    http_status = 502


class StorageFull(KplError):
    """No room left where the platform stores things."""

    default_code = "storage_full"
    http_status = 507


class Unavailable(KplError):
    """A part of the platform does not answer at the moment; trying again may help."""

    default_code = "unavailable"
    http_status = 503


BY_STATUS: dict[int, type[KplError]] = {
    cls.http_status: cls
    for cls in (
        Invalid,
        NotFound,
        Conflict,
        Unauthenticated,
        Forbidden,
        TooLarge,
        QuotaExceeded,
        EngineError,
        StorageFull,
        Unavailable,
    )
}
