"""What of the store is in use, what is known, and what is to be kept in a bucket."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
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

    owners: dict[str, frozenset[int]]
    ready: frozenset[str]
    used: frozenset[str]

    @cached_property
    def highest(self) -> dict[str, int]:
        """The highest id of each kind; 0 where there is none."""
        return {kind: max(ids, default=0) for kind, ids in self.owners.items()}

    def is_orphan(self, name: str) -> bool:
        """Say whether something in the bucket belongs to nothing that there is any more.

        A database that is restored from a backup does not know what came after it: from the highest
        id on, nothing is an orphan.
        """
        kind, id = _owner_of(name)
        return 0 < id < self.highest.get(kind, 0) and id not in self.owners[kind]

    def knows(self, name: str) -> bool:
        """Say whether the owner of something is there; code has none, and is always known."""
        kind, id = _owner_of(name)
        return kind not in self.owners or id in self.owners[kind]


def _owner_of(name: str) -> tuple[str, int]:
    """Return of which kind and id a name is; 0 where it is no number."""
    kind, _, rest = name.rpartition("/") if name.startswith("logs/") else name.partition("/")
    # The log of the second of several nodes is called 7-1.log.
    word = rest.partition("/")[0].partition(".")[0].partition("-")[0]
    return kind, int(word) if word.isascii() and word.isdigit() else 0


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
    tasks = frozenset(store.tasks.ids())
    return Known(
        owners={
            "datasets": frozenset(store.datasets.ids()),
            "models": frozenset(store.models.ids()),
            "outputs": tasks,
            "logs/tasks": tasks,
            "logs/servers": frozenset(store.servers.ids()),
            "logs/builds": frozenset(store.builds.ids()),
        },
        ready=frozenset(ready),
        used=frozenset(str(path.relative_to(files.root)) for path in used),
    )


def tidy(
    files: CachedFiles, ask: Callable[[], Known], now: dt.datetime, cache_mb: int, check: Check
) -> None:
    """Remove what belongs to nothing, keep the cache small, and send what is not in the bucket.

    Repeatable at any time, and cut short anywhere; runs for as long as the sending takes.

    Parameters
    ----------
    ask
        Asks the database; before each part, for what it said hours ago does not hold any more.
    check
        Is called before each step; what it raises ends all.

    Raises
    ------
    KplError
        The first of the failures; what does not need what has failed was done.
    """
    files.clear_fetches()
    failures: list[KplError] = []

    def part(work: Callable[[], object]) -> None:
        check()
        try:
            work()
        except KplError as error:
            failures.append(error)

    kept = files.remote.names()
    part(lambda: _remove_orphans(files, ask(), kept, now))
    part(lambda: files.remote.remove_garbage(now - dt.timedelta(seconds=INCOMING_SECONDS)))
    if cache_mb:
        part(lambda: shrink(files, ask().used, cache_mb * MIB, check))
    part(lambda: files.catch_up(check))
    for path in unsent(files, ask(), kept):
        part(partial(_send, files, path))
    if failures:
        raise failures[0]


def _remove_orphans(
    files: CachedFiles, found: Known, kept: Mapping[str, dt.datetime], now: dt.datetime
) -> None:
    old = [name for name, at in kept.items() if at < now - dt.timedelta(seconds=ORPHAN_SECONDS)]
    for kind, highest in found.highest.items():
        left = [name for name in old if not highest and _owner_of(name)[0] == kind]
        if left:
            log.warning(
                "the database has no %s, the object storage %s things of them: they stay",
                kind,
                len(left),
            )
    for name in filter(found.is_orphan, old):
        log.info("%s belongs to nothing and is removed from the object storage", name)
        files.remove(files.path(name))


def _send(files: CachedFiles, path: Path) -> None:
    try:
        files.send(path)
    except OSError as error:  # it was removed meanwhile, or is not ours to read
        log.warning("%s could not be sent: %s", path, error)


def unsent(files: CachedFiles, found: Known, kept: Iterable[str]) -> Iterator[Path]:
    """Yield what is finished here and not in the bucket yet, or not known to be."""
    there = set(kept)
    for path in _finished(files.root):
        name = files.name_of(path)
        is_version = name.startswith(("datasets/", "models/"))
        is_kept = name in there and files.is_sent(path)
        if is_kept or not found.knows(name) or (is_version and name not in found.ready):
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
