"""What was built and nothing uses any more: marked, removed by the engine, and then forgotten.

A marked build is nobody's to reuse; so what is ordered while the engine removes its image is built
anew. The mark survives a crash, and the engine is asked again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from kpl_lab.platform.storage.records.assets import BuildRecord
from kpl_lab.platform.storage.store import Store

UNUSED = "unused"
_MESSAGE = (
    "Nothing has used it for a long time, so it was removed; it is built anew when it is needed."
)


def mark(store: Store, before: dt.datetime) -> list[str]:
    """Mark what nothing has used since a moment; return the references that are to be removed."""
    used = set(_used(store, before))
    made = store.builds.made()
    found = {build.image for build in made if build.image is not None} - used
    for build in made:
        reason = UNUSED if build.image in found else None
        if build.reason != reason:
            store.builds.update(build.id, reason=reason)
    return sorted(found)


def removed(store: Store, reference: str) -> None:
    """Note that the engine does not have it any more."""
    for build in _marked(store, reference):
        store.builds.update(build.id, image=None, message=_MESSAGE)


def kept(store: Store, reference: str) -> None:
    """Note that the engine needs it, so that it may be used again."""
    for build in _marked(store, reference):
        store.builds.update(build.id, reason=None)


def _marked(store: Store, reference: str) -> list[BuildRecord]:
    made = store.builds.made()
    return [build for build in made if (build.image, build.reason) == (reference, UNUSED)]


def _used(store: Store, before: dt.datetime) -> Iterator[str | None]:
    """Yield the references that something uses, or has used since ``before``."""
    active = store.builds.active()
    digests, waited_for = {build.digest for build in active}, _builds_in_use(store, before)
    for build in store.builds.made():
        is_young = build.finished_at is None or build.finished_at >= before
        if is_young or build.id in waited_for or build.digest in digests:
            yield build.image
    yield from (image.reference for image in store.images.find())
    yield from (task.image for task in store.tasks.since(before))
    yield from (service.image for service in store.services.every())
    for build in active:
        yield build.base
        yield from (build.request.get("dockerfile") or {}).get("bases") or ()


def _builds_in_use(store: Store, before: dt.datetime) -> set[int | None]:
    return {
        *(version.build_id for version in store.algorithm_versions.find()),
        *(service.build_id for service in store.services.every()),
        *(task.build_id for task in store.tasks.since(before)),
    }
