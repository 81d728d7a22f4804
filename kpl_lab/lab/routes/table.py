"""Which routes of the platform the panels may use, and how; everything else is not passed on."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from kpl_lab.errors import KplError, NotFound

READ = frozenset({"GET"})
LIST = frozenset({"GET", "POST"})
ONE = frozenset({"GET", "PATCH", "DELETE"})
DO = frozenset({"POST"})

_REF, _NUMBER, _FILE = r"[^/]+", r"[0-9]+", r".+"

ROUTES: tuple[tuple[str, frozenset[str]], ...] = (
    (r"(version|me|capacity|catalog|events|servers)", READ),
    (r"forms", DO),
    (r"uploads", DO),
    (rf"uploads/{_NUMBER}", frozenset({"GET", "PUT", "DELETE"})),
    (rf"uploads/{_NUMBER}/complete", DO),
    (r"(datasets|models|algorithms|images|tasks|services)", LIST),
    (rf"(datasets|models|algorithms|images|tasks|services)/{_REF}", ONE),
    (rf"(datasets|models)/{_REF}/versions/{_NUMBER}/download", READ),
    (rf"datasets/{_REF}/versions/{_NUMBER}/records", READ),
    (rf"datasets/{_REF}/versions/{_NUMBER}/records/{_NUMBER}/fields/{_REF}", READ),
    (rf"algorithms/{_REF}/versions/{_NUMBER}/log", READ),
    (rf"algorithms/{_REF}/versions/{_NUMBER}/files/{_FILE}", READ),
    (rf"images/{_REF}/look", DO),
    (rf"tasks/{_REF}/stop", DO),
    (rf"tasks/{_REF}/(log|metrics|events)", READ),
    (rf"tasks/{_REF}/files/{_FILE}", READ),
    (rf"services/{_REF}/(log|events)", READ),
    (rf"servers/{_NUMBER}/mounts", LIST),
    (rf"servers/{_NUMBER}/mounts/{_NUMBER}", frozenset({"DELETE"})),
    (rf"servers/{_NUMBER}/(events|log)", READ),
    (r"servers/history", READ),
    (r"builds", LIST),
    (rf"builds/{_NUMBER}", READ),
    (rf"builds/{_NUMBER}/log", READ),
    (rf"builds/{_NUMBER}/stop", DO),
)
_COMPILED = [(re.compile(pattern), methods) for pattern, methods in ROUTES]


class MethodNotAllowed(KplError):
    """The route is there, but not for this method."""

    default_code = "method_not_allowed"
    http_status = 405


def platform_path(method: str, raw_path: str) -> str:
    """Return the platform's path for what the browser asked for.

    Parameters
    ----------
    raw_path
        The part after ``/kpl-lab/api/``, still encoded.

    Raises
    ------
    NotFound
        It is not in the table.
    MethodNotAllowed
        It is, but not with this method.
    """
    parts = [unquote(part) for part in raw_path.split("/")]
    # Decoded once and encoded again, so that no spelling of "../" means something further on.
    if any(part in ("", ".", "..") or "/" in part or "\0" in part for part in parts):
        raise _no_route(raw_path)
    path = "/".join(quote(part, safe="") for part in parts)
    found = [methods for pattern, methods in _COMPILED if pattern.fullmatch(path)]
    if not found:
        raise _no_route(raw_path)
    if not any(method in methods for methods in found):
        raise MethodNotAllowed(f"{path} does not take {method}.")
    return f"/{path}"


def _no_route(raw_path: str) -> NotFound:
    return NotFound(
        f"{raw_path!r} is not a route of KPL Lab; are the panel and the server extension of the "
        "same version?",
        code="no_route",
    )
