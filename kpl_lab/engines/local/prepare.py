"""What the command of a replica sees; its folders are made by ``running.prepare``."""

from __future__ import annotations

from pathlib import Path

from kpl_lab.engines.local.namespace import Bind, View
from kpl_lab.engines.local.plan import Plan
from kpl_lab.engines.running.place import Place


def view_of(plan: Plan, place: Place) -> View:
    """Return what the workload sees: its own folders, and of the platform nothing else."""
    home = Path(plan.home) if plan.home else None
    writable = [
        place.inside,
        *([home] if home else []),
        *([Path(plan.build)] if plan.build else []),
    ]
    binds = [
        *(Bind(source=Path(source), target=place.inputs / key) for key, source in plan.inputs),
        Bind(source=place.tmp, target=Path("/tmp"), read_only=False),  # noqa: S108 (made private)
    ]
    if plan.mounts is not None and home is not None and (home / "datasets").is_dir():
        binds.append(Bind(source=Path(plan.mounts), target=home / "datasets", read_only=False))
    told = [] if plan.cgroups else [place.memory_events]
    return View(
        read_only=(*(Path(path) for path in plan.shown), *told),
        writable=tuple(writable),
        hidden=(Path(plan.kpl_home),),
        binds=tuple(binds),
        shm_mb=plan.ceilings.shm_mb,
    )
