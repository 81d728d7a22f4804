"""Selectors of labels and fields, as an API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
_SET = re.compile(r"^\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*$")


def by_labels(selector: str) -> Callable[[Json], bool]:
    """Return whether an object has the labels that a selector wants."""
    tests = [_label_test(part) for part in re.split(r",(?![^(]*\))", selector) if part.strip()]

    def matches(obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(test(labels) for test in tests)

    return matches


def _label_test(part: str) -> Callable[[Mapping[str, str]], bool]:
    found = _SET.match(part)
    if found:
        key, operator, values = found[1], found[2], {v.strip() for v in found[3].split(",")}
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if "!=" in part:
        key, _, value = part.partition("!=")
        return lambda labels: labels.get(key.strip()) != value.strip()
    if "=" in part:
        key, _, value = part.replace("==", "=").partition("=")
        return lambda labels: labels.get(key.strip()) == value.strip()
    name = part.strip()
    if name.startswith("!"):
        return lambda labels: name[1:] not in labels
    return lambda labels: name in labels


def by_fields(selector: str) -> Callable[[Json], bool]:
    """Return whether the fields of an object, named by their paths, have the values."""
    wanted = [part.split("=", 1) for part in selector.split(",") if part]

    def matches(obj: Json) -> bool:
        return all(_at(obj, path) == value for path, value in wanted)

    return matches


def _at(obj: Json, path: str) -> str:
    found: Any = obj
    for part in path.split("."):
        found = (found or {}).get(part)
    return "" if found is None else str(found)
