"""Who is calling: users and services through the hub's tokens, workloads through ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import jwt

from kpl_lab.clock import Clock
from kpl_lab.errors import Forbidden, Unauthenticated, Unavailable
from kpl_lab.platform import scopes
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.store import Store

ALGORITHM = "HS256"
WorkloadKind = Literal["task", "service", "notebook"]
MAX_CACHED = 10_000


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Somebody who has shown a valid token.

    ``subject_id`` is the task, service or server that a workload's token belongs to; ``groups``
    are those of the hub.
    """

    name: str
    kind: Literal["user", "service", "task", "notebook"]
    scopes: frozenset[str] = frozenset()
    is_admin: bool = False
    subject_id: int | None = None
    groups: frozenset[str] = frozenset()

    @property
    def is_workload(self) -> bool:
        """Whether this is code that runs here, rather than a person or a service of the hub."""
        return self.subject_id is not None

    @property
    def keeps_catalog(self) -> bool:
        """Whether the caller decides about everybody's images."""
        return self.is_admin or scopes.CATALOG in self.scopes

    @property
    def reader(self) -> Reader:
        """What the caller may see in lists."""
        return Reader(
            name=self.name,
            sees_all=self.is_admin or scopes.INTERNAL in self.scopes,
            sees_all_of=frozenset({"images"} if self.keeps_catalog else ()),
            groups=self.groups,
        )

    def require(self, scope: str) -> None:
        """Refuse a caller without ``scope``.

        Raises
        ------
        Forbidden
            Names the scope, so that an administrator knows what to grant.
        """
        if scope not in self.scopes:
            raise Forbidden(
                f"This token does not allow that: it lacks the scope {scope}. "
                "Use a token that has it, or ask an administrator.",
                detail={"scope": scope},
            )


def digest(token: str) -> str:
    """Return the form in which tokens are stored and looked up."""
    return hashlib.sha256(token.encode()).hexdigest()


def issue(store: Store, key: str, kind: WorkloadKind, subject_id: int, owner: str) -> str:
    """Return a new JWT valid for one task, service or notebook server alone.

    It is valid until :func:`revoke`; only its hash is stored.
    """
    now = store.now()
    claims = {
        "sub": str(subject_id),
        "kind": kind,
        "name": owner,
        "iat": int(now.timestamp()),
        "jti": secrets.token_hex(8),
    }
    token = jwt.encode(claims, key, algorithm=ALGORITHM)
    store.tokens.add(
        digest=digest(token),
        kind=kind,
        subject_id=subject_id,
        owner=owner,
        created_at=now,
        expires_at=None,
        revoked=False,
    )
    return token


def revoke(store: Store, kind: WorkloadKind, subject_id: int) -> None:
    """End every token of one workload; repeatable."""
    store.tokens.revoke(kind, subject_id)


def workload_caller(store: Store, key: str, token: str) -> Caller:
    """Return whose JWT this is.

    Raises
    ------
    Unauthenticated
        Not ours, changed, or ended with its task, service or server.
    """
    try:
        jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": ["sub", "jti"]})
    except jwt.InvalidTokenError as error:
        raise Unauthenticated(
            "This token is not one of this installation; use the one in KPL_TOKEN_LOCATE."
        ) from error
    known = store.tokens.by_digest(digest(token))
    if known is None or known.revoked:
        raise Unauthenticated("This token has ended together with what it belonged to.")
    kind: Literal["task", "notebook", "service"] = (
        "task" if known.kind == "task" else "notebook" if known.kind == "notebook" else "service"
    )
    return Caller(name=known.owner, kind=kind, subject_id=known.subject_id)


@dataclass(frozen=True)
class _Known:
    caller: Caller
    asked_at: float


class HubTokens:
    """Asks the hub whose token something is, and remembers the answer for a while.

    Parameters
    ----------
    url
        The hub's REST API.
    internal_token
        The token the hub itself shows to the platform.
    fresh_seconds, stale_seconds
        How long an answer is believed, and how long while the hub does not answer.
    """

    def __init__(
        self,
        url: str,
        internal_token: str,
        clock: Clock,
        *,
        fresh_seconds: float = 30.0,
        stale_seconds: float = 300.0,
    ) -> None:
        self._url = url
        self._internal = internal_token
        self._clock = clock
        self._fresh_seconds = fresh_seconds
        self._stale_seconds = stale_seconds
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()
        self._client = httpx.Client(timeout=5.0, trust_env=False)

    def caller(self, token: str) -> Caller:
        """Return whose token this is.

        Raises
        ------
        Unauthenticated
            The hub does not know the token.
        Unavailable
            The hub does not answer, and it was not asked about this token lately.
        """
        if hmac.compare_digest(token.encode(), self._internal.encode()):
            return Caller(
                name="hub", kind="service", scopes=scopes.expand(frozenset({scopes.INTERNAL}))
            )
        if not token.isascii():
            raise Unauthenticated("This token is wrong or has expired; sign in again.")
        key, now = digest(token), self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known.asked_at < self._fresh_seconds:
            return known.caller
        try:
            caller = self._ask(token)
        except Unavailable:
            if known is not None and now - known.asked_at < self._stale_seconds:
                return known.caller
            raise
        except Unauthenticated:
            self._known.pop(key, None)
            raise
        with self._lock:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            self._known[key] = _Known(caller, now)
        return caller

    def _ask(self, token: str) -> Caller:
        try:
            answer = self._client.get(
                f"{self._url}/user", headers={"Authorization": f"token {token}"}
            )
        except httpx.HTTPError as error:
            raise Unavailable(
                "The hub, which knows who is who, does not answer; try again in a few seconds."
            ) from error
        if answer.status_code in (401, 403, 404):
            raise Unauthenticated("This token is wrong or has expired; sign in again.")
        if answer.status_code != 200:
            raise Unavailable(f"The hub answered {answer.status_code}; try again in a few seconds.")
        return _caller_of(answer.json())

    def close(self) -> None:
        """Close the connection to the hub."""
        self._client.close()


def _caller_of(model: dict[str, Any]) -> Caller:
    """Turn the hub's user model into a caller.

    https://jupyterhub.readthedocs.io: ``GET /user`` gives kind, name, groups, admin and the
    token's own scopes; the admin flag of the user does not widen a narrow token.
    """
    granted = frozenset(str(s).split("!")[0] for s in model.get("scopes", ()))
    expanded = scopes.expand(granted)
    return Caller(
        name=str(model.get("name", "")),
        kind="service" if model.get("kind") == "service" else "user",
        scopes=expanded,
        is_admin=scopes.ADMIN in expanded,
        groups=frozenset(str(group) for group in model.get("groups", ())),
    )
