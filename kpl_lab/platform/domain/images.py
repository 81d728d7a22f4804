"""The image catalog: who finds what under which name, and what may start from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kpl_lab.errors import Invalid, NotFound
from kpl_lab.formats.image_reference import familiar
from kpl_lab.formats.yaml_marks import nearest
from kpl_lab.platform.at_rest import Vault
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import PRESET_OWNER, Credentials

NOUN = "image"
# Docker's names of images by content, whole or their beginning.
_ID = re.compile(r"(sha256:)?[0-9a-f]{1,64}", re.I)
_ENVIRONMENTS = "kpl-environment/"
NEW: dict[str, Any] = {
    "state": "preparing",
    "reason": None,
    "message": "It is being looked at.",
    "position": 0,
    "digest": None,
    "architecture": None,
    "size_bytes": None,
    "packages": {},
    "shown_packages": [],
    "icon": None,
    "is_default": False,
    "is_online": True,
}
"""The columns of an image that nobody has looked at."""


def subject(image: ImageRecord) -> Subject:
    """Return the subject of events about an image."""
    # Somebody who may not use it need not hear of it.
    visibility = "private" if image.groups else image.visibility
    return Subject(resource="images", id=image.id, owner=image.owner, visibility=visibility)


def lookup(store: Store, reader: Reader, reference: str) -> ImageRecord | None:
    """Return the image that a word means to a reader.

    Their own come first, then the administrator's, then others'; names come before aliases, and
    these before what the engine calls it.
    """
    seen = store.images.visible(reader)
    return next(_meant(seen, reader.name, reference), None)


def _meant(seen: Sequence[ImageRecord], user: str, word: str) -> Iterator[ImageRecord]:
    ordered = sorted(seen, key=lambda one: (one.owner != user, one.owner != PRESET_OWNER))
    yield from (one for one in ordered if word == one.name)
    yield from (one for one in ordered if word in one.aliases)
    yield from (one for one in ordered if word == one.reference)
    if word.isascii() and word.isdigit():
        yield from (one for one in ordered if int(word) == one.id)


def find(store: Store, caller: Caller, reference: str) -> ImageRecord:
    """Return the image that a word means to a caller, whatever state it is in.

    Raises
    ------
    NotFound
        None that the caller may see.
    """
    found = lookup(store, caller.reader, reference)
    if found is None:
        raise NotFound(
            f"There is no image {reference!r} that you can see; `kpl image list` shows them."
        )
    return found


def usable(store: Store, reader: Reader, reference: str) -> ImageRecord:
    """Return an image that something can start from now.

    Raises
    ------
    Invalid
        There is none of that name, or it is offline, failed or still being prepared.
    """
    found = lookup(store, reader, reference)
    if found is None:
        names = ", ".join(one.name for one in store.images.visible(reader)) or "none"
        raise Invalid(
            f"There is no image {reference!r} in the catalog; it has: {names}.",
            code="unknown_image",
            detail={"image": reference, "known": names},
        )
    require_usable(found)
    return found


def is_held_back(store: Store, reference: str) -> bool:
    """Say whether an engine may have an image that whoever names it may not.

    A daemon gives what it has to all: what was pulled with somebody's password, environments of
    other workspaces, and anything by its id. Ask for what is not in the namer's own catalog alone.
    """
    return is_only_of_daemon(reference) or is_locked(store, reference)


def is_only_of_daemon(reference: str) -> bool:
    """Say whether a reference means what was made here, or anything by its id."""
    name = familiar(reference)
    return bool(_ID.fullmatch(name)) or name.startswith(_ENVIRONMENTS)


def is_locked(store: Store, reference: str) -> bool:
    """Say whether somebody has registered an image of that repository with a password."""
    wanted = _repository(reference)
    return any(
        one.credentials and _repository(one.reference) == wanted for one in store.images.find()
    )


def _repository(reference: str) -> str:
    """Return a reference without its tag and digest, the same for all names of one image."""
    head, slash, name = familiar(reference).partition("@")[0].rpartition("/")
    return head + slash + name.partition(":")[0]


def require_usable(image: ImageRecord) -> None:
    """Refuse an image that nothing can start from.

    Raises
    ------
    Invalid
        Says why.
    """
    if not image.is_online:
        raise Invalid(
            f"The image {image.name!r} was taken offline by an administrator; choose another.",
            code="image_offline",
            detail={"image": image.name},
        )
    if image.state == "failed":
        raise Invalid(
            f"The image {image.name!r} cannot be used: {image.message}",
            code=image.reason or "image_unusable",
            detail={"image": image.name},
        )
    if image.state != "ready":
        raise Invalid(
            f"The image {image.name!r} is still being prepared; `kpl image show {image.name}` says "
            "how far it is.",
            code="image_not_ready",
            detail={"image": image.name},
        )


def require_for_notebooks(image: ImageRecord, resources: Resources) -> None:
    """Refuse what no notebook server can start from, and more than an image allows.

    Raises
    ------
    Invalid
        Says what is missing, or what is too much, with numbers.
    """
    if not image.serves_notebooks:
        raise Invalid(
            f"The image {image.name!r} has no JupyterLab with KPL Lab in it, so no notebook server "
            "can start from it; tasks and services can. Build one on the base image instead.",
            code="no_jupyter",
            detail={"image": image.name},
        )
    limits = image.max_resources or {}
    wanted = resources.model_dump()
    for key, unit in (("cpu", "CPU"), ("memory", "MiB"), ("gpu", "GPU"), ("shm", "MiB")):
        if key in limits and wanted[key] > limits[key]:
            unit = "GPUs" if key == "gpu" and limits[key] != 1 else unit
            raise Invalid(
                f"The image {image.name!r} may be given at most {limits[key]:g} {unit} "
                f"({key}), not {wanted[key]:g}.",
                code="above_maximum",
                detail={"key": key, "maximum": limits[key], "wanted": wanted[key]},
            )


def default(store: Store, reader: Reader) -> ImageRecord:
    """Return the image of whoever names none.

    Raises
    ------
    Invalid
        The catalog holds none that can be used.
    """
    ready = [one for one in store.images.visible(reader) if one.is_usable]
    chosen = next((one for one in ready if one.is_default), ready[0] if ready else None)
    if chosen is None:
        raise Invalid(
            "The catalog holds no image that can be used; ask an administrator.", code="no_image"
        )
    return chosen


def of_server(store: Store, id: int | None) -> ImageRecord:
    """Return the image that a server was promised.

    Raises
    ------
    NotFound, Invalid
        It was deleted since, or cannot be used any more.
    """
    found = store.images.get(id) if id is not None else None
    if found is None:
        raise NotFound("Its image was taken out of the catalog; choose another one.")
    require_usable(found)
    return found


def near(store: Store, reader: Reader, wanted: str) -> str | None:
    """Return the name or alias that was probably meant."""
    seen = store.images.visible(reader)
    return nearest(wanted, [word for one in seen for word in (one.name, *one.aliases)])


def credentials_of(context: Context, image: ImageRecord) -> Credentials | None:
    """Return what a registry lets us in with for an image.

    Raises
    ------
    KplError
        They were stored with another key.
    """
    if image.credentials is None:
        return None
    return Credentials.model_validate_json(Vault(context.at_rest_key).open(image.credentials))
