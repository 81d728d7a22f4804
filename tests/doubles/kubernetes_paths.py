"""What requests to the double of an API server ask for: an object or a kind, a verb, and rights."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from aiohttp import web

from tests.doubles.kubernetes_store import KINDS, Key

APPLY = "application/apply-patch+yaml"
PLURALS = {(api, plural): kind for kind, (api, plural, _) in KINDS.items()}


@dataclass(frozen=True)
class Target:
    """What a path names."""

    kind: str
    namespace: str
    name: str
    part: str

    @property
    def key(self) -> tuple[str, str, str]:
        """As the store has it."""
        return self.kind, self.namespace, self.name


def target_of(parts: list[str]) -> Target | None:
    """Return what a path names; None: nothing that the store has."""
    if parts[0] == "api":
        api, rest = parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        api, rest = f"{parts[1]}/{parts[2]}", parts[3:]
    else:
        return None
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    kind = PLURALS.get((api, rest[0]))
    if kind is None:
        return None
    name, part = [*rest[1:], "", ""][:2]
    return Target(kind, namespace, name, part)


def verb_of(request: web.Request, target: Target | None) -> str:
    """Return the verb of a request, as rules of RBAC name it."""
    named = target is not None and bool(target.name)
    if request.method == "GET":
        if named or target is None:
            return "get"
        return "watch" if request.query.get("watch") in ("1", "true") else "list"
    if request.method == "DELETE":
        return "delete" if named else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[request.method]


def rights_of(
    request: web.Request, verb: str, target: Target | None, there: Container[Key]
) -> set[tuple[str, str, str]]:
    """Return the rights that a request needs: verb, group, resource."""
    if target is None:
        return set()
    api, plural, _ = KINDS[target.kind]
    resource = f"{plural}/{target.part}" if target.part else plural
    # What is applied and is not there is made, which takes both rights.
    is_made = request.content_type == APPLY and target.key not in there
    verbs = (verb, "create") if is_made else (verb,)
    return {(one, api.rpartition("/")[0], resource) for one in verbs}
