"""Makes the admin's personal token and keeps it where ``kpl`` finds it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from kpl_lab.errors import EngineError
from kpl_lab.hub.names import ADMIN
from kpl_lab.settings import Secret, Settings

NOTE = "kpl-lab up: the token in credentials.json"


@dataclass(frozen=True)
class Credentials:
    """What ``credentials.json`` holds."""

    url: str
    username: str
    password: str
    token: str


def keep_credentials(settings: Settings) -> Credentials:
    """Return the admin's credentials, making the token anew where it is missing or refused.

    Raises
    ------
    EngineError
        The hub makes no token.
    """
    path = settings.home.credentials
    password = settings.home.read_secret(Secret.ADMIN_PASSWORD)
    with httpx.Client(base_url=settings.hub_api_url, timeout=30.0, trust_env=False) as hub:
        token = _kept_token(path)
        if token is None or not _is_valid(hub, token):
            token = _make_token(hub, settings.home.read_secret(Secret.OPERATOR))
    found = Credentials(settings.public_url, ADMIN, password, token)
    _write(path, found)
    return found


def _kept_token(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text())["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_valid(hub: httpx.Client, token: str) -> bool:
    answer = hub.get("/user", headers={"Authorization": f"token {token}"})
    return answer.status_code == 200 and answer.json().get("name") == ADMIN


def _make_token(hub: httpx.Client, operator: str) -> str:
    answer = hub.post(
        f"/users/{ADMIN}/tokens",
        headers={"Authorization": f"token {operator}"},
        json={"note": NOTE},
    )
    if answer.status_code != 201:
        raise EngineError(
            f"The hub made no token for {ADMIN} ({answer.status_code}); the hub's log says why.",
            code="no_token",
        )
    return str(answer.json()["token"])


def _write(path: Path, found: Credentials) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(asdict(found), file, indent=1)
        file.write("\n")
    fresh.replace(path)
