"""Names of images: one image has several that a Docker daemon takes for the same.

Rules: https://github.com/distribution/reference (``normalize.go``).
"""

from __future__ import annotations

_OWN_REGISTRY = ("docker.io", "index.docker.io")
_OFFICIAL = "library/"


def familiar(reference: str) -> str:
    """Return a reference as Docker shows it: without what it adds to names of its own registry."""
    host, slash, rest = reference.partition("/")
    name = rest if slash and host.lower() in _OWN_REGISTRY else reference
    is_official = name.startswith(_OFFICIAL) and "/" not in name.removeprefix(_OFFICIAL)
    return name.removeprefix(_OFFICIAL) if is_official else name


def registry_of(reference: str) -> str | None:
    """Return the registry that a reference names itself; None: it is left to Docker."""
    host, slash, _ = reference.partition("/")
    is_named = bool(slash) and (bool(set(".:") & set(host)) or host == "localhost")
    return host if is_named else None
