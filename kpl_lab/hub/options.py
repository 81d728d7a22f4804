"""What a user chose on the start page or named in a request, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from kpl_lab.errors import Invalid
from kpl_lab.schemas.common import Resources

LIMITS = ("cpu", "memory", "gpu", "shm")
FIELDS = ("image", *LIMITS, "pool", "mounts", "idle_stop")
PRESET = "preset"
_WORDS = {
    "cpu": "CPU cores",
    "memory": "memory in MiB",
    "gpu": "GPUs",
    "shm": "shared memory in MiB",
    "idle_stop": "minutes without work",
}
LEAST_IDLE_MINUTES = 1.0


@dataclass(frozen=True)
class Choice:
    """An image, limits where they were named, and datasets to mount at the start.

    ``idle_stop`` is after how many minutes without work the server ends by itself; 0: never, None:
    as the administrator has set it.
    """

    image: str | None = None
    cpu: float | None = None
    memory: int | None = None
    gpu: int | None = None
    shm: int | None = None
    pool: str | None = None
    mounts: tuple[str, ...] = ()
    idle_stop: float | None = None

    @property
    def names_limits(self) -> bool:
        """Whether any limit was named."""
        return any(getattr(self, kind) is not None for kind in LIMITS)

    def resources(self, default: Resources) -> Resources:
        """Return the limits, with an image's own where none were named."""
        named = {key: value for key in LIMITS if (value := getattr(self, key)) is not None}
        return default.model_copy(update=named)


def from_form(form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Turn the start page's fields (each a list of texts) into user options.

    A preset holds the limits that it stands for (``cpu=1&memory=2048&…``) and goes before the
    fields: where no script has filled them in, they still hold what they did at first.
    """
    found: dict[str, Any] = {}
    for field in FIELDS:
        values = [value.strip() for value in form.get(field, ()) if value.strip()]
        if field == "mounts":
            found[field] = values
        elif values:
            found[field] = values[0]
    for preset in form.get(PRESET, ()):
        found |= {key: value for key, value in parse_qsl(preset) if key in LIMITS}
    return found


def read(options: Mapping[str, Any]) -> Choice:
    """Return the choice that user options hold, of the form or of a request's JSON.

    Raises
    ------
    Invalid
        An unknown field, or a value that is no such amount; names field and value.
    """
    unknown = sorted(set(options) - set(FIELDS))
    if unknown:
        raise Invalid(
            f"{', '.join(unknown)}: no such field; a server has {', '.join(FIELDS)}.",
            code="unknown_option",
        )
    mounts = options.get("mounts") or ()
    if isinstance(mounts, str) or not all(isinstance(m, str) for m in mounts):
        raise Invalid("mounts is a list of NAME or NAME:VERSION.", code="invalid_option")
    return Choice(
        image=str(options["image"]) if options.get("image") else None,
        cpu=_amount(options, "cpu", least=0.01),
        memory=_whole(options, "memory", least=16),
        gpu=_whole(options, "gpu", least=0),
        shm=_whole(options, "shm", least=0),
        pool=str(options["pool"]) if options.get("pool") else None,
        mounts=tuple(mounts),
        idle_stop=_idle_minutes(options),
    )


def _idle_minutes(options: Mapping[str, Any]) -> float | None:
    minutes = _amount(options, "idle_stop", least=0)
    if minutes is not None and 0 < minutes < LEAST_IDLE_MINUTES:
        raise Invalid(
            f"A server can be stopped after {LEAST_IDLE_MINUTES:g} minute without work at the "
            "earliest; 0 means never.",
            code="invalid_option",
            detail={"field": "idle_stop"},
        )
    return minutes


def _amount(options: Mapping[str, Any], field: str, *, least: float) -> float | None:
    value = options.get(field)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    # NaN compares false with everything.
    if not least <= number <= 10**9:
        raise Invalid(
            f"{value!r} is no amount of {_WORDS[field]}; write a number of at least {least:g}.",
            code="invalid_option",
            detail={"field": field},
        )
    return number


def _whole(options: Mapping[str, Any], field: str, *, least: int) -> int | None:
    number = _amount(options, field, least=least)
    if number is None:
        return None
    if number != int(number):
        raise Invalid(
            f"{options[field]!r} is no amount of {_WORDS[field]}; write a whole number.",
            code="invalid_option",
            detail={"field": field},
        )
    return int(number)
