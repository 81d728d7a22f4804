"""``kpl login``: make or check a token and keep it for later calls."""

from __future__ import annotations

from pathlib import Path

import click
import httpx
from pydantic import BaseModel, ConfigDict

from kpl_lab import settings
from kpl_lab.cli.output import Column
from kpl_lab.cli.session import Session, common_options, pass_session
from kpl_lab.client import Client, Credentials
from kpl_lab.client.credentials import DEFAULT_URL, credential_files, save_credentials
from kpl_lab.client.failures import error_from, unreachable
from kpl_lab.errors import Unauthenticated

SIGNED_IN = (
    Column("URL", "url"),
    Column("USER", "username"),
    Column("KEPT IN", "path"),
)


class HubToken(BaseModel):
    """What the hub answers when it has made a token."""

    model_config = ConfigDict(extra="ignore")
    token: str
    user: str


@click.command("login")
@click.option("--username", "-u", help="Your name at the hub.")
@click.option("--password", help="Asked for when it is needed; better not on the command line.")
@common_options
@pass_session
def login(session: Session, username: str | None, password: str | None) -> None:
    """Sign in at --url, with a name and password or with --token, and remember it."""
    url = session.url or DEFAULT_URL
    token = session.token
    if token is None:
        username = username or click.prompt("Username", err=True)
        password = password or click.prompt("Password", hide_input=True, err=True)
        token = new_token(url, username, password)
    with Client(Credentials(url, token)) as client:
        me = client.me()
    kept = Credentials(url, token, username=me.name)
    path = _target(session)
    save_credentials(path, kept)
    session.show({"url": kept.url, "username": me.name, "path": str(path)}, SIGNED_IN)
    first = next(p for p in credential_files(session.environment) if p.exists())
    if first != path:
        session.say(f"{first} is looked at first here; set KPL_HOME to {path.parent} to use this.")


def _target(session: Session) -> Path:
    if session.environment.get("KPL_HOME"):
        return settings.home_from(session.environment).credentials
    return credential_files(session.environment)[-1]


def new_token(url: str, username: str, password: str) -> str:
    """Ask the hub for a token in exchange for a name and password.

    Raises
    ------
    Unauthenticated
        The hub does not know them, or its authenticator takes no passwords.
    Unavailable
        No hub answers there.
    """
    hub = Credentials(url, "").hub_api_url
    body = {"auth": {"username": username, "password": password}, "note": "kpl login"}
    try:
        answer = httpx.post(
            f"{hub}/users/{username}/tokens", json=body, timeout=30, trust_env=False
        )
    except httpx.TransportError as error:
        raise unreachable(url, error) from error
    if answer.status_code in (401, 403):
        raise Unauthenticated(
            f"{url} does not take this name and password. Try again, or make a token at "
            f"{url}/hub/token and use `kpl login --token`.",
            code="wrong_password",
        )
    if answer.status_code >= 300:
        raise error_from(answer)
    return HubToken.model_validate_json(answer.content).token
