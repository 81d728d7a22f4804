"""What registries say when they refuse an image."""

from __future__ import annotations

import re

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
