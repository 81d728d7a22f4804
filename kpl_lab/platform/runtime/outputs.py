"""What a task wrote becomes versions of models and datasets, or is kept as files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kpl_lab.engines.spec import Handle
from kpl_lab.errors import EngineError, Invalid
from kpl_lab.naming import slug
from kpl_lab.platform.domain import datasets, imports, models
from kpl_lab.platform.runtime.world import World
from kpl_lab.platform.storage.archives import plain_files
from kpl_lab.platform.storage.files import make_read_only, remove_tree, size_of
from kpl_lab.platform.storage.records.assets import Asset, DatasetVersionRecord, ModelVersionRecord
from kpl_lab.platform.storage.records.work import TaskRecord
from kpl_lab.platform.storage.store import Store

Planned = dict[str, Any]


class OutputKeeper:
    """Keeps the outputs of ended tasks; every step may be taken again after a crash."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def keep(self, task: TaskRecord, handle: Handle, *, register: bool) -> None:
        """Keep all outputs: registered as planned after a success, else as files."""
        for planned in task.outputs:
            if planned.get("is_kept"):
                continue
            kept = await self._keep_one(task, handle, planned, register)
            if kept is not None:
                await self._world.write(partial(_note, task=task, kept=kept))
        await asyncio.to_thread(self._tidy, task)

    def _tidy(self, task: TaskRecord) -> None:
        """Remove what is left of earlier tries: one may have ended just after its output was noted."""
        self._world.fence.check()
        incoming = self._world.context.files.path("incoming")
        for path in incoming.glob(f"task-{task.id}-*"):
            remove_tree(path)

    async def _keep_one(
        self, task: TaskRecord, handle: Handle, planned: Planned, register: bool
    ) -> Planned | None:
        """Keep one output; return what to note of it, None where that is noted already."""
        key = planned["key"]
        incoming = self._world.incoming(f"task-{task.id}-{slug(key)}")
        await asyncio.to_thread(incoming.parent.mkdir, parents=True, exist_ok=True)
        try:
            await self._world.engine.collect(handle, key, incoming)
        except EngineError as error:
            # The engine answers, and there is nothing to be had: trying again would not help.
            return {**planned, "is_kept": True, "message": error.message}
        try:
            return await self._world.in_bucket_thread(
                self._place, task, planned, incoming, register
            )
        finally:
            await asyncio.to_thread(remove_tree, incoming)

    def _place(
        self, task: TaskRecord, planned: Planned, incoming: Path, register: bool
    ) -> Planned | None:
        """Put collected files where they belong; runs in a thread."""
        base = {**planned, "is_kept": True}
        if not any(plain_files(incoming)):
            return {**base, "bytes": 0, "message": "The program wrote nothing into this output."}
        kind = planned["kind"] if register else "files"
        if kind == "dataset-or-files":
            kind = "dataset" if any(incoming.glob("*.data")) else "files"
        if kind == "model":
            self._as_model(task, base, incoming)
            return None
        if kind == "dataset":
            try:
                self._as_dataset(task, base, incoming)
            except Invalid as error:
                base["message"] = f"It was kept as files. {error.message}"
            else:
                return None
        target = self._world.context.files.path("outputs", task.id, planned["key"])
        size = size_of(incoming)
        self._world.publish(incoming, target)
        return {**base, "kind": "files", "bytes": size}

    def _as_model(self, task: TaskRecord, planned: Planned, incoming: Path) -> None:
        with self._world.transaction() as store:
            if _is_noted(store, task, planned):
                return
            known = store.models.own(planned["name"], task.owner)
            version = _begun(store.model_versions.of(known.id) if known else [], task)
            if version is None:
                origin = models.Origin(
                    owner=task.owner,
                    workspace_id=task.workspace_id,
                    task_id=task.id,
                    metrics=task.scalars,
                    parameters=task.parameters,
                    lineage=lineage(task),
                )
                known, version = models.begin_version(store, planned["name"], origin)
        assert known is not None  # noqa: S101 (found or made just above)
        found = models.files_of(incoming)
        size = sum(f["bytes"] for f in found)
        kept = _as_kept(planned, "model", known, version.number, size)
        finish = partial(models.finish_version, version=version, files=found)
        self._register(task, kept, incoming, finish)

    def _as_dataset(self, task: TaskRecord, planned: Planned, incoming: Path) -> None:
        result = incoming.with_name(f"{incoming.name}-dataset")
        remove_tree(result)
        # Before a version is begun: what is no dataset shall leave none.
        found = imports.read(imports.Source(incoming, "", lambda _done: None), result, "kpl")
        with self._world.transaction() as store:
            if _is_noted(store, task, planned):
                return
            known = store.datasets.own(planned["name"], task.owner)
            version = _begun(store.dataset_versions.of(known.id) if known else [], task)
            if version is None:
                origin = datasets.Origin(
                    owner=task.owner,
                    workspace_id=task.workspace_id,
                    source=f"output {planned['key']} of the task {task.name}",
                    task_id=task.id,
                    format="kpl",
                )
                known, version = datasets.begin_version(store, planned["name"], origin)
        assert known is not None  # noqa: S101 (found or made just above)
        kept = _as_kept(planned, "dataset", known, version.number, found.bytes)
        finish = partial(datasets.finish_version, version=version, found=found)
        self._register(task, kept, result, finish)

    def _register(
        self, task: TaskRecord, kept: Planned, filled: Path, finish: Callable[[Store], None]
    ) -> None:
        """Put a version's files in their place, and make it usable."""
        files = self._world.context.files
        target = files.path(kept["resource"], kept["resource_id"], kept["version"])
        # A read-only folder cannot be moved.
        make_read_only(filled)
        filled.chmod(0o755)
        self._world.publish(filled, target)
        target.chmod(0o555)
        # Together: a version that is ready, of an output not yet noted, would be made once more.
        with self._world.transaction() as store:
            finish(store)
            _note(store, task, kept)


def _as_kept(planned: Planned, kind: str, asset: Asset, number: int, size: int) -> Planned:
    """Return an output that has become a version."""
    return {
        **planned,
        "kind": kind,
        "resource": f"{kind}s",
        "resource_id": asset.id,
        "name": asset.name,
        "version": number,
        "bytes": size,
    }


def _is_noted(store: Store, task: TaskRecord, planned: Planned) -> bool:
    """Say whether an output was kept meanwhile, by a controller that has not quite ended."""
    fresh = store.tasks.get(task.id)
    kept = [o["key"] for o in fresh.outputs if o.get("is_kept")] if fresh else [planned["key"]]
    return planned["key"] in kept


def _note(store: Store, task: TaskRecord, kept: Planned) -> None:
    """Record what became of an output."""
    fresh = store.tasks.get(task.id)
    if fresh is not None:
        outputs = [kept if o["key"] == kept["key"] else o for o in fresh.outputs]
        store.tasks.update(task.id, outputs=outputs)


Version = TypeVar("Version", ModelVersionRecord, DatasetVersionRecord)


def _begun(versions: list[Version], task: TaskRecord) -> Version | None:
    """Return the version that an earlier try has begun: outputs are kept one after the other."""
    for version in versions:
        if version.task_id == task.id and version.state == "preparing":
            return version
    return None


def lineage(task: TaskRecord) -> list[dict[str, Any]]:
    """Return what a task's outputs were made from."""
    links: list[dict[str, Any]] = [
        {"kind": "task", "relation": "made_by", "id": task.id, "name": task.name}
    ]
    if task.algorithm_id is not None and task.algorithm:
        name, _, number = task.algorithm.rpartition(":")
        links.append(
            {
                "kind": "algorithm",
                "relation": "code",
                "id": task.algorithm_id,
                "name": name,
                "version": int(number),
            }
        )
    links += [
        {
            "kind": entry["kind"],
            "relation": "input",
            "id": entry["id"],
            "name": entry["name"],
            "version": entry["version"],
            "key": entry["key"],
        }
        for entry in task.inputs
    ]
    return links
