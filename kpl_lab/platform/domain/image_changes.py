"""Changes of the image catalog: what is registered, said of an image, and taken out again."""

from __future__ import annotations

from typing import Any

from kpl_lab.errors import Conflict, Forbidden, Invalid
from kpl_lab.formats.catalog_yml import LOCAL, REFERENCE
from kpl_lab.naming import check_name
from kpl_lab.platform.at_rest import Vault
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, images
from kpl_lab.platform.domain.images import NEW, NOUN, subject
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Resources
from kpl_lab.schemas.images import Credentials, ImageChanges, ImageCreate, ImageUpdate


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
    check_reach(store, caller, request.reference, with_password=bool(request.credentials))
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


def check_reach(store: Store, caller: Caller, reference: str, *, with_password: bool) -> None:
    """Refuse what the daemon has and whoever asks for it may not: it gives what it has to all.

    With a password the registry itself is asked; who keeps the catalog may register everything.

    Raises
    ------
    Forbidden
        Says whom to ask.
    """
    if caller.keeps_catalog:
        return
    if images.is_only_of_daemon(reference):
        raise Forbidden(
            f"{reference} names an image that was made here; whoever made it shares it with "
            "`kpl image set NAME --visibility workspace`."
        )
    if not with_password and images.is_locked(store, reference):
        raise Forbidden(
            f"Somebody has registered images of {reference} with a password; give yours "
            "(`--username … --password-stdin`), or ask them to share theirs."
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
    values = {k: v for k, v in _columns(caller, request).items() if k in request.model_fields_set}
    _require_bounds(
        values.get("default_resources", image.default_resources),
        values.get("max_resources", image.max_resources),
    )
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
    """Return the columns of a new image, with what stands where a request says nothing.

    Raises
    ------
    Forbidden, Invalid
        A value cannot be, or is not the caller's to set.
    """
    found = _columns(caller, request)
    _require_bounds(found["default_resources"], found["max_resources"])
    return found


def _columns(caller: Caller, request: ImageChanges) -> dict[str, Any]:
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


def _require_bounds(begin: dict[str, Any], most: dict[str, Any] | None) -> None:
    """Refuse an image whose servers would begin with more than they may be given."""
    if most is None:
        return
    for kind in Resources.model_validate(begin).above(Resources.model_validate(most)):
        raise Invalid(
            f"A server would begin with more than its maximum: {begin[kind]:g} {kind}, at most "
            f"{most[kind]:g}. Lower the default, or raise the maximum.",
            code="above_maximum",
            detail={"key": kind, "maximum": most[kind], "wanted": begin[kind]},
        )


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
