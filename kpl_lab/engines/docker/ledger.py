"""Workloads of the Docker engine; see :mod:`kpl_lab.engines.running.ledger`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.engines.running import ledger, status
from kpl_lab.engines.running.protocol import decode, encode
from kpl_lab.engines.spec import Recipe, Workload


@dataclass(kw_only=True)
class Status(status.Status):
    """The present of one replica.

    Attributes
    ----------
    container
        Id of its container, from the moment it was made.
    gpus
        Indices given to it.
    """

    container: str | None = None
    gpus: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Entry(ledger.Entry[Status]):
    """One workload in the runner's memory.

    Attributes
    ----------
    recipe
        What it builds.
    """

    recipe: Recipe | None = None

    def read_status(self, index: int) -> Status | None:
        """Return what is written down of a replica."""
        return Status.read(self.place(index).root)

    def extra(self) -> dict[str, Any]:
        """Return the recipe."""
        return {"recipe": None if self.recipe is None else encode(self.recipe)}


def _revive(workload: Workload, folder: Path, found: Mapping[str, Any]) -> Entry:
    recipe = found.get("recipe")
    if recipe is not None and not isinstance(recipe, Recipe):
        recipe = decode(Recipe, recipe)
    return Entry(workload=workload, folder=folder, recipe=recipe)


class Ledger(ledger.Ledger[Entry]):
    """All workloads of an installation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _revive)
