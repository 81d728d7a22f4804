"""Where the address and the token come from.

In this order: what the caller names, the notebook server's own (``JUPYTERHUB_API_TOKEN`` with
``KPL_API_URL``), ``credentials.json`` of ``$KPL_HOME`` (where that is not set: of ``./.kpl``, then of
``.kpl`` beside the checkout that this ``kpl`` is installed from), then of ``~/.kpl``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from kpl_lab import settings
from kpl_lab.errors import Invalid, KplError, Unauthenticated

API_PATH = "/kpl/api/v1"
DEFAULT_URL = "http://127.0.0.1:8000"
_ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = _ROOT if (_ROOT / "pyproject.toml").is_file() else None


@dataclass(frozen=True)
class Credentials:
    """Who calls whom.

    Attributes
    ----------
    url
        The front door; what services answer below.
    token
        The hub's token of the user or of their notebook server.
    api_url
        The platform's API; behind the front door unless a shorter way is known.
    hub_api_url
        The hub's own API.
    username
        The user, where known without asking.
    server
        Name of the notebook server that this runs in ("" is the default one); None elsewhere.
    source
        Where this was found, for messages.
    """

    url: str
    token: str = field(repr=False)
    api_url: str = ""
    hub_api_url: str = ""
    username: str | None = None
    server: str | None = None
    source: str = "arguments"

    def __post_init__(self) -> None:
        url = front_door(self.url)
        object.__setattr__(self, "url", url)
        object.__setattr__(self, "api_url", self.api_url.rstrip("/") or url + API_PATH)
        object.__setattr__(self, "hub_api_url", self.hub_api_url.rstrip("/") or url + "/hub/api")


def front_door(url: str) -> str:
    """Return the address that a browser uses, from it or from the API's.

    Raises
    ------
    Invalid
        It is no http or https address.
    """
    clean = url.strip().rstrip("/").removesuffix(API_PATH)
    if not clean.startswith(("http://", "https://")) or clean.endswith("//"):
        raise Invalid(
            f"{url!r} is not an address; write it as http://HOST:PORT.", code="invalid_url"
        )
    return clean


def find_credentials(
    environment: Mapping[str, str], *, url: str | None = None, token: str | None = None
) -> Credentials:
    """Return the first complete pair of address and token.

    Parameters
    ----------
    environment
        Variables to look at, usually ``os.environ``.
    url, token
        What the caller named; either may be left to the other sources. A token is never sent to
        an address that it was not kept for.

    Raises
    ------
    Unauthenticated
        There is no token anywhere.
    Invalid
        A credentials file cannot be read, or the address is none.
    """
    if url and token:
        return Credentials(url, token)
    for found in _candidates(environment):
        if url and front_door(url) != found.url:
            continue
        return replace(found, token=token, username=None) if token else found
    if token:
        return Credentials(DEFAULT_URL, token)
    where = f" for {url}" if url else ""
    raise Unauthenticated(
        f"There is no token{where}. Sign in with `kpl login`, run `make up` in this folder, or "
        "set KPL_HOME to the folder of your installation.",
        code="no_token",
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[Credentials]:
    notebook = _of_notebook(environment)
    if notebook:
        yield notebook
    for path in credential_files(environment):
        found = read_credentials(path)
        if found:
            yield found


def _of_notebook(environment: Mapping[str, str]) -> Credentials | None:
    token, api_url = environment.get("JUPYTERHUB_API_TOKEN"), environment.get("KPL_API_URL")
    if not token or not api_url:
        return None
    return Credentials(
        environment.get("KPL_PUBLIC_URL") or api_url,
        token,
        api_url=api_url if api_url.rstrip("/").endswith(API_PATH) else "",
        hub_api_url=environment.get("JUPYTERHUB_API_URL", ""),
        username=environment.get("JUPYTERHUB_USER"),
        server=environment.get("JUPYTERHUB_SERVER_NAME", ""),
        source="this notebook server",
    )


def credential_files(environment: Mapping[str, str], checkout: Path | None = None) -> list[Path]:
    """Return the files that are looked at, in order; they need not exist.

    Parameters
    ----------
    environment
        Variables to look at: ``KPL_HOME`` and ``HOME``.
    checkout
        The clone whose ``make up`` installed this program, so that its ``kpl`` works from any
        folder; our own where none is named.
    """
    checkout = checkout or CHECKOUT
    found = [settings.home_from(environment).credentials]
    if checkout and not environment.get("KPL_HOME"):
        found.append(settings.Home(checkout / ".kpl").credentials)
    if home := environment.get("HOME"):
        found.append(Path(home) / ".kpl" / "credentials.json")
    return found


def read_credentials(path: Path) -> Credentials | None:
    """Return what ``path`` holds, or None where it is missing or closed to this user.

    Raises
    ------
    Invalid
        It is there but is not what ``kpl login`` or ``kpl-lab up`` writes.
    """
    try:
        found = json.loads(path.read_text())
        return Credentials(
            str(found["url"]),
            str(found["token"]),
            username=found.get("username"),
            source=str(path),
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, KplError) as error:
        raise Invalid(
            f"{path} cannot be used ({error}); remove it and sign in with `kpl login`, or run "
            "`kpl-lab up` again.",
            code="bad_credentials_file",
        ) from error


def save_credentials(path: Path, credentials: Credentials) -> None:
    """Keep ``credentials`` in ``path``, readable by this user alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    values = {
        "url": credentials.url,
        "username": credentials.username,
        "token": credentials.token,
    }
    fresh.write_text(json.dumps(values, indent=1) + "\n")
    fresh.replace(path)
