"""Small parts of requests to an API server and of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class LogQuery:
    """Which part of a container's output, and how.

    Attributes
    ----------
    follow
        Go on until the container ends.
    since_time
        RFC 3339; the API knows no part of a second, so what the same second brought comes too.
    timestamps
        Each line begins with its time.
    limit_bytes
        No more than so many.
    previous
        Of the container that ran before the present one.
    """

    follow: bool = False
    since_time: str = ""
    timestamps: bool = False
    limit_bytes: int | None = None
    previous: bool = False

    def parameters(self) -> dict[str, str]:
        """Return it as the API takes it."""
        flags = {"follow": self.follow, "timestamps": self.timestamps, "previous": self.previous}
        values = {key: "true" for key, value in flags.items() if value}
        if self.limit_bytes is not None:
            values["limitBytes"] = str(self.limit_bytes)
        return values | given(sinceTime=self.since_time)


WHOLE_LOG = LogQuery()
