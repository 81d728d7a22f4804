"""References of images, and what registries say when they refuse one."""

from __future__ import annotations

import base64
import json
import re

from kpl_lab.engines.spec import RegistryLogin
from kpl_lab.errors import EngineError

_PUSH: tuple[tuple[str, str, str], ...] = (
    (
        r"unauthorized|authentication required|incorrect username or password|denied"
        r"|no basic auth|insufficient_scope",
        "registry_denied",
        "The registry does not let us put it there; give a user name and password that may "
        "(`--username … --password-stdin`), or another name.",
    ),
    (
        r"no such host|connection refused|timeout|tls|x509|EOF|unreachable|reset by peer"
        r"|server gave HTTP response",
        "registry_unreachable",
        "The registry does not answer as one; see that its address is right and can be reached "
        "from this machine.",
    ),
)


def split_reference(reference: str) -> tuple[str, str]:
    """Return repository and tag of a reference; the tag is ``latest`` where it has none."""
    head, slash, last = reference.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag or "latest"


def auth_header(login: RegistryLogin | None) -> dict[str, str]:
    """Return the header in which the daemon is told what a registry lets us in with."""
    given = {} if login is None else {"username": login.username, "password": login.password}
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(given).encode()).decode()}


def refusal_of_push(reference: str, said: str) -> EngineError:
    """Return why an image could not be sent, with the registry's own words."""
    for pattern, code, sentence in _PUSH:
        if re.search(pattern, said, re.IGNORECASE):
            return EngineError(
                f"The image was made, but could not be sent to {reference}. {sentence} It said: {said}",
                code=code,
            )
    return EngineError(
        f"The image was made, but could not be sent to {reference}. The registry said: {said}",
        code="push_failed",
    )
