"""The image catalog over HTTP."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from kpl_lab.naming import distribution_name
from kpl_lab.platform.api import views
from kpl_lab.platform.api.deps import ContextDep, ReadingStoreDep, StoreDep, needs
from kpl_lab.platform.api.idempotency import KeyDep
from kpl_lab.platform.api.pagination import ListDep
from kpl_lab.platform.auth import Caller
from kpl_lab.platform.domain import catalog_file, image_changes, image_looks, images
from kpl_lab.platform.scopes import scope
from kpl_lab.platform.storage.records.images import ImageRecord
from kpl_lab.platform.storage.store import Store
from kpl_lab.schemas.common import Page
from kpl_lab.schemas.images import (
    CatalogView,
    ImageCreate,
    ImageDetail,
    ImageUpdate,
    ImageView,
)

router = APIRouter(tags=["images"])
Reading = Annotated[Caller, Depends(needs(scope("images", "read")))]
Writing = Annotated[Caller, Depends(needs(scope("images", "write")))]

FRAMEWORKS = ("torch", "tensorflow", "jax", "mxnet", "transformers", "scikit-learn", "numpy")
"""What is shown of an image of which nobody has said what matters in it."""


def _facts(image: ImageRecord, names: dict[int, str]) -> dict[str, Any]:
    shown = ("python", *map(distribution_name, (image.framework, *image.shown_packages)))
    is_offline = image.state == "ready" and not image.is_online
    return views.base_fields(image, names) | {
        "state": "offline" if is_offline else image.state,
        "source": image.source,
        "reference": image.reference,
        "digest": image.digest,
        "architecture": image.architecture,
        "size_bytes": image.size_bytes,
        "title": image.title,
        "description": image.description,
        "documentation": image.documentation,
        "framework": image.framework,
        "versions": {name: image.packages[name] for name in shown if name in image.packages},
        "accelerator": image.accelerator,
        "aliases": image.aliases,
        "icon": image.icon,
        "groups": image.groups,
        "default": image.is_default,
        "serves_notebooks": image.serves_notebooks,
        "default_resources": image.default_resources,
        "max_resources": image.max_resources,
    }


def _detail(store: Store, image: ImageRecord) -> ImageDetail:
    return ImageDetail(
        **_facts(image, views.workspace_names(store)),
        packages=image.packages,
        variables=image.variables,
    )


@router.get("/images")
def list_images(store: ReadingStoreDep, caller: Reading, listing: ListDep) -> Page[ImageView]:
    """Return the catalog: the administrator's in the order of their file, then others' newest first."""
    names = views.workspace_names(store)
    found = [ImageView(**_facts(one, names)) for one in store.images.visible(caller.reader)]
    return listing.sorted_page([one for one in found if listing.matches(one)])


@router.get("/catalog")
def get_catalog(context: ContextDep, caller: Reading) -> CatalogView:
    """Return how the administrator's file stands."""
    del caller
    return CatalogView(
        file=catalog_file.path_of(context).name, problem=catalog_file.problem(context)
    )


@router.post("/images", status_code=201)
def create_image(
    body: ImageCreate,
    context: ContextDep,
    store: StoreDep,
    caller: Writing,
    response: Response,
    key: KeyDep,
) -> ImageDetail:
    """Register an image; it is looked at in the background."""
    record = key.made(store, caller, "images", store.images)
    if record is None:
        record = image_changes.register(store, context, caller, body)
        key.keep(store, caller, "images", record.id)
    response.headers["Location"] = f"/kpl/api/v1/images/{record.id}"
    return _detail(store, record)


@router.get("/images/{ref}")
def get_image(ref: str, store: ReadingStoreDep, caller: Reading) -> ImageDetail:
    """Return an image with everything that was found in it."""
    return _detail(store, images.find(store, caller, ref))


@router.patch("/images/{ref}")
def update_image(
    ref: str, body: ImageUpdate, context: ContextDep, store: StoreDep, caller: Writing
) -> ImageDetail:
    """Change what is said about an image, who may use it, or whether anybody may."""
    image = images.find(store, caller, ref)
    return _detail(store, image_changes.change(store, context, caller, image, body))


@router.post("/images/{ref}/look")
def look_at_image(ref: str, store: StoreDep, caller: Writing) -> ImageDetail:
    """Have an image looked at again, in the background."""
    return _detail(store, image_looks.look(store, caller, images.find(store, caller, ref)))


@router.delete("/images/{ref}", status_code=204)
def delete_image(ref: str, store: StoreDep, caller: Writing) -> None:
    """Take an image out of the catalog."""
    image_changes.delete(store, caller, images.find(store, caller, ref))
