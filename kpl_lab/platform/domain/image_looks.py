"""What an engine finds in an image of the catalog, and that it is to look again."""

from __future__ import annotations

from kpl_lab.engines.spec import ImageFacts
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import image_changes, images
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.store import Store


def look(store: Store, caller: Caller, image: ImageRecord) -> ImageRecord:
    """Have an image looked at again: what it was named after may have come or changed since.

    Raises
    ------
    Forbidden
        It is somebody else's, or has become something that only others may have.
    """
    image_changes.require_change(caller, image)
    if image.source == "registered":
        image_changes.check_reach(
            store, caller, image.reference, with_password=bool(image.credentials)
        )
    values = {key: images.NEW[key] for key in ("state", "reason", "message")}
    store.images.update(image.id, **values, updated_at=store.now())
    store.events.write(images.subject(image), "updated", "It is being looked at.")
    changed = store.images.get(image.id)
    assert changed is not None  # noqa: S101 (changed in this transaction)
    return changed


def found(store: Store, image: ImageRecord, facts: ImageFacts) -> None:
    """Note what is in an image: it can be used from now on. Repeatable."""
    changed = store.images.update(
        image.id,
        where={"reference": image.reference},
        state="ready",
        reason=None,
        message=None,
        digest=facts.digest,
        architecture=facts.architecture,
        size_bytes=facts.size_bytes,
        packages=dict(facts.packages),
        updated_at=store.now(),
    )
    if changed:
        store.events.write(images.subject(image), "state", "Ready.", data={"state": "ready"})


def lost(store: Store, image: ImageRecord, reason: str, message: str) -> None:
    """Note that an image cannot be had, and why. Repeatable."""
    changed = store.images.update(
        image.id,
        where={"reference": image.reference},
        state="failed",
        reason=reason,
        message=message,
        updated_at=store.now(),
    )
    if changed:
        data = {"state": "failed"}
        store.events.write(images.subject(image), "state", message, level="error", data=data)
