"""Turns what the other side answered, or did not, into the error tree of ``kpl_lab.errors``."""

from __future__ import annotations

import json
from typing import Any

import httpx

from kpl_lab.errors import (
    BY_STATUS,
    Forbidden,
    Invalid,
    KplError,
    NotFound,
    Unauthenticated,
    Unavailable,
)

# What proxies answer when nobody is behind them; never an answer of the platform itself,
# which sends problem details.
_PROXY_STATUSES = (502, 503, 504)


def unreachable(url: str, error: Exception) -> Unavailable:
    """Return the error for an address where nobody answers.

    Parameters
    ----------
    url
        The address that was tried.
    error
        What the transport said; its text goes to the detail.
    """
    return Unavailable(
        f"KPL Lab at {url} cannot be reached. See that it runs (`kpl-lab up` on its machine; on a "
        "cluster its pod, and the port that is forwarded to it), or name another address with --url.",
        code="unreachable",
        detail={"url": url, "cause": f"{type(error).__name__}: {error}"},
    )


def interrupted(url: str, error: Exception) -> Unavailable:
    """Return the error for a connection that ended in the middle of an answer."""
    return Unavailable(
        f"The connection to {url} ended before the answer was complete; try again.",
        code="interrupted",
        detail={"url": url, "cause": f"{type(error).__name__}: {error}"},
    )


def error_from(response: httpx.Response) -> KplError:
    """Return the error that an answer with a status of 400 or more describes.

    The body must have been read. Problem details keep their code, message and detail; anything
    else (a proxy's page, the hub's JSON) is named after its status.
    """
    body = _json_object(response)
    if "code" in body and "message" in body:
        return _from_problem(response.status_code, body)
    said = str(body.get("message") or "").strip()
    return _from_status(response, said)


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def _from_problem(status: int, body: dict[str, Any]) -> KplError:
    kind = BY_STATUS.get(status, Invalid if 400 <= status < 500 else KplError)
    detail = dict(body["detail"]) if isinstance(body.get("detail"), dict) else {}
    if body.get("request_id"):
        detail["request_id"] = body["request_id"]
    return kind(str(body["message"]), code=str(body["code"]), detail=detail)


def _from_status(response: httpx.Response, said: str) -> KplError:
    status, url = response.status_code, str(response.url.copy_with(query=None))
    detail = {"status": status, "url": url, "said": said or response.text[:200]}
    if status in _PROXY_STATUSES:
        return Unavailable(
            f"The part of KPL Lab behind {url} does not answer at the moment ({status}); it is "
            "restarted by itself, so try again, or look at `kpl-lab status`.",
            detail=detail,
        )
    if status == Unauthenticated.http_status:
        return Unauthenticated(
            said or "The token is wrong or has expired; sign in with `kpl login`.", detail=detail
        )
    if status == Forbidden.http_status:
        # A whole sentence names the next step itself; the hub often says one word only.
        words = f"Not allowed: {said or 'the token does not cover this'}. Ask an admin, or sign in "
        words += "as somebody else with `kpl login`."
        return Forbidden(said if said.endswith(".") else words, detail=detail)
    if status == NotFound.http_status and not said:
        return Unavailable(
            f"{url} is not an address of KPL Lab; check the part before /kpl, or wait if it was "
            "started a moment ago.",
            code="no_platform",
            detail=detail,
        )
    kind = BY_STATUS.get(status, Invalid if status < 500 else KplError)
    return kind(said or f"{url} answered {status} {response.reason_phrase}.", detail=detail)
