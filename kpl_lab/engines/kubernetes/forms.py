"""Small parts of requests to an API server and of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kpl_lab.engines.kubernetes.kinds import Kind
from kpl_lab.engines.kubernetes.words import Json

Items = list[Json]


def given(**values: str) -> dict[str, str]:
    """Return the parameters of a query that are not empty."""
    return {key: value for key, value in values.items() if value}


def delete_options(grace_seconds: int | None, propagation: str) -> Json:
    """Return how something is to be deleted; no seconds: as the object says."""
    options: Json = {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "propagationPolicy": propagation,
    }
    if grace_seconds is not None:
        options["gracePeriodSeconds"] = grace_seconds
    return options


def whole(kind: Kind, items: Items) -> Items:
    """Say of each item of a list what it is: lists leave that out."""
    return [{"apiVersion": kind.api, "kind": kind.name, **item} for item in items]


def event_time(event: Mapping[str, Any]) -> str:
    """Return when an event happened last, as RFC 3339 in UTC (which sorts as time does)."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )
