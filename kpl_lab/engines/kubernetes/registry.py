"""The registry that built images go to, asked whether it has one, or to remove it.

Protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#checking-if-content-exists-in-the-registry,
logins: https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from kpl_lab.errors import EngineError, Unavailable

_SECONDS = aiohttp.ClientTimeout(total=20.0)
_FOUND, _UNAUTHORISED, _FORBIDDEN, _MISSING = 200, 401, 403, 404
_REMOVED = (202, 404)
_ANSWERS = (_FOUND, *_REMOVED, 400, 405)  # the last two: that nothing may be removed there
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_PART = re.compile(r'(\w+)="([^"]*)"')
# As `docker login` names it; nodes look for it under this name.
DOCKER_HUB = "https://index.docker.io/v1/"
# Under which name a login of Docker's own registry is kept, and where it answers.
_DOCKER = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


@dataclass(frozen=True)
class _Answer:
    status: int
    asks: str
    digest: str


class Registry:
    """One registry.

    Parameters
    ----------
    host
        Its name, with a port where it has one.
    login
        User name and password, joined by a colon; empty: none.
    """

    def __init__(self, host: str, *, login: str = "", is_insecure: bool = False) -> None:
        scheme = "http" if is_insecure else "https"
        self._base = f"{scheme}://{_DOCKER.get(host, host)}/v2"
        self._host, self._login = host, login

    async def has(self, repository: str, tag: str) -> bool:
        """Say whether it has an image.

        Raises
        ------
        Unavailable, EngineError
            It does not answer (``registry_unreachable``); it does not let us in (``registry_denied``).
        """
        return (await self._ask("HEAD", repository, tag)).status == _FOUND

    async def remove(self, repository: str, tag: str) -> bool:
        """Remove an image; return whether it is gone. Not every registry allows it.

        Raises
        ------
        Unavailable, EngineError
            As of :meth:`has`.
        """
        found = await self._ask("HEAD", repository, tag)
        if found.status == _MISSING:
            return True
        return (await self._ask("DELETE", repository, found.digest)).status in _REMOVED

    async def _ask(self, method: str, repository: str, reference: str) -> _Answer:
        url = f"{self._base}/{repository}/manifests/{reference}"
        try:
            async with aiohttp.ClientSession(timeout=_SECONDS) as session:
                found = await self._once(session, method, url, self._basic())
                if found.status == _UNAUTHORISED and found.asks.lower().startswith("bearer"):
                    token = await self._token(session, found.asks)
                    found = await self._once(session, method, url, f"Bearer {token}")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unavailable(
                f"The registry {self._host} does not answer ({error or type(error).__name__}); ask an "
                "administrator to see that KPL_REGISTRY is right.",
                code="registry_unreachable",
            ) from error
        if found.status in (_UNAUTHORISED, _FORBIDDEN):
            raise EngineError(
                f"The registry {self._host} does not let us look for images; ask an administrator to "
                "see that KubernetesOptions.registry_secret has a login for it.",
                code="registry_denied",
            )
        if found.status not in _ANSWERS:
            raise Unavailable(
                f"The registry {self._host} answers with an error ({found.status}); try again.",
                code="registry_unreachable",
            )
        return found

    async def _once(
        self, session: aiohttp.ClientSession, method: str, url: str, authorization: str
    ) -> _Answer:
        headers = {"Accept": _MANIFESTS}
        if authorization:
            headers["Authorization"] = authorization
        async with session.request(method, url, headers=headers) as answer:
            digest = answer.headers.get("Docker-Content-Digest", "")
            return _Answer(answer.status, answer.headers.get("WWW-Authenticate", ""), digest)

    async def _token(self, session: aiohttp.ClientSession, asks: str) -> str:
        """Fetch the token that a registry asks for, from where it says."""
        parts = dict(_PART.findall(asks))
        realm = parts.pop("realm", "")
        headers = {"Authorization": self._basic()} if self._login else {}
        async with session.get(realm, params=parts, headers=headers) as answer:
            found = json.loads(await answer.read()) if answer.status == _FOUND else {}
        return str(found.get("token") or found.get("access_token") or "")

    def _basic(self) -> str:
        if not self._login:
            return ""
        return f"Basic {base64.b64encode(self._login.encode()).decode()}"


def login_of(config: str, host: str) -> str:
    """Return user name and password for a registry, joined by a colon, of a ``config.json`` of Docker.

    Empty where it has none. Format: https://docs.docker.com/reference/cli/docker/login/.
    """
    try:
        known: Mapping[str, Any] = json.loads(config)["auths"]
    except (ValueError, KeyError, TypeError):
        return ""
    for name, one in known.items():
        plain = re.sub(r"^https?://", "", name).partition("/")[0]
        if plain == host:
            if one.get("auth"):
                return base64.b64decode(one["auth"]).decode("utf-8", "replace")
            return f"{one.get('username', '')}:{one.get('password', '')}"
    return ""


def docker_config(host: str, username: str, password: str) -> str:
    """Return a ``config.json`` with one login."""
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {host: {"auth": auth}}})
