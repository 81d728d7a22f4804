"""What of the store is in use, what is known, and what is to be kept in a bucket."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kpl_lab.errors import KplError
from kpl_lab.platform.domain.housekeeping import INCOMING_SECONDS, ORPHAN_SECONDS
from kpl_lab.platform.storage.cached import CachedFiles
from kpl_lab.platform.storage.files import FileStore
from kpl_lab.platform.storage.store import Store

log = logging.getLogger(__name__)
MIB = 1 << 20
Check = Callable[[], None]


@dataclass(frozen=True)
class Known:
    """What the database says of the store at one moment.

    Attributes
    ----------
    owners
        Ids by the first parts of a name, as in ``datasets`` and ``logs/tasks``.
    ready
        Versions that can be used, as ``datasets/3/1``.
    used
        Names of what a task, a service or a mount reads.
    """

    owners: dict[str, frozenset[str]]
    ready: frozenset[str]
    used: frozenset[str]

    def is_orphan(self, name: str) -> bool:
        """Say whether something in the bucket belongs to nothing that there is."""
        kind, _, rest = name.rpartition("/") if name.startswith("logs/") else name.partition("/")
        ids = self.owners.get(kind)
        # The log of the second of several nodes is called 7-1.log.
        return (
            ids is not None
            and rest.partition("/")[0].partition(".")[0].partition("-")[0] not in ids
        )


def input_folders(files: FileStore, inputs: list[Any]) -> list[Path]:
    """Return the folders of resolved inputs."""
    places = {"dataset": files.dataset, "model": files.model}
    return [places[entry["kind"]](entry["id"], entry["version"]) for entry in inputs]


def known(store: Store, files: FileStore) -> Known:
    """Return what the database says of the store."""
    ready = [
        f"datasets/{v.dataset_id}/{v.number}" for v in store.dataset_versions.in_state("ready")
    ]
    ready += [f"models/{v.model_id}/{v.number}" for v in store.model_versions.in_state("ready")]
    used: set[Path] = set()
    for task in store.tasks.holding():
        used |= {files.code(task.code_digest), *input_folders(files, task.inputs)}
    for service in store.services.every():
        if not service.is_deleted:
            used |= {files.code(service.code_digest), *input_folders(files, service.inputs)}
    for server in store.servers.active():
        for mount in store.mounts.of(server.id):
            used.add(files.dataset(mount.dataset_id, mount.version))
    tasks = _words(store.tasks.ids())
    return Known(
        owners={
            "datasets": _words(store.datasets.ids()),
            "models": _words(store.models.ids()),
            "outputs": tasks,
            "logs/tasks": tasks,
            "logs/servers": _words(store.servers.ids()),
            "logs/builds": _words(store.builds.ids()),
        },
        ready=frozenset(ready),
        used=frozenset(str(path.relative_to(files.root)) for path in used),
    )


def tidy(files: CachedFiles, found: Known, now: dt.datetime, cache_mb: int, check: Check) -> None:
    """Send what is not in the bucket, remove what belongs to nothing, and keep the cache small.

    Repeatable at any time, and cut short anywhere; runs for as long as the sending takes.

    Parameters
    ----------
    check
        Is called before each step; what it raises ends all.
    """
    kept = files.remote.names()
    for path in unsent(files, found, kept):
        check()
        try:
            files.send(path)
        except OSError as error:  # it was removed meanwhile, or is not ours to read
            log.warning("%s could not be sent: %s", path, error)
    for name, since in kept.items():
        if found.is_orphan(name) and since < now - dt.timedelta(seconds=ORPHAN_SECONDS):
            check()
            files.remove(files.path(name))
    check()
    files.remote.remove_garbage(now - dt.timedelta(seconds=INCOMING_SECONDS))
    if cache_mb:
        shrink(files, found.used, cache_mb * MIB, check)


def unsent(files: CachedFiles, found: Known, kept: Iterable[str]) -> Iterator[Path]:
    """Yield what is finished here and not in the bucket yet."""
    there = set(kept)
    for path in _finished(files.root):
        name = files.name_of(path)
        is_version = name.startswith(("datasets/", "models/"))
        if (found.is_orphan(name) or name in there) or (is_version and name not in found.ready):
            continue
        yield path


def only_here(files: CachedFiles) -> int:
    """Return how many finished things lie in the folder alone."""
    kept = files.remote.names()
    return sum(files.name_of(path) not in kept for path in _finished(files.root))


def shrink(files: CachedFiles, used: frozenset[str], limit: int, check: Check) -> int:
    """Remove what was not used for the longest time until the cache holds at most ``limit`` bytes."""
    cached = sorted(files.cached(), key=lambda one: one.used)
    total, removed = sum(one.bytes for one in cached), 0
    for one in cached:
        if total - removed <= limit:
            break
        check()
        try:
            if one.name not in used and files.evict(one):
                removed += one.bytes
        except (KplError, OSError) as error:
            log.warning("%s stays in the cache: %s", one.name, error)
    return removed


def _finished(root: Path) -> Iterator[Path]:
    """Yield what lies in the store for good: versions, outputs, code, logs of what has ended."""
    for pattern in ("datasets/*/*", "models/*/*", "outputs/*/*", "code/*", "logs/*/*.log"):
        yield from sorted(root.glob(pattern))


def _words(ids: Iterable[int]) -> frozenset[str]:
    return frozenset(str(id) for id in ids)
