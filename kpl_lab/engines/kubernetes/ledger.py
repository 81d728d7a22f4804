"""Workloads of the Kubernetes engine; see :mod:`kpl_lab.engines.running.ledger`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kpl_lab.engines.running import ledger, status
from kpl_lab.engines.running.protocol import decode, encode
from kpl_lab.engines.spec import Cause, Recipe, Workload

# The end of the name of an Indexed Job's pod: its number, and letters that nobody chose.
_NUMBERED = re.compile(r"-(\d+)-[a-z0-9]+$")


@dataclass(kw_only=True)
class Status(status.Status):
    """The present of one replica.

    Attributes
    ----------
    pod
        Name of its present pod; None: it has none yet.
    was_ready
        Whether calls have ever reached it.
    replaced
        How often the cluster has made another pod in the place of one that it took.
    doom
        Why its agent has ended it, as the agent said it first.
    """

    pod: str | None = None
    was_ready: bool = False
    replaced: int = 0
    doom: dict[str, Any] | None = None


@dataclass(kw_only=True)
class Entry(ledger.Entry[Status]):
    """One workload in the runner's memory.

    Attributes
    ----------
    recipe
        What it builds.
    mounted
        Folder of the store by the name of the live mount that shows it.
    shown
        Version by the name of the live mount, of those that an agent of a node shows.
    copied
        Names of those that lie in the server as copies.
    is_made
        Its objects were made: if there are none, they have gone.
    is_adopted
        It is known from the cluster alone, which does not tell its secrets.
    """

    recipe: Recipe | None = None
    is_made: bool = False
    is_adopted: bool = False
    mounted: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    copied: set[str] = field(default_factory=set)

    def read_status(self, index: int) -> Status | None:
        """Return what is written down of a replica."""
        return Status.read(self.place(index).root)

    @property
    def over(self) -> set[int]:
        """Replicas that are to have no pod any more."""
        return {index for index, status in self.statuses.items() if status.is_final}

    @property
    def still_wanted(self) -> int:
        """How many replicas are to have a pod."""
        over = self.over
        return sum(
            1 for index in range(self.workload.replicas) if index not in over and self.wants(index)
        )

    def index_of(self, pod: str) -> int | None:
        """Return the number of the replica that a pod is, as an Indexed Job names it; None: of none."""
        if self.workload.replicas == 1:
            return 0
        found = _NUMBERED.search(pod)
        number = None if found is None else int(found[1])
        return number if number is not None and number < self.workload.replicas else None

    def condemned(self) -> list[int]:
        """Return the replicas that are to be ended for another's failure.

        None for one that was lost: its Job has ended, and the cluster removes what is left of it,
        which may have ended for a reason of its own before.
        """
        is_lost = any(status.cause is Cause.LOST for status in self.statuses.values())
        return [] if is_lost else super().condemned()

    def extra(self) -> dict[str, Any]:
        """Return the recipe and the live mounts."""
        recipe = None if self.recipe is None else encode(self.recipe)
        return {
            "recipe": recipe,
            "mounted": self.mounted,
            "shown": self.shown,
            "copied": sorted(self.copied),
            "is_made": self.is_made,
            "is_adopted": self.is_adopted,
        }


def _revive(workload: Workload, folder: Path, found: Mapping[str, Any]) -> Entry:
    recipe = found.get("recipe")
    if recipe is not None and not isinstance(recipe, Recipe):
        recipe = decode(Recipe, recipe)
    mounted = dict(found.get("mounted") or {})
    shown = dict(found.get("shown") or {})
    # An earlier version did not say it: what no node shows was copied.
    copied = set(found.get("copied", mounted.keys() - shown))
    return Entry(
        workload=workload,
        folder=folder,
        recipe=recipe,
        mounted=mounted,
        shown=shown,
        copied=copied,
        is_made=bool(found.get("is_made")),
        is_adopted=bool(found.get("is_adopted")),
    )


class Ledger(ledger.Ledger[Entry]):
    """All workloads of an installation."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, _revive)
