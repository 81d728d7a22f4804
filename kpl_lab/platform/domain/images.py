"""The image catalog: who finds what under which name, and what may be changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from kpl_lab.errors import Conflict, Forbidden, Invalid, NotFound
from kpl_lab.formats.catalog_yml import LOCAL, REFERENCE
from kpl_lab.formats.yaml_marks import nearest
from kpl_lab.naming import check_name
from kpl_lab.platform.at_rest import Vault
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.repositories.base import Reader
from kpl_lab.platform.storage.repositories.workspaces import Subject
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import PRESET_OWNER, Credentials, ImageChanges, ImageCreate, ImageUpdate

NOUN = "image"
# Docker's names of images by content, whole or their beginning.
_ID = re.compile(r"(sha256:)?[0-9a-f]{4,64}")
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
    if _ID.fullmatch(reference) or reference.startswith(_ENVIRONMENTS):
        return True
    wanted = _repository(reference)
    return any(
        one.credentials and _repository(one.reference) == wanted for one in store.images.find()
    )


def _repository(reference: str) -> str:
    """Return a reference without its tag and digest."""
    head, slash, name = reference.partition("@")[0].rpartition("/")
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
    for key, unit in (("cpu", "cores"), ("memory", "MiB"), ("gpu", "GPUs"), ("shm", "MiB")):
        if key in limits and wanted[key] > limits[key]:
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


def register(store: Store, context: Context, caller: Caller, request: ImageCreate) -> ImageRecord:
    """Add an image that is there already; the controller looks at it.

    Raises
    ------
    Invalid, Forbidden, Conflict
        Name, reference or visibility cannot be; or the caller has one of that name.
    """
    name = check_name(request.name, what="image's name")
    check_place(context, caller, request.reference)
    if store.images.named(caller.name, name) is not None:
        raise Conflict(
            f"You have an image {name!r} already; delete it first, or choose another name.",
            code="name_taken",
        )
    record = store.images.add(
        **NEW | columns(caller, request),
        name=name,
        owner=caller.name,
        workspace_id=access.workspace_id(store, request.workspace),
        source="registered",
        reference=request.reference,
        credentials=_sealed(context, request.credentials),
        created_at=store.now(),
        updated_at=store.now(),
    )
    store.events.write(subject(record), "created", "It is being looked at.")
    return record


def check_place(context: Context, caller: Caller, reference: str) -> None:
    """Refuse a reference that cannot be one on this engine.

    Raises
    ------
    Invalid, Forbidden
        It is malformed; or a folder of this machine, which only administrators name.
    """
    if context.settings.engine == LOCAL:
        if not caller.keeps_catalog:
            raise Forbidden(
                "On the local engine an image is a folder of this machine, which only an "
                "administrator registers; `kpl image build` makes an environment of your own."
            )
        if not reference.startswith("/"):
            raise Invalid(
                f"{reference!r} is no folder from the root; give the environment's whole path.",
                code="invalid_reference",
            )
    elif not REFERENCE.fullmatch(reference):
        raise Invalid(
            f"{reference!r} is no reference of an image; write it as `docker pull` takes it.",
            code="invalid_reference",
        )


def change(
    store: Store, context: Context, caller: Caller, image: ImageRecord, request: ImageUpdate
) -> ImageRecord:
    """Change what is said about an image, who may use it, or whether anybody may.

    Raises
    ------
    Forbidden, Conflict, Invalid
        It is somebody else's, it is kept in the file, or a value cannot be.
    """
    require_change(caller, image)
    _require_not_of_file(image)
    values = {k: v for k, v in columns(caller, request).items() if k in request.model_fields_set}
    if request.online is not None:
        values["is_online"] = request.online
    if request.credentials is not None:
        values |= {"credentials": _sealed(context, request.credentials), "state": "preparing"}
    store.images.update(image.id, **values, updated_at=store.now())
    changed = store.images.get(image.id)
    assert changed is not None  # noqa: S101 (changed in this transaction)
    store.events.write(subject(changed), "updated")
    return changed


def require_change(caller: Caller, image: ImageRecord) -> None:
    """Refuse to change somebody else's image; who keeps the catalog changes all.

    Raises
    ------
    Forbidden
        Names the owner, who can.
    """
    if not caller.keeps_catalog:
        access.require_change(image, caller, NOUN)


def _require_not_of_file(image: ImageRecord) -> None:
    if image.is_of_file:
        raise Conflict(
            f"The image {image.name!r} is kept in the catalog's file; an administrator changes it "
            "there, and the change is seen at once.",
            code="kept_in_file",
        )


def columns(caller: Caller, request: ImageChanges) -> dict[str, Any]:
    """Return the columns that a request sets, with what stands where it sets none."""
    if not caller.keeps_catalog:
        access.check_visibility(caller, request.visibility)
    if request.groups and not (caller.keeps_catalog or caller.groups.issuperset(request.groups)):
        raise Forbidden("You can restrict an image to groups that you are in, and to no others.")
    return {
        "title": request.title or getattr(request, "name", ""),
        "description": request.description or "",
        "documentation": request.documentation or None,
        "framework": request.framework or "Python",
        "accelerator": request.accelerator or "cpu",
        "aliases": [check_alias(word) for word in request.aliases or ()],
        "icon": request.icon or None,
        "visibility": request.visibility or "private",
        "groups": request.groups or [],
        "default_resources": (request.default_resources or Resources()).model_dump(),
        "max_resources": request.max_resources.model_dump() if request.max_resources else None,
        "variables": request.variables or {},
    }


def check_alias(word: str) -> str:
    """Return a further name of an image: a name, perhaps with a tag.

    Raises
    ------
    Invalid
        It could not be written as ``from_image``.
    """
    if not REFERENCE.fullmatch(word):
        raise Invalid(
            f"{word!r} cannot be an alias: letters, digits, and ._:/@- are allowed.",
            code="invalid_name",
        )
    return word


def _sealed(context: Context, credentials: Credentials | None) -> str | None:
    if credentials is None:
        return None
    return Vault(context.at_rest_key).seal(credentials.model_dump_json())


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


def delete(store: Store, caller: Caller, image: ImageRecord) -> None:
    """Take an image out of the catalog; what runs goes on.

    Raises
    ------
    Forbidden, Conflict
        It is somebody else's, or kept in the file.
    """
    require_change(caller, image)
    _require_not_of_file(image)
    store.images.delete(image.id)
    store.events.write(subject(image), "deleted")
