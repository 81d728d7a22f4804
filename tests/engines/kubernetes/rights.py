"""Rights of an account, as rules of RBAC name them: verb, group, resource."""

from __future__ import annotations

from collections.abc import Iterable

from kpl_lab.engines.kubernetes.kinds import KINDS
from kpl_lab.supervisor.cluster import NEEDED, NEEDED_BY_ROUTES, USEFUL, USEFUL_BY_ROUTES, Right

# Asked before anything runs, and made where it may be: an account of the namespace alone is refused, and
# goes on. The chart's role is one.
AT_FIRST = {("get", "", "namespaces"), ("create", "", "namespaces")}


def right(verb: str, kind: str, part: str) -> tuple[str, str, str]:
    """Return a right as a rule names it."""
    found = KINDS[kind]
    return verb, found.group, f"{found.plural}/{part}" if part else found.plural


def named(rights: Iterable[Right]) -> set[tuple[str, str, str]]:
    """Return rights as rules name them."""
    return {right(*one) for one in rights}


def of_running(routes: str = "frontdoor") -> set[tuple[str, str, str]]:
    """Return what the platform's account has with a way of routes."""
    needed = (*NEEDED, *NEEDED_BY_ROUTES.get(routes, ()))
    return named((*needed, *USEFUL, *USEFUL_BY_ROUTES.get(routes, ())))
