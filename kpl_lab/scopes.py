"""Scopes as data: what a token may be allowed to do. Docs and hub roles are made from this."""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "custom:kpl:"
RESOURCES = ("datasets", "models", "algorithms", "tasks", "services", "servers", "images")
VERBS = {"read": "See", "write": "Create, change and delete"}


@dataclass(frozen=True)
class Scope:
    """One scope: its name at the hub, what it means, and the scopes it includes."""

    name: str
    description: str
    includes: tuple[str, ...] = ()


def scope(resource: str, verb: str) -> str:
    """Return the scope's name; refuses unknown words, so that a typing error fails at import."""
    if resource not in RESOURCES or verb not in VERBS:
        raise ValueError(f"unknown scope {resource}:{verb}")
    return f"{PREFIX}{resource}:{verb}"


SELF = f"{PREFIX}self"
CATALOG = f"{PREFIX}catalog"
ADMIN = f"{PREFIX}admin"
INTERNAL = f"{PREFIX}internal"

_BY_RESOURCE = tuple(
    Scope(
        scope(resource, verb),
        f"{words} {resource}.",
        (scope(resource, "read"),) if verb == "write" else (),
    )
    for resource in RESOURCES
    for verb, words in VERBS.items()
)

SCOPES: dict[str, Scope] = {
    entry.name: entry
    for entry in (
        *_BY_RESOURCE,
        Scope(SELF, "Everything a user may do with KPL Lab.", tuple(s.name for s in _BY_RESOURCE)),
        Scope(
            CATALOG,
            "Keep the image catalog: everybody's images, presets, folders of the machine.",
            (scope("images", "write"),),
        ),
        Scope(ADMIN, "See and change what belongs to others.", (SELF, CATALOG)),
        Scope(
            INTERNAL,
            "What the hub itself asks the platform for, its start page too.",
            (scope("images", "read"), scope("datasets", "read"), scope("servers", "read")),
        ),
    )
}


def expand(names: frozenset[str]) -> frozenset[str]:
    """Return ``names`` with everything they include."""
    found: set[str] = set()
    waiting = [name for name in names if name in SCOPES]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(SCOPES[name].includes)
    return frozenset(found)
