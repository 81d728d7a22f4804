"""How much of each kind a server may be given: by its image, and by the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import ImageView
from kpl_lab.schemas.pools import Amount, PoolView
from kpl_lab.schemas.servers import CapacityView

KINDS = {"cpu": "CPU cores", "memory": "Memory", "gpu": "GPUs", "shm": "Shared memory"}
# Whole sentences with places, as the catalogues of the pages have them.
_LOWERED = "{what} lowered from {before} to {after}: that is the most here."
_UNITS = {"cpu": " CPU", "gpu": " GPU"}
_IN_MIB = ("memory", "shm")


@dataclass(frozen=True)
class Lowered:
    """A limit that was above what can be had, before and after."""

    kind: str
    before: float
    after: float

    @property
    def sentence(self) -> str:
        """What happened to it."""
        return _LOWERED.format(
            what=KINDS[self.kind],
            before=amount(self.kind, self.before),
            after=amount(self.kind, self.after),
        )


def of_pool(capacity: CapacityView, pool: PoolView | None) -> dict[str, Amount]:
    """Return how much there is for a user in a pool, by kind, and how much of it is promised.

    Of all, of the pool, or of the user's quota in it, whichever is least.
    """
    found = {}
    for kind in ("cpu", "memory", "gpu"):
        all_of = [getattr(capacity, kind)]
        if pool is not None:
            all_of += [getattr(pool, kind), *(one for k, one in pool.quota.items() if k == kind)]
        limit = min(one.limit for one in all_of)
        free = min(one.limit - one.used for one in all_of)
        found[kind] = Amount(limit=limit, used=limit - free)
    return found


def of_machine(capacity: CapacityView | None) -> dict[str, float]:
    """Return what there is in all, by kind; kinds of which nothing is known are left out."""
    if capacity is None:
        return {}
    return {
        "cpu": capacity.cpu.limit,
        "memory": float(int(capacity.memory.limit)),
        "gpu": float(int(capacity.gpu.limit)),
    }


def of_image(image: ImageView | None) -> dict[str, float]:
    """Return the most that an image may be given, by kind; empty where it has no maximum."""
    most = image.max_resources if image else None
    return {kind: float(getattr(most, kind)) for kind in KINDS} if most else {}


def both(image: ImageView | None, capacity: CapacityView | None) -> dict[str, float]:
    """Return the most that a server of this image can have on this machine, by kind."""
    first, second = of_image(image), of_machine(capacity)
    return {
        kind: min(bound[kind] for bound in (first, second) if kind in bound)
        for kind in KINDS
        if kind in first or kind in second
    }


def of_any(images: Sequence[ImageView], capacity: CapacityView | None) -> dict[str, float]:
    """Return the most that a server of any of these images can have on this machine, by kind."""
    found = [both(image, capacity) for image in images] or [of_machine(capacity)]
    return {
        kind: max(bound[kind] for bound in found)
        for kind in KINDS
        if all(kind in bound for bound in found)
    }


def within(wanted: Resources, most: dict[str, float]) -> tuple[Resources, list[Lowered]]:
    """Return limits that can be had, and which of them are lower than what was wanted."""
    lowered = [
        Lowered(kind, getattr(wanted, kind), bound)
        for kind, bound in most.items()
        if getattr(wanted, kind) > bound
    ]
    changes = {one.kind: one.after if one.kind == "cpu" else int(one.after) for one in lowered}
    return wanted.model_copy(update=changes), lowered


def above(wanted: Resources, most: dict[str, float]) -> list[str]:
    """Return the kinds of which more is wanted than can be had."""
    return [one.kind for one in within(wanted, most)[1]]


def measured(kind: str, number: float) -> str:
    """Return an amount with its unit, whatever its kind."""
    return amount(kind, number) + _UNITS.get(kind, "")


def amount(kind: str, number: float) -> str:
    """Return an amount as the start page writes it beside the name of its kind."""
    return in_gib(number) if kind in _IN_MIB else f"{number:.1f}".removesuffix(".0")


def in_gib(mib: float) -> str:
    """Return MiB in the unit that people read."""
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib:g} MiB"
