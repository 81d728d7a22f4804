"""Reads the administrator's catalog file into the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kpl_lab import __version__
from kpl_lab.errors import Invalid
from kpl_lab.formats.catalog_yml import Catalog, CatalogEntry, catalog_of, find_catalog
from kpl_lab.platform.context import Context
from kpl_lab.platform.domain import access, images
from kpl_lab.platform.storage.records.images import FILE, ImageRecord
from kpl_lab.platform.storage.repositories.workspaces import DEFAULT_WORKSPACE
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.images import PRESET_OWNER
from kpl_lab.settings import Settings, own_image


def path_of(context: Context) -> Path:
    """Return the file."""
    return find_catalog(context.settings.home.root, context.options.image_catalog)


def problem(context: Context) -> str | None:
    """Return why the file cannot be used; None: it can."""
    try:
        load(context)
    except Invalid as error:
        return error.message
    return None


def load(context: Context) -> Catalog:
    """Return what the file holds for this engine.

    Raises
    ------
    Invalid
        It cannot be used: file, line and reason; or nothing in it is for this engine.
    """
    return catalog_of(path_of(context), context.settings.engine)


def take_up(store: Store, context: Context, catalog: Catalog) -> None:
    """Bring the catalog's rows to what the file says; what it no longer lists is removed.

    An entry keeps its id while it keeps its name. What the engine starts for it is looked at
    again where it is another than before, and where it could not be had. Repeatable.
    """
    known = {one.name: one for one in store.images.of_file()}
    for position, entry in enumerate(catalog.entries):
        values = {
            **_columns(entry),
            "reference": place_of(context.settings, entry),
            "position": position,
        }
        _take_up_one(store, known.pop(entry.name, None), entry.name, values)
    for gone in known.values():
        store.images.delete(gone.id)
        store.events.write(images.subject(gone), "deleted")


def place_of(settings: Settings, entry: CatalogEntry) -> str | None:
    """Return what the engine knows an image by; the platform's own may have another name there."""
    found = entry.place(settings.engine, __version__)
    return settings.cluster.image or found if found == own_image(__version__) else found


def _take_up_one(
    store: Store, known: ImageRecord | None, name: str, values: dict[str, Any]
) -> None:
    if known is None:
        made = store.images.add(
            **images.NEW | values,
            name=name,
            owner=PRESET_OWNER,
            workspace_id=access.workspace_id(store, DEFAULT_WORKSPACE),
            source=FILE,
            credentials=None,
            created_at=store.now(),
            updated_at=store.now(),
        )
        store.events.write(images.subject(made), "created")
        return
    if known.reference != values["reference"] or known.state == "failed":
        values |= {"state": "preparing", "reason": None, "message": images.NEW["message"]}
    if any(getattr(known, key) != value for key, value in values.items()):
        store.images.update(known.id, **values, updated_at=store.now())
        store.events.write(images.subject(known), "updated")


def _columns(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "title": entry.title,
        "description": entry.description,
        "documentation": entry.documentation,
        "framework": entry.framework,
        "shown_packages": list(entry.packages),
        "accelerator": entry.accelerator,
        "aliases": list(entry.aliases),
        "icon": entry.icon,
        "visibility": str(entry.visibility),
        "groups": list(entry.groups),
        "default_resources": entry.default_resources.model_dump(),
        "max_resources": entry.max_resources.model_dump() if entry.max_resources else None,
        "variables": dict(entry.variables),
        "is_default": entry.is_default,
        "is_online": not entry.is_offline,
    }
