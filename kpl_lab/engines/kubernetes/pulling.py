"""Why an image is not there: what kubelet, container runtime and registry say, in words; pure functions.

Reasons are those of ``kubernetes/pkg/kubelet/images/types.go``, texts those of containerd and CRI-O and of the
registries behind them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.saying import Saying

PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "RegistryUnavailable",
        "SignatureValidationFailed",
        "ImageInspectError",
        "ErrImageNeverPull",
        "InvalidImageName",
    }
)
# What stands before the registry's own answer.
_FRAMES = re.compile(
    r'^(?:Back-off pulling image "[^"]*":?|Failed to pull image "[^"]*":?|ErrImagePull:|ImagePullBackOff:|'
    r"rpc error: code = \w+ desc =|failed to pull and unpack image \"[^\"]*\":|"
    r'failed to resolve reference "[^"]*":|failed to resolve image:|Error response from daemon:|'
    r"initializing source \S+:|reading manifest \S+ in \S+:|failed to copy:|httpReadSeeker: failed open:)\s*"
)
_DENIED, _BUSY, _NOT_FOUND, _AWAY = (
    "image_denied",
    "image_limit",
    "image_not_found",
    "registry_unreachable",
)
_CAUSES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (code, re.compile(pattern, re.I))
    for code, pattern in (
        (_BUSY, r"toomanyrequests|429 Too Many Requests|pull rate limit"),
        ("image_no_room", r"no space left on device|disk quota exceeded"),
        (
            "image_platform",
            r"no match for platform|no matching manifest for|no image found in .* for arch",
        ),
        ("registry_certificate", r"x509:|server gave HTTP response to HTTPS client|tls: "),
        (
            _DENIED,
            r"pull access denied|unauthorized|authorization failed|no basic auth credentials|"
            r"authentication required|\b401\b|403 Forbidden|insufficient_scope|\bdenied\b",
        ),
        (
            _AWAY,
            r"dial tcp|no such host|i/o timeout|connection refused|connection reset|handshake timeout|"
            r"network is unreachable|deadline exceeded|Client\.Timeout|\bEOF\b|50[0234] |registry is unavailable",
        ),
        (
            _NOT_FOUND,
            r"not found|manifest unknown|name unknown|NAME_UNKNOWN|MANIFEST_UNKNOWN|does not exist",
        ),
        ("image_signature", r"signature"),
    )
)
ANSWERED = " The answer was: {answer}"
# Sentence, and whether somebody has to change something first.
TEXTS: Mapping[str, tuple[str, bool]] = {
    _DENIED: (
        "The registry refuses the image {image}: it does not exist there or needs a login. Check its name, or have "
        "a pull secret set up.",
        True,
    ),
    _BUSY: (
        "The registry of the image {image} lets no more be pulled for the moment; it is tried again.",
        False,
    ),
    _NOT_FOUND: (
        "The registry has no image {image}; check its name and tag.",
        True,
    ),
    _AWAY: (
        "The node cannot reach the registry of the image {image}; it is tried again. Check the name of the "
        "registry, and the cluster's way to it.",
        False,
    ),
    "registry_certificate": (
        "The node does not trust the registry of the image {image}; an administrator of the cluster has to set up "
        "its certificate.",
        True,
    ),
    "image_no_room": (
        "The node has no room for the image {image}; an administrator of the cluster has to make some.",
        False,
    ),
    "image_platform": (
        "The image {image} is not made for the processors of this cluster; build it for them.",
        True,
    ),
    "image_signature": (
        "The cluster does not accept the signature of the image {image}.",
        True,
    ),
    "image_pull_failed": (
        "The node cannot pull the image {image}; it is tried again.",
        False,
    ),
}

CODES = frozenset({*TEXTS, "image_never_pulled", "image_name_invalid"})


def not_pulled(reason: str, message: str, image: str) -> Saying:
    """Return why a container has no image.

    Parameters
    ----------
    reason
        One of :data:`PULL_REASONS`.
    message
        Of the container's state; of the newest event ``Failed`` where that says nothing of the cause.
    """
    detail = {"image": image, "reason": reason, "message": message}
    if reason == "ErrImageNeverPull":
        return Saying(
            code="image_never_pulled",
            text=f"The image {image} is not on the node, and the engine is told never to pull; load it there, or "
            "change the pull policy.",
            is_hopeless=True,
            detail=detail,
        )
    if reason == "InvalidImageName":
        return Saying(
            code="image_name_invalid",
            text=f"{image} cannot be the name of an image; write it as REGISTRY/NAME:TAG.",
            is_hopeless=True,
            detail=detail,
        )
    answer = registry_answer(message)
    code = next(
        (code for code, pattern in _CAUSES if pattern.search(answer)),
        "image_signature" if reason == "SignatureValidationFailed" else "image_pull_failed",
    )
    text, is_hopeless = TEXTS[code]
    said = ANSWERED.format(answer=answer) if answer else ""
    return Saying(
        code=code,
        text=text.format(image=image) + said,
        is_hopeless=is_hopeless,
        detail={**detail, "answer": answer},
    )


def registry_answer(message: str) -> str:
    """Return the innermost part of a message about a pull: what the registry, or the way there, said."""
    rest = message.strip()
    while (frame := _FRAMES.match(rest)) is not None and frame.end() > 0:
        rest = rest[frame.end() :]
    return rest.strip()


def says_why(message: str) -> bool:
    """Say whether a message about a pull holds more than that it failed."""
    return bool(registry_answer(message))


def event_about(image: str, event: Mapping[str, Any]) -> bool:
    """Say whether an event tells why an image was not pulled."""
    message = str(event.get("message") or "")
    return (
        event.get("reason") == "Failed" and f'pull image "{image}"' in message and says_why(message)
    )
