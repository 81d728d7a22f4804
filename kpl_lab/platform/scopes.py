"""The scopes, under the name by which the platform's modules know them."""

from kpl_lab.scopes import (
    ADMIN,
    CATALOG,
    INTERNAL,
    PREFIX,
    RESOURCES,
    SCOPES,
    SELF,
    VERBS,
    Scope,
    expand,
    scope,
)

__all__ = [
    "ADMIN",
    "CATALOG",
    "INTERNAL",
    "PREFIX",
    "RESOURCES",
    "SCOPES",
    "SELF",
    "VERBS",
    "Scope",
    "expand",
    "scope",
]
